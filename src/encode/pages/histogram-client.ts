/** Browser side of the histogram page. Plain JavaScript. */
import { PERCENTILES } from "./histogram-bins.ts";

export const HISTOGRAM_SCRIPT: string = String.raw`
const PERCENTILES = ${JSON.stringify(PERCENTILES)};
const state = { view: "histogram", mode: "offset", axis: "step" };
const filled = data.bins.map((_, i) => i).filter((i) => data.bins[i].length > 0);
const highest = Math.max(1e-300, ...filled.map((i) => Math.max(...data.bins[i])));

/** Where things are: x by the share of the range, the base line of each step, the height of the highest bin. */
const geometry = { left: 12, right: 78, top: 14, bottom: 26, plotWidth: 0, base: [], height: 0 };
let hover = null;

const ridge = picture(
  (width) => Math.max(260, Math.min(460, Math.round(width * 0.5))),
  "Histograms over steps; arrow keys move from bin to bin and from step to step",
  (context, width, height) => {
    const { left, right, top, bottom } = geometry;
    const plotWidth = (geometry.plotWidth = Math.max(10, width - left - right));
    const offset = state.mode === "offset";
    const values = axisValues(state.axis);
    const low = Math.min(...filled.map((i) => values[i]));
    const high = Math.max(...filled.map((i) => values[i]));
    const room = height - top - bottom;
    geometry.height = offset ? room / 2.5 : room;
    const depth = offset ? room - geometry.height : 0;
    geometry.base = values.map((value) => {
      const share = high > low ? (value - low) / (high - low) : 1;
      return height - bottom - depth * (1 - share);
    });

    context.lineWidth = 1;
    context.textAlign = "center";
    context.textBaseline = "top";
    const [from, to] = data.range;
    for (const tick of ticks(from, to, Math.max(2, plotWidth / 90))) {
      const x = left + (plotWidth * (tick - from)) / (to - from);
      context.strokeStyle = color("line");
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, top);
      context.lineTo(Math.round(x) + 0.5, height - bottom);
      context.stroke();
      context.fillStyle = color("muted");
      context.fillText(format(tick, 5), x, height - bottom + 8);
    }
    context.textAlign = "left";
    context.textBaseline = "middle";
    const side = offset ? ticks(low, high, 6) : ticks(0, highest, 5);
    for (const tick of side) {
      let y = height - bottom - (room * tick) / highest;
      if (offset) y = height - bottom - depth * (high > low ? 1 - (tick - low) / (high - low) : 0);
      context.strokeStyle = color("line");
      context.beginPath();
      context.moveTo(left, Math.round(y) + 0.5);
      context.lineTo(left + plotWidth, Math.round(y) + 0.5);
      context.stroke();
      context.fillStyle = color("muted");
      let text = format(tick, 5);
      if (offset) text = state.axis === "wall" ? formatWall(tick).slice(5, 16) : formatAxis(state.axis, tick);
      context.fillText(text, left + plotWidth + 6, y);
    }

    const order = [...filled].sort((a, b) => values[a] - values[b] || a - b);
    order.forEach((i, rank) => drawRidge(context, i, order.length > 1 ? rank / (order.length - 1) : 1, false));
    if (hover !== null) {
      drawRidge(context, hover.step, 1, true);
      const [x, y] = pointOf(hover.step, hover.bin);
      context.fillStyle = color("front");
      context.beginPath();
      context.arc(x, y, 3.5, 0, 7);
      context.fill();
    }
  },
);

function pointOf(step, bin) {
  const bins = data.bins[step];
  const x = geometry.left + (geometry.plotWidth * (bin + 0.5)) / bins.length;
  return [x, geometry.base[step] - (geometry.height * bins[bin]) / highest];
}

function drawRidge(context, step, age, strong) {
  const offset = state.mode === "offset";
  const bins = data.bins[step];
  const base = geometry.base[step];
  const path = new Path2D();
  path.moveTo(geometry.left, base);
  bins.forEach((_, bin) => {
    const [x, y] = pointOf(step, bin);
    if (bin === 0) path.lineTo(geometry.left, y);
    path.lineTo(x, y);
    if (bin === bins.length - 1) path.lineTo(geometry.left + geometry.plotWidth, y);
  });
  path.lineTo(geometry.left + geometry.plotWidth, base);
  const tone = mixed(color("old"), color("new"), age);
  if (offset && !strong) {
    context.fillStyle = tone;
    context.globalAlpha = 0.92;
    context.fill(path);
    context.globalAlpha = 1;
  }
  context.lineWidth = strong ? 2 : 1;
  context.strokeStyle = strong ? color("front") : offset ? color("outline") : tone;
  if (offset && !strong) context.globalAlpha = 0.65;
  context.stroke(path);
  context.globalAlpha = 1;
}

function mixed(a, b, share) {
  const parts = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const [from, to] = [parts(a), parts(b)];
  return "rgb(" + from.map((part, i) => Math.round(part + (to[i] - part) * share)).join(",") + ")";
}

const tip = tooltip(ridge.box);

function point(step, bin) {
  if (step === null) {
    hover = null;
    tip.hide();
    ridge.repaint();
    return;
  }
  hover = { step, bin };
  const [from, to] = data.range;
  const bins = data.bins[step];
  const edge = (i) => from * (1 - i / bins.length) + to * (i / bins.length);
  const [x, y] = pointOf(step, bin);
  tip.show(x, y, [
    ["step", data.steps[step]],
    ["time", formatWall(data.wallTimes[step])],
    ["left", format(edge(bin), 5)],
    ["right", format(edge(bin + 1), 5)],
    ["count", format(bins[bin], 5)],
  ]);
  ridge.repaint();
}

ridge.canvas.addEventListener("mousemove", (event) => {
  const binCount = data.bins[filled[0]].length;
  const share = (event.offsetX - geometry.left) / geometry.plotWidth;
  const bin = Math.max(0, Math.min(binCount - 1, Math.floor(share * binCount)));
  let best = null;
  let distance = Infinity;
  for (const step of filled) {
    const away = Math.abs(pointOf(step, bin)[1] - event.offsetY);
    if (away <= distance) [best, distance] = [step, away];
  }
  point(best, bin);
});
ridge.canvas.addEventListener("mouseleave", () => point(null));
ridge.canvas.addEventListener("blur", () => point(null));
ridge.canvas.addEventListener("keydown", (event) => {
  const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!move) return;
  event.preventDefault();
  const bins = data.bins[filled[0]].length;
  if (hover === null) {
    point(filled[filled.length - 1], Math.floor(bins / 2));
    return;
  }
  const at = Math.max(0, Math.min(filled.length - 1, filled.indexOf(hover.step) + move[0]));
  point(filled[at], Math.max(0, Math.min(bins - 1, hover.bin + move[1])));
});

const bandBox = el("div", { className: "plot" });
const bands = chart(
  bandBox,
  340,
  () => {
    const line = (label, width, alpha) => ({
      label,
      width,
      stroke: color("accent") + alpha,
      points: { show: filled.length < 2, size: 5 },
      value: (_, value) => format(value, 5),
    });
    const series = PERCENTILES.map((percent) => {
      const label = { 0: "min", 50: "median", 100: "max" }[percent] || percent + " %";
      return line(label, percent === 50 ? 2 : 1, percent === 50 ? "ff" : "70");
    });
    const fills = ["1c", "2e", "44", "5c"];
    return {
      padding: [12, 12, 0, 0],
      scales: { x: { time: state.axis === "wall" } },
      // UTC, as everywhere on the page.
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      axes: [
        plotAxis(state.axis === "relative" ? { values: (_, splits) => splits.map(formatSpan) } : {}),
        plotAxis({ size: 70, values: (_, splits) => splits.map((value) => format(value, 5)) }),
      ],
      series: [{ label: AXES.find(([key]) => key === state.axis)[1], value: (_, x) => (x === null ? "–" : formatAxis(state.axis, x)) }, ...series],
      bands: fills.map((alpha, i) => ({ series: [9 - i, 1 + i], fill: color("accent") + alpha })),
      cursor: { drag: { x: true, y: false } },
    };
  },
  () => {
    const values = axisValues(state.axis);
    const order = filled.slice().sort((a, b) => values[a] - values[b] || a - b);
    return [order.map((i) => values[i]), ...PERCENTILES.map((_, k) => order.map((i) => data.percentiles[i][k]))];
  },
);

const modes = choice("Mode", [["offset", "Offset"], ["overlay", "Overlay"]], state.mode, (mode) => {
  state.mode = mode;
  point(null);
});
function showView() {
  ridge.box.hidden = modes.hidden = state.view !== "histogram";
  bandBox.hidden = state.view === "histogram";
}
const views = choice("View", [["histogram", "Histogram"], ["distribution", "Distribution"]], state.view, (view) => {
  state.view = view;
  showView();
});
const axes = choice("Axis", AXES, state.axis, (axis) => {
  state.axis = axis;
  point(null);
  bands.remake();
});
if (filled.length > 0) app.append(el("div", { className: "controls" }, views, modes, axes), ridge.box, bandBox);
else app.append(note("This histogram has no values."));
data.notes.forEach((text) => app.append(note(text)));
showView();
`;

export const HISTOGRAM_STYLE: string = `
[hidden] { display: none !important; }
.plot { min-height: 400px; overflow: hidden; }
`;
