/** Graphs: the bytes as they are, and a text that protobuf's own reader takes for the same message. */
import { describe, expect, test } from "vitest";
import { encodeGraphs } from "../../../src/backends/artifacts/graphs.ts";
import { ENUMS, MESSAGES } from "../../../src/encode/graph-schema.ts";
import { textFormat } from "../../../src/encode/pbtxt.ts";
import type { GraphDatum } from "../../../src/reader/datum.ts";
import { askPython } from "../python.ts";
import { base, contextOf, fixtureData, hex, pathsOf } from "./support.ts";

const PYTHON = `
import base64
from google.protobuf import text_format
from tensorboard.compat.proto import graph_pb2, meta_graph_pb2
TYPES = {"GraphDef": graph_pb2.GraphDef, "MetaGraphDef": meta_graph_pb2.MetaGraphDef}
def as_bytes(message): return base64.b64encode(message.SerializeToString(deterministic=True)).decode()
`;

describe("graphs", () => {
  test("the schema is TensorBoard's", () => {
    const seen = askPython(
      `${PYTHON}
T = {1: "double", 2: "float", 3: "int64", 4: "uint64", 5: "int32", 6: "fixed64", 7: "fixed32", 8: "bool", 9: "string", 12: "bytes", 13: "uint32", 15: "sfixed32", 16: "sfixed64", 17: "sint32", 18: "sint64"}
messages, enums = {}, {}
def short(descriptor): return descriptor.full_name.removeprefix("tensorboard.")
def walk(descriptor):
    if short(descriptor) in messages: return
    fields = sorted(descriptor.fields, key=lambda field: field.number)
    messages[short(descriptor)] = "; ".join(f"{f.number} {f.name} {short(f.message_type or f.enum_type) if f.message_type or f.enum_type else T[f.type]}" for f in fields)
    for f in fields:
        if f.message_type: walk(f.message_type)
        if f.enum_type: enums[short(f.enum_type)] = "; ".join(f"{v.number} {v.name}" for v in sorted(f.enum_type.values, key=lambda v: v.number))
walk(graph_pb2.GraphDef.DESCRIPTOR)
walk(meta_graph_pb2.MetaGraphDef.DESCRIPTOR)
answer = [messages, enums]
`,
      null,
    );
    expect([MESSAGES, ENUMS]).toEqual(seen);
  });

  test("protobuf reads the text of every kind of field", () => {
    const made = askPython(
      `${PYTHON}
graph = graph_pb2.GraphDef()
node = graph.node.add(name='a"b\\\\ä\\n\\t\\u202e', op="Const", input=["^x", "y:1"], device="")
node.attr["f"].f = 0.1
node.attr["big"].f = 3.4028234663852886e38
node.attr["nan"].f = float("nan")
node.attr["ninf"].f = float("-inf")
node.attr["negzero"].f = -0.0
node.attr["i"].i = -(2**63)
node.attr["b"].b = True
node.attr["s"].s = bytes(range(256))
node.attr["type"].type = 1
node.attr["strange"].type = 9999
node.attr["shape"].shape.dim.add(size=-1, name="n")
node.attr["list"].list.i.extend([1, -2, 2**53 + 1])
node.attr["list"].list.f.extend([0.5, 1e-45])
node.attr["list"].list.type.extend([1, 2, 9999])
node.attr["list"].list.s.extend([b"", b"x"])
node.attr["empty"].list.SetInParent()
tensor = node.attr["value"].tensor
tensor.dtype = 2
tensor.double_val.extend([0.1, 5e-324, 1e308, float("inf")])
tensor.uint64_val.extend([2**64 - 1])
tensor.tensor_content = b"\\x00\\xff"
function = graph.library.function.add()
function.signature.name = "f"
function.ret["out"] = "z"
function.arg_attr[3].attr["x"].i = 1
graph.versions.producer = 987
graph.versions.bad_consumers.extend([1, 2])
graph.debug_info.frames_by_id[2**64 - 1].line = 7
meta = meta_graph_pb2.MetaGraphDef(graph_def=graph)
meta.meta_info_def.tags.append("serve")
meta.collection_def["c"].any_list.value.add(type_url="type.googleapis.com/x", value=b"\\x01")
meta.object_graph_def.nodes.add().variable.dtype = 1
answer = [["GraphDef", as_bytes(graph)], ["MetaGraphDef", as_bytes(meta)], ["GraphDef", ""]]
`,
      null,
    ) as [string, string][];
    expect(reread(made)).toEqual(made.map(([, bytes]) => bytes));
  });

  test("protobuf reads the text of the fixtures' graphs", async () => {
    const messages: [string, string][] = [];
    for (const { content, blobs } of await fixtureData("graphs")) {
      const type = { graph_def: "GraphDef", meta_graph_def: "MetaGraphDef" }[content as string];
      if (type) for (const blob of blobs) messages.push([type, Buffer.from(blob).toString("base64")]);
    }
    const whole = messages.filter(([type, bytes]) => textFormat(Buffer.from(bytes, "base64"), type) !== undefined);
    expect(whole.length).toBeGreaterThan(3);
    const canonical = askPython(
      `${PYTHON}
answer = [as_bytes(TYPES[type].FromString(base64.b64decode(data))) for type, data in data]
`,
      whole,
    );
    expect(reread(whole)).toEqual(canonical);
  });

  test("what is no message has no text, and a field of a later version is a comment", () => {
    expect(textFormat(Buffer.from("no graph"), "GraphDef")).toBeUndefined();
    expect(textFormat(Uint8Array.of(0x0a, 0x7f), "GraphDef")).toBeUndefined();
    expect(textFormat(Uint8Array.of(0xf8, 0x07, 0x05, 0x18, 0x02), "GraphDef")).toBe(
      "# unknown field 127\nversion: 2\n",
    );
  });

  test("names", () => {
    const graph = (tag: string, content: GraphDatum["content"], step = 0n, blobs = [new Uint8Array()]) =>
      pathsOf(encodeGraphs({ ...base(tag, step), kind: "graphs", content, blobs }, contextOf()));
    expect(graph("__run_graph__", "graph_def")).toEqual(["graph/__run_graph__.pb", "graph/__run_graph__.pbtxt"]);
    expect(graph("keras", "keras_model")).toEqual(["graph/keras.json"]);
    expect(graph("step1", "run_metadata", 7n)).toEqual(["graph/step1@7.run_metadata.pb"]);
    expect(graph("f", "run_metadata_graph", 0n, [new Uint8Array(), new Uint8Array()])).toEqual([
      "graph/f.run_metadata.pb",
      "graph/f@0-1.run_metadata.pb",
    ]);
    expect(graph("g", "graph_def", 0n, [Buffer.from("no graph")])).toEqual(["graph/g.pb"]);
  });

  test("the bytes are the writer's", async () => {
    for (const datum of await fixtureData("graphs")) {
      const [first] = encodeGraphs(datum, contextOf());
      if (datum.blobs[0]) expect(hex(first?.bytes as Uint8Array)).toBe(hex(datum.blobs[0]));
    }
  });
});

/** The messages that `text_format` makes of our text. */
function reread(messages: readonly (readonly [type: string, base64: string])[]): unknown {
  const texts = messages.map(([type, bytes]) => [type, textFormat(Buffer.from(bytes, "base64"), type)]);
  return askPython(
    `${PYTHON}\nanswer = [as_bytes(text_format.Parse(text, TYPES[type]())) for type, text in data]`,
    texts,
  );
}
