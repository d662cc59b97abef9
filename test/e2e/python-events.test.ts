/** The event files that the Python package writes without TensorBoard, read by TensorBoard. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readValues } from "../../src/reader/read-values.ts";
import { type LoggedEvents, loggedEvents } from "./support/python.ts";

let folder: string;
let logged: LoggedEvents;

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-python-events-"));
  logged = await loggedEvents(path.join(folder, "made"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("what is logged by hand is byte for byte what TensorBoard's own classes write, and its reader takes it", () => {
  expect(logged).toEqual({
    events: 21,
    different: [],
    crcs: true,
    histogram: [true, true, true, true, true],
    pixels: [true, true, true, true],
    samples: [true, true],
    accumulated: {
      images: ["chw", "grey", "pil"],
      audio: ["sound"],
      histograms: ["spread"],
      distributions: ["spread"],
      tensors: expect.arrayContaining(["loss", "größe/é", "a", "b", "said", "acc"]),
    },
    ignored: [],
    raised: expect.anything(),
    warnings: expect.anything(),
  });
});

test("what no record may hold is refused with a warning and without an exception; all else is read", async () => {
  const params = new Map<string, unknown>();
  const others: unknown[] = [];
  for await (const value of readValues(path.join(folder, "made/awkward"))) {
    if (value.kind === "hparams" && value.record.type === "params") {
      for (const [name, param] of value.record.hparams) params.set(name, param);
    } else if (value.kind === "run_tags") others.push(...value.tags);
    else if (value.kind === "artifacts") others.push(value.path);
    else if (value.kind === "metric_info") others.push([value.metric, value.type, value.info]);
    else if (value.kind === "scalars" || value.kind === "text") others.push(value.tag);
    else others.push(value.kind);
  }
  const numbered = Array.from({ length: 10_001 }, (_, number) => [`many/${number}`, BigInt(number)]);
  expect(params).toEqual(
    new Map<unknown, unknown>([
      ["lr", 0.1],
      ["epochs", 5n],
      ...[0, 1, 2, 3].map((number) => [`long/${number}`, "é".repeat(300_000)] as const),
      ...(numbered as [string, bigint][]),
      ["whole", 1n],
      ["half?", "?"],
    ]),
  );
  expect(others).toEqual([
    ["team", "blue"],
    ...["kept/good.txt", "named.bin", "half?", "['listed']", "text"],
    ["acc", "", {}],
    ...["acc", "m".repeat(1001), "last"],
  ]);
  expect(logged.raised).toEqual([]);
  // One for each that is not in the file, or not whole.
  expect(logged.warnings).toHaveLength(21);
});
