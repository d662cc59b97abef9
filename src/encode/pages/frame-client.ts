/** What the scripts of all pages share, and how all pages look. Plain JavaScript for the browser. */

/**
 * Nothing here sets markup: elements are made one by one, text goes in as text nodes, attributes by the names our own
 * scripts give.
 */
export const FRAME_SCRIPT: string = String.raw`
const data = JSON.parse(document.getElementById("data").textContent);
const app = document.getElementById("app");
const darkScheme = matchMedia("(prefers-color-scheme: dark)");

/** An element; children are elements or text. */
function el(name, properties, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) element[key] = value;
  element.append(...children);
  return element;
}

/** A colour of the current scheme. */
function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
}

/** A row of radio buttons that looks like one switch. */
function choice(label, options, selected, onChange) {
  const name = "choice-" + label;
  const set = el("fieldset", { className: "choice" }, el("legend", {}, label));
  for (const [value, text] of options) {
    const input = el("input", { type: "radio", name, value, checked: value === selected });
    input.addEventListener("change", () => onChange(value));
    set.append(el("label", {}, input, el("span", {}, text)));
  }
  return set;
}

/** A canvas that is as wide as its box, sharp on every screen, and drawn again when size or colours change. */
function picture(height, label, draw) {
  const canvas = el("canvas", { tabIndex: 0 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  const box = el("div", { className: "picture" }, canvas);
  let width = 0;
  let queued = false;
  const paint = () => {
    queued = false;
    if (width === 0) return;
    const ratio = devicePixelRatio || 1;
    const tall = typeof height === "function" ? height(width) : height;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(tall * ratio);
    canvas.style.height = tall + "px";
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, tall);
    context.font = "11px system-ui, sans-serif";
    draw(context, width, tall);
  };
  const repaint = () => {
    if (queued) return;
    queued = true;
    requestAnimationFrame(paint);
  };
  new ResizeObserver(([entry]) => {
    width = Math.floor(entry.contentRect.width);
    repaint();
  }).observe(box);
  darkScheme.addEventListener("change", repaint);
  return { box, canvas, repaint };
}

/** A box of label and value pairs that follows the mouse; it covers nothing below it. */
function tooltip(box) {
  const tip = el("div", { className: "tip", hidden: true });
  tip.setAttribute("role", "status");
  box.append(tip);
  return {
    hide() {
      tip.hidden = true;
    },
    show(x, y, rows) {
      tip.replaceChildren(...rows.map(([key, value]) => el("div", {}, el("b", {}, key), el("span", {}, value))));
      tip.hidden = false;
      const left = x + 14 + tip.offsetWidth > box.clientWidth ? x - 14 - tip.offsetWidth : x + 14;
      tip.style.left = Math.max(0, left) + "px";
      tip.style.top = Math.max(0, Math.min(y + 10, box.clientHeight - tip.offsetHeight)) + "px";
    },
  };
}

/** Round numbers between low and high, about as many as asked for. */
function ticks(low, high, about) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const power = Math.pow(10, Math.floor(Math.log10(span / about)));
  const size = [1, 2, 5, 10].find((factor) => span / (factor * power) <= about) * power;
  const result = [];
  for (let i = Math.ceil(low / size); i * size <= high + size * 1e-9 && result.length <= 2 * about; i++) {
    result.push(Number((i * size).toPrecision(12)));
  }
  return result.length > 0 ? result : [low];
}

/** A number for people. */
function format(value, digits) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 1e7) return String(value);
  if (size >= 1e6 || size < 1e-4) return value.toExponential((digits || 4) - 1).replace(/\.?0+e/, "e").replace("e+", "e");
  return String(Number(value.toPrecision(Math.max(digits || 4, Math.ceil(Math.log10(size))))));
}

function formatWall(seconds) {
  if (seconds === null || Math.abs(seconds) > 8e12) return "–";
  return new Date(seconds * 1000).toISOString().replace("T", " ").replace(/\.?0*Z$/, " UTC");
}

/** A span of time, in its largest unit. */
function formatSpan(seconds) {
  const size = Math.abs(seconds);
  if (size < 120) return format(seconds, 3) + " s";
  if (size < 7200) return format(seconds / 60, 3) + " min";
  if (size < 172800) return format(seconds / 3600, 3) + " h";
  return format(seconds / 86400, 3) + " d";
}

/** Steps as numbers on one of the three axes TensorBoard has. */
function axisValues(axis) {
  if (axis === "step") return data.steps.map(Number);
  const start = data.wallTimes.reduce((least, time) => (time !== null && time < least ? time : least), Infinity);
  return data.wallTimes.map((time) => {
    if (time === null) return axis === "wall" ? start : 0;
    return axis === "wall" ? time : time - start;
  });
}

function formatAxis(axis, value) {
  if (axis === "step") return format(value, 6);
  return axis === "relative" ? formatSpan(value) : formatWall(value);
}

const AXES = [["step", "Step"], ["relative", "Relative"], ["wall", "Wall"]];

function note(text) {
  return el("p", { className: "note" }, text);
}

/** A uPlot in a box of its own: made again for another width or other colours, since uPlot keeps both. */
function chart(box, height, options, rows) {
  let plot = null;
  let width = 0;
  const make = () => {
    if (width < 50) return;
    if (plot !== null) plot.destroy();
    plot = new uPlot({ width, height, ...options() }, rows(), box);
  };
  const observer = new ResizeObserver(([entry]) => {
    const now = Math.floor(entry.contentRect.width);
    if (now === width) return;
    width = now;
    requestAnimationFrame(make);
  });
  observer.observe(box);
  darkScheme.addEventListener("change", make);
  return { remake: make };
}

/** An axis of a uPlot in our colours. */
function plotAxis(more) {
  const line = { stroke: color("line"), width: 1 };
  return { stroke: color("muted"), font: "11px system-ui, sans-serif", grid: line, ticks: { ...line, size: 5 }, ...more };
}
`;

