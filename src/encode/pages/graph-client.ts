/** Browser side of the graph page. Plain JavaScript. */
export const GRAPH_SCRIPT: string = String.raw`
const SVG = "http://www.w3.org/2000/svg";
const MAX_DEPTH = 40;
/** More children than this are put into groups: a layout of thousands of boxes takes minutes, and nobody can read it. */
const MAX_CHILDREN = 120;
const MAX_EDGES = 250;

/* The tree of scopes. A scope has children by name; a leaf is one node of the graph. */

const top = scopeOf("", null);
const leaves = data.nodes.map((node, i) => {
  const parts = node.name.split("/");
  if (parts.length > MAX_DEPTH) parts.push(parts.splice(MAX_DEPTH - 1).join("/"));
  const last = parts.pop();
  let at = top;
  for (const part of parts) {
    const known = at.children.get(part);
    if (known && known.children) at = known;
    else at = adopt(at, part, scopeOf(part, at), known);
  }
  const leaf = { label: last || "(unnamed)", parent: at, node: i, children: null, size: 1 };
  const known = at.children.get(last);
  at.children.set(known ? last + "\u0000" + i : last, leaf);
  return leaf;
});

function scopeOf(label, parent) {
  return { label, parent, node: -1, children: new Map(), open: false, size: 0, layout: null };
}

/** A node that is also a scope stands in its own scope, as in TensorBoard. */
function adopt(parent, part, scope, leaf) {
  parent.children.set(part, scope);
  if (leaf) {
    leaf.parent = scope;
    leaf.label = "(" + leaf.label + ")";
    scope.children.set("(" + part + ")", leaf);
  }
  return scope;
}

/** Sizes, and groups where a scope has too many children: those with one stem first, then by position. */
function settle(scope) {
  for (const child of scope.children.values()) if (child.children && !scope.gathered) settle(child);
  if (scope.children.size > MAX_CHILDREN && !scope.gathered) {
    const stems = new Map();
    for (const [key, child] of scope.children) {
      const stem = child.label.replace(/[_.-]?\d+$/, "") || child.label;
      if (!stems.has(stem)) stems.set(stem, []);
      stems.get(stem).push([key, child]);
    }
    for (const [stem, members] of stems) if (members.length > 5) gather(scope, stem + "_*", members);
  }
  while (scope.children.size > MAX_CHILDREN) {
    const all = [...scope.children];
    const each = Math.max(2, Math.ceil(all.length / MAX_CHILDREN));
    const size = Math.max(each, 50);
    for (let i = 0; i < all.length; i += size) {
      const members = all.slice(i, i + size);
      if (members.length > 1) gather(scope, members[0][1].label + " … " + members[members.length - 1][1].label, members);
    }
  }
  scope.size = 0;
  for (const child of scope.children.values()) scope.size += child.size;
}

function gather(scope, label, members) {
  const group = scopeOf(label, scope);
  group.gathered = true;
  for (const [key, child] of members) {
    scope.children.delete(key);
    group.children.set(key, child);
    child.parent = group;
  }
  scope.children.set("\u0000group " + label + " " + members[0][0], group);
  settle(group);
}
settle(top);

/* Edges: each belongs to the innermost scope that holds both ends, and joins the two children there. */

const edgesOf = new Map();
const consumers = data.nodes.map(() => []);
data.nodes.forEach((node, to) => {
  for (const code of node.from) {
    const from = code >> 1;
    consumers[from].push(2 * to + (code & 1));
    const [a, b] = [pathTo(leaves[from]), pathTo(leaves[to])];
    let depth = 0;
    while (depth < a.length - 1 && depth < b.length - 1 && a[depth + 1] === b[depth + 1]) depth++;
    if (depth + 1 >= a.length || depth + 1 >= b.length) continue;
    const scope = a[depth];
    if (!edgesOf.has(scope)) edgesOf.set(scope, new Map());
    const pairs = edgesOf.get(scope);
    const [source, target] = [a[depth + 1], b[depth + 1]];
    if (!pairs.has(source)) pairs.set(source, new Map());
    const edge = pairs.get(source).get(target) || { count: 0, data: 0 };
    edge.count++;
    if ((code & 1) === 0) edge.data++;
    pairs.get(source).set(target, edge);
  }
});

function pathTo(item) {
  const path = [];
  for (let at = item; at !== null; at = at.parent) path.push(at);
  return path.reverse();
}

/* Layout: from the inside out. A scope's layout is kept until something in it opens or closes. */

function textWidth(text) {
  return Math.min(190, text.length * 6.6);
}

function measure(item) {
  if (item.children === null) return { width: Math.max(44, textWidth(item.label) + 24), height: 26 };
  if (!item.open) return { width: Math.max(70, textWidth(item.label) + 52), height: 34 };
  const inner = layoutOf(item);
  return { width: Math.max(inner.width + 24, textWidth(item.label) + 60), height: inner.height + 46 };
}

function layoutOf(scope) {
  if (scope.layout !== null) return scope.layout;
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "BT", nodesep: 18, ranksep: 34, edgesep: 8, marginx: 4, marginy: 4 });
  graph.setDefaultEdgeLabel(() => ({}));
  const items = [...scope.children.values()];
  const ids = new Map(items.map((item, i) => [item, String(i)]));
  for (const item of items) graph.setNode(ids.get(item), measure(item));
  const edges = [];
  for (const [source, targets] of edgesOf.get(scope) || []) {
    for (const [target, edge] of targets) {
      if (source === target) continue;
      edges.push({ source, target, ...edge });
    }
  }
  // The layout's time grows with the edges' square: the strongest place the boxes, the others are drawn straight.
  edges.sort((a, b) => b.count - a.count);
  const placing = edges.slice(0, MAX_EDGES);
  for (const { source, target } of placing) graph.setEdge(ids.get(source), ids.get(target));
  // What has no edges would make one row, as wide as it is long: it stands in a block of its own below.
  const joined = new Set(edges.flatMap(({ source, target }) => [source, target]));
  const lone = items.filter((item) => !joined.has(item));
  const places = new Map();
  let [width, height] = [0, 0];
  if (joined.size > 0) {
    for (const item of lone) graph.removeNode(ids.get(item));
    dagre.layout(graph);
    for (const item of joined) {
      const { x, y, width, height } = graph.node(ids.get(item));
      places.set(item, { x: x - width / 2, y: y - height / 2, width, height });
    }
    for (const edge of placing) edge.points = graph.edge(ids.get(edge.source), ids.get(edge.target)).points;
    for (const edge of edges.slice(MAX_EDGES)) {
      const [from, to] = [places.get(edge.source), places.get(edge.target)];
      edge.points = [{ x: from.x + from.width / 2, y: from.y }, { x: to.x + to.width / 2, y: to.y + to.height }];
    }
    width = graph.graph().width;
    height = graph.graph().height;
  }
  const columns = Math.ceil(Math.sqrt(lone.length));
  const limit = Math.max(width, columns * 120);
  let [x, y, tall] = [4, height + (joined.size > 0 ? 22 : 4), 0];
  for (const item of lone) {
    const size = measure(item);
    if (x > 4 && x + size.width > limit) [x, y, tall] = [4, y + tall + 14, 0];
    places.set(item, { x, y, ...size });
    x += size.width + 14;
    tall = Math.max(tall, size.height);
    width = Math.max(width, x - 10);
    height = Math.max(height, y + size.height + 4);
  }
  scope.layout = { places, edges, width, height };
  return scope.layout;
}

/* Drawing. */

const svg = make("svg", { tabindex: "0", role: "group", "aria-label": "Graph; drag to move, wheel or + and - to zoom, Enter to unfold" });
const defs = make("defs", {});
for (const name of ["line", "strong"]) {
  const marker = make("marker", {
    id: "arrow-" + name, class: "arrow-" + name, viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "7", markerHeight: "7",
    orient: "auto", markerUnits: "userSpaceOnUse",
  });
  marker.append(make("path", { d: "M0,0.5 L8,4 L0,7.5 z" }));
  defs.append(marker);
}
const world = make("g", {});
svg.append(defs, world);
const view = { x: 0, y: 0, zoom: 1 };
let chosen = null;
let drawnItems = new Map();

function make(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function cut(text, length) {
  return text.length > length ? text.slice(0, length - 1) + "…" : text;
}

function draw() {
  drawnItems = new Map();
  world.replaceChildren();
  drawScope(top, 0, 0);
  status.textContent = drawnItems.size + " boxes shown, " + data.nodes.length + " nodes in the graph";
}

function drawScope(scope, x, y) {
  const { places, edges } = layoutOf(scope);
  const lines = make("g", { class: "edges" });
  world.append(lines);
  for (const [item, place] of places) drawItem(item, x + place.x, y + place.y, place);
  for (const { source, target, count, data: tensors, points } of edges) {
    const path = points.map((p, i) => {
      const [px, py] = [x + p.x, y + p.y];
      if (i === 0) return "M" + px + "," + py;
      if (i === points.length - 1) return "L" + px + "," + py;
      const next = points[i + 1];
      return "Q" + px + "," + py + " " + (px + x + next.x) / 2 + "," + (py + y + next.y) / 2;
    });
    const near = chosen !== null && (holds(source, chosen) || holds(target, chosen));
    const line = make("path", {
      d: path.join(" "),
      class: "edge" + (tensors === 0 ? " control" : "") + (near ? " near" : ""),
      "stroke-width": String(Math.min(5, 1 + Math.log2(count) * 0.6)),
      "marker-end": near ? "url(#arrow-strong)" : "url(#arrow-line)",
    });
    const title = make("title", {});
    title.textContent = source.label + " → " + target.label + ": " + count + (count === 1 ? " edge" : " edges");
    line.append(title);
    lines.append(line);
  }
}

function holds(item, other) {
  for (let at = other; at !== null; at = at.parent) if (at === item) return true;
  return false;
}

function drawItem(item, x, y, { width, height }) {
  const scope = item.children !== null;
  const kind = scope ? (item.open ? "scope open" : "scope") : "leaf";
  const group = make("g", {
    class: "item " + kind + (item === chosen ? " chosen" : ""),
    transform: "translate(" + x + "," + y + ")",
    tabindex: "0",
    role: "button",
    "aria-label": item.label + (scope ? ", scope of " + item.size + " nodes" : ", " + data.words[data.nodes[item.node].op]),
  });
  if (scope) group.setAttribute("aria-expanded", String(item.open));
  const box = make("rect", { width, height, rx: scope ? 6 : height / 2 });
  const label = make("text", item.open ? { x: 10, y: 18 } : { x: width / 2, y: height / 2 + 4, "text-anchor": "middle" });
  label.textContent = (scope ? (item.open ? "− " : "+ ") : "") + cut(item.label, 28) + (scope && !item.open ? "  " + item.size : "");
  const title = make("title", {});
  title.textContent = scope ? nameOf(item) : data.nodes[item.node].name + "\n" + data.words[data.nodes[item.node].op];
  group.append(box, label, title);
  world.append(group);
  drawnItems.set(item, { group, x, y, width, height });
  if (item.open) drawScope(item, x + (width - layoutOf(item).width) / 2, y + 32);
  group.addEventListener("click", (event) => {
    event.stopPropagation();
    if (moved) return;
    if (scope) toggle(item);
    else choose(item);
  });
  group.addEventListener("focus", () => {
    details(item);
    if (group.matches(":focus-visible")) show(item);
  });
  group.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.stopPropagation();
    if (scope) toggle(item);
    else choose(item);
    const now = drawnItems.get(item);
    if (now) now.group.focus({ preventScroll: true });
  });
}

function nameOf(item) {
  if (item.node >= 0) return data.nodes[item.node].name;
  const parts = pathTo(item).filter((at) => at.parent !== null && !at.gathered).map((at) => at.label);
  return parts.join("/") + (item.gathered ? (parts.length > 0 ? "/" : "") + item.label : "");
}

/** What lies in a scope that has nothing but another scope opens with it. */
function open(item) {
  item.open = true;
  item.layout = null;
  const children = [...item.children.values()];
  if (children.length === 1 && children[0].children) open(children[0]);
}

function forget(item) {
  for (let at = item; at !== null; at = at.parent) at.layout = null;
}

/** The box stays where it was under the mouse. */
function toggle(item) {
  const before = drawnItems.get(item);
  if (item.open) item.open = false;
  else open(item);
  forget(item);
  chosen = item;
  draw();
  const after = drawnItems.get(item);
  if (before && after) {
    view.x += (before.x + before.width / 2 - after.x - after.width / 2) * view.zoom;
    view.y += (before.y - after.y) * view.zoom;
  }
  place();
  details(item);
}

function choose(item) {
  chosen = item;
  draw();
  if (item) details(item);
  else panel.replaceChildren(hint);
}

/** Opens all that stands in the way, and brings it to the middle. */
function reveal(item) {
  for (let at = item.parent; at !== null && at !== top; at = at.parent) at.open = true;
  forget(item);
  choose(item);
  const at = drawnItems.get(item);
  if (view.zoom < 0.6) view.zoom = 0.9;
  view.x = svg.clientWidth / 2 - (at.x + at.width / 2) * view.zoom;
  view.y = svg.clientHeight / 2 - (at.y + at.height / 2) * view.zoom;
  place();
}

/** Moves a box into sight, as far as it is not. */
function show(item) {
  const at = drawnItems.get(item);
  if (!at) return;
  const into = (from, size, room) => {
    if (from < 10) return 10 - from;
    return from + size > room - 10 ? Math.max(10 - from, room - 10 - from - size) : 0;
  };
  view.x += into(view.x + at.x * view.zoom, at.width * view.zoom, svg.clientWidth);
  view.y += into(view.y + at.y * view.zoom, at.height * view.zoom, svg.clientHeight);
  place();
}

const panel = el("aside", { className: "panel" });
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
