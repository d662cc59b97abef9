/** Graphs: what is read of a GraphDef, and what of it is drawn. */
import protobuf from "protobufjs/minimal.js";
import { describe, expect, test } from "vitest";
import { type GraphNode, graphNodes, graphPage, graphPageData } from "../../src/encode/pages/graph-page.ts";
import { HOSTILE, network } from "./samples.ts";

/** A GraphDef with more in it than anybody reads: versions, libraries, attributes with weights. */
function graphDef(nodes: readonly GraphNode[]): Uint8Array {
  const writer = protobuf.Writer.create();
  writer.uint32(34).fork().uint32(8).int32(22).ldelim();
  for (const { name, op, inputs, device } of nodes) {
    writer.uint32(10).fork().uint32(10).string(name).uint32(18).string(op);
    for (const input of inputs) writer.uint32(26).string(input);
    writer.uint32(34).string(device);
    writer.uint32(42).fork().uint32(10).string("value").uint32(18).bytes(new Uint8Array(1000)).ldelim();
    writer.ldelim();
  }
  writer.uint32(18).fork().uint32(10).bytes(new Uint8Array(10)).ldelim();
  return writer.finish();
}

describe("graphNodes", () => {
  test("name, op, inputs and device", () => {
    const nodes = network(9);
    expect(graphNodes(graphDef(nodes))).toEqual({ nodes, incomplete: "" });
  });

  test("of a damaged graph, what comes before the damage", () => {
    const bytes = graphDef(network(9));
    const { nodes, incomplete } = graphNodes(bytes.subarray(0, bytes.length - 3000));
    expect(nodes.length).toBeGreaterThan(10);
    expect(incomplete).toBe("the rest of the graph is damaged");
    for (let cut = 0; cut < bytes.length; cut += 97) expect(() => graphNodes(bytes.subarray(0, cut))).not.toThrow();
    expect(graphNodes(new Uint8Array(100_000).fill(0x0b)).nodes).toEqual([]);
  });

  test("a bound on nodes and edges", () => {
    const many = Array.from({ length: 20_001 }, (_, i) => ({ name: `n${i}`, op: "", inputs: [], device: "" }));
    expect(graphNodes(graphDef(many))).toMatchObject({
      nodes: { length: 20_000 },
      incomplete: "only the first 20000 nodes are drawn",
    });
    const dense = [{ name: "a", op: "", inputs: Array.from({ length: 100_001 }, () => "b"), device: "" }];
    const read = graphNodes(graphDef(dense));
    expect(read.nodes[0]?.inputs).toHaveLength(100_000);
    expect(read.incomplete).toBe("only the first 100000 edges are drawn");
  });
});

describe("page", () => {
  test("edges point at nodes, each once; what is missing is counted", () => {
    const node = (name: string, ...inputs: string[]) => ({ name, op: "Op", inputs, device: "" });
    const { nodes, notes } = graphPageData([node("a"), node("b:0"), node("c", "a", "a:1", "^a", "b:0", "gone")]);
    expect(nodes[2]?.from).toEqual([0, 1, 2]);
    expect(notes).toEqual(["1 input names a node that the graph does not have."]);
  });

  test("names of any kind stay data", () => {
    const html = graphPage(
      "g",
      HOSTILE.map((name) => ({ name, op: name, inputs: [name], device: name })),
    );
    expect(html.match(/<script/g)).toHaveLength(3);
  });
});