export const FRAME_STYLE: string = `
:root {
  color-scheme: light dark;
  --back: #fff; --front: #212121; --muted: #666; --line: #e4e4e4; --raised: #fafafa; --edge: #d0d0d0;
  --accent: #e65100; --link: #0b65c2; --old: #9a3c00; --new: #ffb27a; --outline: #fff; --code: #f3f3f3; --scope: #f3e3d3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #1f2022; --front: #e8e8e8; --muted: #a8a8a8; --line: #37393c; --raised: #292a2d; --edge: #4a4c50;
    --accent: #ffa04d; --link: #7ab7ff; --old: #7d3a10; --new: #ffc392; --outline: #1f2022; --code: #2c2d30; --scope: #4a3a2b;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 16px 20px 24px; max-width: 1200px; background: var(--back); color: var(--front);
  font: 14px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; }
h1 { margin: 0 0 12px; font-size: 17px; font-weight: 600; line-height: 1.3; overflow-wrap: anywhere;
  max-height: 6.5em; overflow: auto; }
a { color: var(--link); }
.controls { display: flex; flex-wrap: wrap; gap: 8px 20px; align-items: center; margin: 0 0 12px; }
.choice { display: inline-flex; align-items: center; border: 0; margin: 0; padding: 0; min-width: 0; }
.choice legend { float: left; padding: 0 8px 0 0; color: var(--muted); font-size: 12px; }
.choice label { position: relative; cursor: pointer; }
.choice input { position: absolute; inset: 0; margin: 0; opacity: 0; cursor: pointer; }
.choice span { display: block; padding: 3px 11px; border: 1px solid var(--edge); margin-left: -1px; font-size: 13px; }
.choice label:first-of-type span { border-radius: 4px 0 0 4px; margin-left: 0; }
.choice label:last-of-type span { border-radius: 0 4px 4px 0; }
.choice input:checked + span { background: var(--accent); border-color: var(--accent); color: var(--back); }
.choice input:focus-visible + span { outline: 2px solid var(--link); outline-offset: 1px; }
canvas:focus-visible, button:focus-visible, input:focus-visible, summary:focus-visible {
  outline: 2px solid var(--link); outline-offset: 2px; }
canvas:focus:not(:focus-visible) { outline: none; }
.picture { position: relative; overflow: hidden; padding: 2px; }
.picture canvas { display: block; width: 100%; }
.tip { position: absolute; z-index: 200; pointer-events: none; padding: 6px 9px; border: 1px solid var(--edge); border-radius: 4px;
  background: var(--raised); color: var(--front); font-size: 12px; line-height: 1.5; box-shadow: 0 1px 4px rgb(0 0 0 / 25%);
  max-width: 320px; }
.tip[hidden] { display: none; }
.tip div { display: flex; gap: 12px; justify-content: space-between; }
.tip b { font-weight: 400; color: var(--muted); }
.tip span { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.note { margin: 8px 0 0; color: var(--muted); font-size: 12px; overflow-wrap: anywhere; }
.u-legend { font-size: 12px; color: var(--front); }
.u-legend th { font-weight: 400; }
.u-legend .u-value { font-variant-numeric: tabular-nums; color: var(--muted); }
button { font: inherit; color: inherit; background: var(--raised); border: 1px solid var(--edge); border-radius: 4px;
  padding: 3px 10px; cursor: pointer; }
input[type="range"] { accent-color: var(--accent); }
`;
