/** Browser side of the graph page: its panel and controls. Plain JavaScript. */
import { GRAPH_DRAWING } from "./graph-drawing-client.ts";
import { GRAPH_LAYOUT } from "./graph-layout-client.ts";

const CONTROLS = String.raw`const panel = el("aside", { className: "panel" });
const hint = el("p", { className: "note" }, "Click a scope to unfold or fold it, a node to see its inputs and outputs. Drag to move, wheel to zoom.");
panel.append(hint);
panel.setAttribute("aria-live", "polite");

function links(label, codes) {
  if (codes.length === 0) return [];
  const list = el("ul", {});
  for (const code of codes.slice(0, 200)) {
    const node = data.nodes[code >> 1];
    const button = el("button", { type: "button", className: "link" }, cut(node.name || "(unnamed)", 200));
    button.addEventListener("click", () => reveal(leaves[code >> 1]));
    list.append(el("li", {}, button, (code & 1) === 1 ? " (control)" : ""));
  }
  if (codes.length > 200) list.append(el("li", {}, codes.length - 200 + " more"));
  return [el("h3", {}, label + " (" + codes.length + ")"), list];
}

function details(item) {
  const facts = el("dl", {});
  const fact = (key, value) => {
    if (value !== "") facts.append(el("dt", {}, key), el("dd", {}, cut(value, 1000)));
  };
  const parts = [el("h2", {}, cut(nameOf(item), 500)), facts];
  if (item.node >= 0) {
    const node = data.nodes[item.node];
    fact("Op", data.words[node.op]);
    fact("Device", data.words[node.device]);
    for (const [key, value] of node.attrs) fact(key, value);
    parts.push(...links("Inputs", node.from), ...links("Outputs", consumers[item.node]));
  } else {
    fact("Nodes", String(item.size));
    fact("Directly inside", String(item.children.size));
  }
  panel.replaceChildren(...parts);
}

/* Moving about. */

function place() {
  world.setAttribute("transform", "translate(" + view.x + "," + view.y + ") scale(" + view.zoom + ")");
}

function zoomAt(x, y, factor) {
  const zoom = Math.max(0.02, Math.min(4, view.zoom * factor));
  view.x = x - ((x - view.x) * zoom) / view.zoom;
  view.y = y - ((y - view.y) * zoom) / view.zoom;
  view.zoom = zoom;
  place();
}

function fit() {
  const { width, height } = layoutOf(top);
  if (svg.clientWidth === 0) return;
  view.zoom = Math.max(0.02, Math.min(1.25, (svg.clientWidth - 24) / width, (svg.clientHeight - 24) / height));
  view.x = (svg.clientWidth - width * view.zoom) / 2;
  view.y = (svg.clientHeight - height * view.zoom) / 2;
  place();
}

let drag = null;
let moved = false;
svg.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, y: event.clientY };
  moved = false;
});
svg.addEventListener("pointermove", (event) => {
  if (drag === null || event.buttons === 0) return;
  const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
  if (!moved && Math.hypot(dx, dy) < 4) return;
  moved = true;
  svg.setPointerCapture(event.pointerId);
  view.x += dx;
  view.y += dy;
  drag = { x: event.clientX, y: event.clientY };
  place();
});
svg.addEventListener("pointerup", () => {
  drag = null;
});
svg.addEventListener("click", () => {
  if (!moved) choose(null);
});
svg.addEventListener(
  "wheel",
  (event) => {
    event.preventDefault();
    const box = svg.getBoundingClientRect();
    zoomAt(event.clientX - box.left, event.clientY - box.top, Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) * 0.0022));
  },
  { passive: false },
);
svg.addEventListener("keydown", (event) => {
  const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.key];
  const factor = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
  if (step) [view.x, view.y] = [view.x + step[0], view.y + step[1]];
  if (factor) zoomAt(svg.clientWidth / 2, svg.clientHeight / 2, factor);
  if (step || factor) event.preventDefault();
  place();
});

function button(text, action, label) {
  const control = el("button", { type: "button", title: label || text }, text);
  if (label) control.setAttribute("aria-label", label);
  control.addEventListener("click", action);
  return control;
}

const search = el("input", { type: "search", placeholder: "Find a node", spellcheck: false });
search.setAttribute("aria-label", "Find a node by a part of its name");
const status = el("span", { className: "status" });
status.setAttribute("role", "status");
let foundAt = -1;
search.addEventListener("input", () => {
  foundAt = -1;
});
search.addEventListener("keydown", (event) => {
  const wanted = search.value.toLowerCase();
  if (event.key !== "Enter" || wanted === "") return;
  for (let k = 1; k <= data.nodes.length; k++) {
    const i = (foundAt + k) % data.nodes.length;
    if (!data.nodes[i].name.toLowerCase().includes(wanted)) continue;
    foundAt = i;
    reveal(leaves[i]);
    return;
  }
  status.textContent = "No node has that in its name";
});

function foldAll(scope) {
  scope.open = false;
  scope.layout = null;
  for (const child of scope.children.values()) if (child.children) foldAll(child);
}

/** A graph in one scope is shown from the inside. */
function openFirst() {
  let at = top;
  while (at.children.size === 1) {
    const [only] = at.children.values();
    if (!only.children) break;
    at = only;
    at.open = true;
  }
}

if (data.nodes.length > 0) {
  app.append(
    el("div", { className: "controls" },
      search,
      el("span", { className: "buttons" },
        button("+", () => zoomAt(svg.clientWidth / 2, svg.clientHeight / 2, 1.25), "Zoom in"),
        button("−", () => zoomAt(svg.clientWidth / 2, svg.clientHeight / 2, 0.8), "Zoom out"),
        button("Fit", fit, "Fit the graph to the window"),
        button("Fold all", () => {
          foldAll(top);
          openFirst();
          choose(null);
          fit();
        }),
      ),
      status,
    ),
    el("div", { className: "frame" }, svg, panel),
  );
  openFirst();
  draw();
  fit();
  let wide = svg.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(svg.clientWidth - wide) < 2) return;
    wide = svg.clientWidth;
    fit();
  }).observe(svg);
} else app.append(note("This graph has no nodes."));
data.notes.forEach((text) => app.append(note(text)));
`;

