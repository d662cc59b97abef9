/** Browser side of the graph page: the tree of scopes, their edges, and where each box goes. Plain JavaScript. */
export const GRAPH_LAYOUT: string = String.raw`
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

`;
