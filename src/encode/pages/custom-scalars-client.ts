/** Browser side of the custom scalars page. Plain JavaScript. */
export const CUSTOM_SCALARS_SCRIPT: string = String.raw`
const LIGHT = ["#e65100", "#0077bb", "#cc3311", "#009988", "#ee3377", "#7a5195", "#6b7a00", "#8c564b"];
const DARK = ["#ffa04d", "#4db3ff", "#ff7a66", "#33c9b5", "#ff7fae", "#b79ae0", "#c5d04a", "#c99b8f"];

function tone(i) {
  const tones = darkScheme.matches ? DARK : LIGHT;
  return tones[i % tones.length];
}

/** All rows of a chart on one column of steps. A step that a tag has twice keeps the later value. */
function joined(columns) {
  const steps = [...new Set(columns.flatMap((column) => column.steps))].sort((a, b) => a - b);
  const rows = columns.map((column) => {
    const values = new Map(column.steps.map((step, i) => [step, column.values[i]]));
    return steps.map((step) => (values.has(step) ? values.get(step) : undefined));
  });
  return [steps, ...rows];
}

function drawChart(box, content) {
  const columns = content.lines.map((i) => data.series[i]);
  for (const { value, lower, upper } of content.margins) {
    columns.push(data.series[value], data.series[lower], data.series[upper]);
  }
  const rows = joined(columns);
  const alone = rows[0].length < 2;
  chart(
    box,
    240,
    () => {
      const line = (column, hue, more) => ({
        label: column.tag,
        stroke: hue,
        width: 1.5,
        spanGaps: true,
        points: { show: alone, size: 5 },
        value: (_, value) => format(value, 5),
        ...more,
      });
      const series = content.lines.map((i, k) => line(data.series[i], tone(k)));
      const bands = [];
      content.margins.forEach((margin, k) => {
        const hue = tone(content.lines.length + k);
        const bound = { width: 0.75, dash: [4, 3] };
        const first = 1 + series.length;
        series.push(
          line(data.series[margin.value], hue),
          line(data.series[margin.lower], hue, bound),
          line(data.series[margin.upper], hue, bound),
        );
        bands.push({ series: [first + 2, first + 1], fill: hue + "30" });
      });
      return {
        padding: [10, 12, 0, 0],
        scales: { x: { time: false } },
        axes: [plotAxis(), plotAxis({ size: 60, values: (_, splits) => splits.map((value) => format(value, 5)) })],
        series: [{ label: "Step" }, ...series],
        bands,
      };
    },
    () => rows,
  );
}

data.categories.forEach((category) => {
  const grid = el("div", { className: "grid" });
  const many = category.charts.length === 1 ? "1 chart" : category.charts.length + " charts";
  const summary = el("summary", {}, el("b", {}, category.title || "Charts"), el("span", {}, many));
  const details = el("details", { open: !category.closed }, summary, grid);
  let drawn = false;
  const draw = () => {
    if (drawn || !details.open) return;
    drawn = true;
    for (const content of category.charts) {
      const box = el("div", { className: "plot" });
      const card = el("section", { className: "card" }, el("h2", {}, content.title));
      if (content.lines.length + content.margins.length > 0) card.append(box);
      content.notes.forEach((text) => card.append(note(text)));
      grid.append(card);
      if (box.isConnected) drawChart(box, content);
    }
  };
  details.addEventListener("toggle", draw);
  app.append(details);
  draw();
});
if (data.categories.length === 0) app.append(note("This layout has no categories."));
`;

export const CUSTOM_SCALARS_STYLE: string = `
details { margin: 0 0 14px; border: 1px solid var(--line); border-radius: 6px; }
summary { display: flex; gap: 12px; align-items: baseline; padding: 8px 14px; background: var(--raised); border-radius: 6px; cursor: pointer;
  list-style: none; overflow-wrap: anywhere; }
summary::-webkit-details-marker { display: none; }
summary::before { content: "▸"; color: var(--muted); }
details[open] > summary::before { content: "▾"; }
summary b { font-weight: 600; }
summary span { color: var(--muted); font-size: 12px; margin-left: auto; white-space: nowrap; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 14px; padding: 14px; }
.card { min-width: 0; border: 1px solid var(--line); border-radius: 6px; padding: 8px 10px 10px; }
.card h2 { margin: 0 0 4px; font-size: 13px; font-weight: 600; overflow-wrap: anywhere; max-height: 4em; overflow: auto; }
.plot { min-height: 280px; overflow: hidden; }
.u-legend { max-height: 90px; overflow: auto; }
.u-legend th { overflow-wrap: anywhere; }
`;