/** One script, whose parts share their names. */
export const GRAPH_SCRIPT: string = GRAPH_LAYOUT + GRAPH_DRAWING + CONTROLS;

export const GRAPH_STYLE: string = `
body { max-width: none; }
.controls input, .controls button { font-size: 13px; }
.controls input { font-family: inherit; color: inherit; background: var(--back); border: 1px solid var(--edge); border-radius: 4px;
  padding: 3px 8px; width: 220px; }
.buttons { display: inline-flex; gap: 6px; }
.status { color: var(--muted); font-size: 12px; }
.frame { display: flex; gap: 12px; height: max(360px, calc(100vh - 150px)); }
svg { flex: 1 1 auto; min-width: 0; border: 1px solid var(--line); border-radius: 6px; background: var(--back); touch-action: none;
  cursor: grab; user-select: none; }
svg:active { cursor: grabbing; }
.panel { flex: 0 0 260px; overflow: auto; border: 1px solid var(--line); border-radius: 6px; padding: 10px 12px; font-size: 12px; }
.panel h2 { margin: 0 0 8px; font-size: 13px; overflow-wrap: anywhere; }
.panel h3 { margin: 12px 0 4px; font-size: 12px; color: var(--muted); font-weight: 400; }
.panel ul { margin: 0; padding: 0; list-style: none; }
.panel li { margin: 0 0 3px; }
.panel .note { margin: 0; }
.link { border: 0; background: none; padding: 0; color: var(--link); text-align: left; overflow-wrap: anywhere; }
.link:hover { text-decoration: underline; }
dl { margin: 0; display: grid; grid-template-columns: auto 1fr; gap: 2px 10px; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
.item { cursor: pointer; outline: none; }
.item text { font: 12px system-ui, sans-serif; fill: var(--front); pointer-events: none; }
.item rect { fill: var(--back); stroke: var(--edge); }
.scope > rect { fill: var(--scope); }
.scope.open > rect { fill: var(--accent); fill-opacity: 0.05; stroke: var(--edge); }
.item:hover > rect { stroke: var(--accent); }
.item:focus-visible > rect { stroke: var(--link); stroke-width: 2.5; }
.item.chosen > rect { stroke: var(--accent); stroke-width: 2.5; }
.edge { fill: none; stroke: var(--muted); opacity: 0.55; }
.edge.control { stroke-dasharray: 4 3; }
.edge.near { stroke: var(--accent); opacity: 1; }
.arrow-line path { fill: var(--muted); } .arrow-strong path { fill: var(--accent); }
@media (max-width: 760px) { .frame { flex-direction: column; height: auto; } svg { flex: none; width: 100%; height: 60vh; min-height: 300px; }
  .panel { flex: none; max-height: 240px; } }
`;
