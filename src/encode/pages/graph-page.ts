/** A graph, drawn: folded by name scope, each open scope laid out by itself. */
import { GRAPH_SCRIPT, GRAPH_STYLE } from "./graph-client.ts";
import type { GraphNode } from "./graph-nodes.ts";
import { dagre } from "./library.ts";
import { renderPage } from "./page.ts";

export { type GraphNode, graphNodes } from "./graph-nodes.ts";

export interface GraphPageData {
  /** Names of ops and devices, which repeat. */
  readonly words: readonly string[];
  readonly nodes: readonly {
    readonly name: string;
    /** Position in `words`. */
    readonly op: number;
    readonly device: number;
    /** Twice the position of the node it comes from, and one more for a control dependency. */
    readonly from: readonly number[];
    readonly attrs: readonly (readonly [string, string])[];
  }[];
  readonly notes: readonly string[];
}

/** @param incomplete why there are more nodes than these, as `graphNodes` says */
export function graphPage(title: string, nodes: readonly GraphNode[], incomplete = ""): string {
  return renderPage({
    title,
    script: GRAPH_SCRIPT,
    style: GRAPH_STYLE,
    libraries: [dagre()],
    data: graphPageData(nodes, incomplete),
  });
}

export function graphPageData(nodes: readonly GraphNode[], incomplete = ""): GraphPageData {
  const words = new Map<string, number>();
  const word = (text: string) => {
    const at = words.get(text) ?? words.size;
    words.set(text, at);
    return at;
  };
  const positions = new Map(nodes.map(({ name }, i) => [name, i]));
  let missing = 0;
  const drawn = nodes.map(({ name, op, device, inputs, attrs }) => {
    const from = new Set<number>();
    for (const input of inputs) {
      const control = input.startsWith("^");
      const plain = control ? input.slice(1) : input;
      const at = positions.get(plain) ?? positions.get(plain.replace(/:\d+$/, ""));
      if (at === undefined) missing++;
      else from.add(2 * at + Number(control));
    }
    return { name, op: word(op), device: word(device), from: [...from], attrs: (attrs ?? []).slice(0, 50) };
  });
  const notes = [
    incomplete === "" ? "" : `Not the whole graph: ${incomplete}.`,
    missing > 0
      ? `${missing} ${missing === 1 ? "input names a node" : "inputs name nodes"} that the graph does not have.`
      : "",
  ];
  return { words: [...words.keys()], nodes: drawn, notes: notes.filter((text) => text !== "") };
}
