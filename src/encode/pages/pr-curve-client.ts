/** Browser side of the precision-recall page. Plain JavaScript. */
export const PR_CURVE_SCRIPT: string = String.raw`
let at = data.steps.length - 1;
let hover = null;
const geometry = { left: 46, right: 14, top: 10, bottom: 38, width: 0, height: 0 };

const plot = picture(
  (width) => Math.max(240, Math.min(460, Math.round(width * 0.62))),
  "Precision over recall; arrow keys move from threshold to threshold",
  (context, width, height) => {
    const { left, right, top, bottom } = geometry;
    geometry.width = width - left - right;
    geometry.height = height - top - bottom;
    context.lineWidth = 1;
    for (const tick of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
      const [x, y] = place(tick, tick);
      context.strokeStyle = color("line");
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, top);
      context.lineTo(Math.round(x) + 0.5, height - bottom);
      context.moveTo(left, Math.round(y) + 0.5);
      context.lineTo(width - right, Math.round(y) + 0.5);
      context.stroke();
      context.fillStyle = color("muted");
      context.textAlign = "center";
      context.textBaseline = "top";
      context.fillText(String(tick), x, height - bottom + 6);
      context.textAlign = "right";
      context.textBaseline = "middle";
      context.fillText(String(tick), left - 7, y);
    }
    context.fillStyle = color("front");
    context.textAlign = "center";
    context.textBaseline = "bottom";
    context.fillText("Recall", left + geometry.width / 2, height - 2);
    context.save();
    context.translate(11, top + geometry.height / 2);
    context.rotate(-Math.PI / 2);
    context.fillText("Precision", 0, 4);
    context.restore();

    const curve = data.curves[at];
    context.strokeStyle = context.fillStyle = color("accent");
    context.lineWidth = 2;
    context.lineJoin = "round";
    context.beginPath();
    const points = drawn(curve);
    points.forEach((i, rank) => {
      const [x, y] = place(curve.recall[i], curve.precision[i]);
      if (rank === 0) context.moveTo(x, y);
      else context.lineTo(x, y);
    });
    context.stroke();
    if (points.length <= 200) {
      for (const i of points) dot(context, curve, i, 2.2);
    }
    if (hover !== null) {
      context.fillStyle = color("front");
      dot(context, curve, hover, 4.5);
    }
  },
);

function place(recall, precision) {
  const within = (value) => Math.max(-0.02, Math.min(1.02, value));
  return [
    geometry.left + geometry.width * within(recall),
    geometry.top + geometry.height * (1 - within(precision)),
  ];
}

function drawn(curve) {
  return curve.recall.map((_, i) => i).filter((i) => curve.recall[i] !== null && curve.precision[i] !== null);
}

function dot(context, curve, i, radius) {
  const [x, y] = place(curve.recall[i], curve.precision[i]);
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fill();
}

const tip = tooltip(plot.box);

function point(i) {
  hover = i;
  plot.repaint();
  if (i === null) {
    tip.hide();
    return;
  }
  const curve = data.curves[at];
  const [x, y] = place(curve.recall[i], curve.precision[i]);
  tip.show(x, y, [
    ["threshold", format(curve.threshold[i])],
    ["precision", format(curve.precision[i])],
    ["recall", format(curve.recall[i])],
    ...["TP", "FP", "TN", "FN"].map((name, k) => [name, format(curve.counts[k][i], 7)]),
  ]);
}

plot.canvas.addEventListener("mousemove", (event) => {
  const curve = data.curves[at];
  let best = null;
  let distance = Infinity;
  for (const i of drawn(curve)) {
    const [x, y] = place(curve.recall[i], curve.precision[i]);
    const away = Math.hypot(x - event.offsetX, y - event.offsetY);
    if (away < distance) [best, distance] = [i, away];
  }
  point(best);
});
plot.canvas.addEventListener("mouseleave", () => point(null));
plot.canvas.addEventListener("blur", () => point(null));
plot.canvas.addEventListener("keydown", (event) => {
  const move = { ArrowLeft: 1, ArrowRight: -1, ArrowUp: 1, ArrowDown: -1 }[event.key];
  const points = drawn(data.curves[at]);
  if (!move || points.length === 0) return;
  event.preventDefault();
  const now = hover === null ? Math.floor(points.length / 2) : points.indexOf(hover) + move;
  point(points[Math.max(0, Math.min(points.length - 1, now))]);
});

const slider = el("input", { type: "range", min: 0, max: Math.max(0, at), value: Math.max(0, at), id: "step" });
const shown = el("output", { htmlFor: "step" });
function show() {
  hover = null;
  tip.hide();
  shown.replaceChildren(el("b", {}, data.steps[at]), el("span", {}, formatWall(data.wallTimes[at])));
  slider.setAttribute("aria-valuetext", data.steps[at]);
  plot.repaint();
}
slider.addEventListener("input", () => {
  at = Number(slider.value);
  show();
});
if (at >= 0) {
  slider.disabled = at === 0;
  app.append(el("div", { className: "controls slide" }, el("label", { htmlFor: "step" }, "Step"), slider, shown), plot.box);
  show();
} else app.append(note("This tag has no curves."));
data.notes.forEach((text) => app.append(note(text)));
`;

export const PR_CURVE_STYLE: string = `
.slide label { color: var(--muted); font-size: 12px; }
.slide input { flex: 1 1 180px; max-width: 420px; }
.slide output { font-variant-numeric: tabular-nums; }
.slide output span { margin-left: 12px; color: var(--muted); font-size: 12px; }
.picture { max-width: 760px; }
`;
