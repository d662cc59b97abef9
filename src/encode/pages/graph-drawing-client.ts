/** Browser side of the graph page: the boxes and lines, and which of them is chosen. Plain JavaScript. */
export const GRAPH_DRAWING: string = String.raw`/* Drawing. */

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

`;
