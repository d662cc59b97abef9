/** The few fields of a GraphDef that a drawing needs, read one by one: graphs carry weights, which nobody has to hold. */
import protobuf from "protobufjs/minimal.js";

export interface GraphNode {
  readonly name: string;
  readonly op: string;
  /** As written: `name`, `name:1` for another output, `^name` for a control dependency. */
  readonly inputs: readonly string[];
  readonly device: string;
  /** Shown beside the node, where somebody has them. */
  readonly attrs?: readonly (readonly [name: string, value: string])[];
}

export interface GraphNodes {
  readonly nodes: readonly GraphNode[];
  /** Why there are more than these; empty where these are all. */
  readonly incomplete: string;
}

const MAX_NODES = 20_000;
const MAX_INPUTS = 100_000;
const MAX_NAME_BYTES = 4096;

/**
 * Source: tensorboard/compat/proto/graph.proto (`node` = 1) and node_def.proto (`name` = 1, `op` = 2, `input` = 3,
 * `device` = 4).
 */
export function graphNodes(bytes: Uint8Array): GraphNodes {
  const nodes: GraphNode[] = [];
  const budget = { inputs: MAX_INPUTS };
  try {
    const reader = protobuf.Reader.create(bytes);
    while (reader.pos < reader.len) {
      const key = reader.uint32();
      if (key !== NODE) {
        reader.skipType(key & 7);
        continue;
      }
      if (nodes.length === MAX_NODES) return { nodes, incomplete: `only the first ${MAX_NODES} nodes are drawn` };
      nodes.push(nodeOf(reader.bytes(), budget));
    }
  } catch {
    return { nodes, incomplete: "the rest of the graph is damaged" };
  }
  return { nodes, incomplete: budget.inputs < 0 ? `only the first ${MAX_INPUTS} edges are drawn` : "" };
}

const NODE = (1 << 3) | 2;
const NAME = (1 << 3) | 2;
const OP = (2 << 3) | 2;
const INPUT = (3 << 3) | 2;
const DEVICE = (4 << 3) | 2;

function nodeOf(bytes: Uint8Array, budget: { inputs: number }): GraphNode {
  const reader = protobuf.Reader.create(bytes);
  const node = { name: "", op: "", inputs: [] as string[], device: "" };
  while (reader.pos < reader.len) {
    const key = reader.uint32();
    if (key === NAME) node.name = textOf(reader);
    else if (key === OP) node.op = textOf(reader);
    else if (key === DEVICE) node.device = textOf(reader);
    else if (key === INPUT) {
      const input = textOf(reader);
      if (budget.inputs-- > 0) node.inputs.push(input);
    } else reader.skipType(key & 7);
  }
  return node;
}

const utf8 = new TextDecoder();

function textOf(reader: protobuf.Reader): string {
  return utf8.decode(reader.bytes().subarray(0, MAX_NAME_BYTES));
}
