/** tracelet's own records as they are written: our reader has them back, TensorBoard passes over them. */
import { rmSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readValues, type Value } from "../../src/reader/read-values.ts";
import { EventFileWriter } from "../../src/writer/event-file-writer.ts";
import {
  artifactFileValue,
  artifactValue,
  MAX_ARTIFACT_BYTES,
  metricValue,
  paramsValue,
  tagsValue,
} from "../../src/writer/own-records.ts";
import { scalarValue } from "../../src/writer/values.ts";
import { temporaryDirectory } from "../support/logdirs.ts";
import { askPython } from "../sync/python.ts";

test("what is written is read", async () => {
  const directory = temporaryDirectory();
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const file = new EventFileWriter(path.join(directory, "events.out.tfevents.1"));
  const params = {
    lr: 0.1,
    n: 3,
    big: 2n ** 64n,
    nan: Number.NaN,
    inf: -Infinity,
    zero: -0,
    on: true,
    none: null,
    "ä\n": "x",
  };
  const large = { file: "/m.pt", size: 7, mtime: 5 };
  file.write([paramsValue(params), tagsValue({ a: "b" }), artifactValue("a/b.txt", Buffer.from("text"))]);
  file.write([artifactFileValue("m.pt", large, (text) => `signed ${text.length}`), scalarValue("loss", 2)]);
  file.write([metricValue("loss", "loss", { unit: "nats", at: [1n] }, 5n), metricValue("x", undefined, {})], 5);
  file.close();
  const values: Value[] = [];
  for await (const value of readValues(directory)) values.push(value);
  expect(values).toMatchObject([
    { kind: "hparams", tag: "tracelet/params" },
    { kind: "run_tags", tag: "tracelet/tags", tags: new Map([["a", "b"]]) },
    { kind: "artifacts", tag: "tracelet/artifact/a/b.txt", path: "a/b.txt" },
    // Of one event, scalars come first.
    { kind: "scalars", tag: "loss", value: 2 },
    { kind: "artifacts", path: "m.pt", content: { ...large, mac: "signed 14" } },
    { kind: "metric_info", step: 5, metric: "loss", type: "loss", info: { unit: "nats", at: [1] } },
    { kind: "metric_info", metric: "x", type: "", info: {} },
  ]);
  const [first] = values;
  const record = first?.kind === "hparams" ? first.record : undefined;
  // A whole number is an integer, as MLflow's own client has it from JavaScript or JSON.
  expect(record?.type === "params" && Object.fromEntries(record.hparams)).toEqual({
    ...{ lr: 0.1, n: 3n, big: 2n ** 64n, nan: "nan", inf: "-inf", zero: -0, on: true, none: null, "ä\n": "x" },
  });

  const scalars = askPython(
    `
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(data)
events.Reload()
answer = [events.Tags()["scalars"], [event.value for event in events.Scalars("loss")]]`,
    directory,
  );
  expect(scalars).toEqual([["loss"], [2]]);
});

test("what would not be read is not written", () => {
  for (const name of ["", "/etc/passwd", "../x", "a//b", "a\\b", "a\0", "x".repeat(201)]) {
    expect(() => artifactValue(name, new Uint8Array()), name).toThrow("the artifact's path");
    expect(() => artifactFileValue(name, { file: "/a", size: 1, mtime: 1 }), name).toThrow("the artifact's path");
  }
  expect(() => artifactValue("a", new Uint8Array(MAX_ARTIFACT_BYTES + 1))).toThrow("fit into an event file");
  expect(() => paramsValue({ a: "x".repeat(1 << 20) })).toThrow("fit into a record");
  const long = "n".repeat(1001);
  const many = Object.fromEntries(Array.from({ length: 10_001 }, (_, i) => [`n${i}`, "x"]));
  for (const names of [{ [long]: "x" }, many]) {
    expect(() => paramsValue(names)).toThrow(/a name of the params has 1001|the params have 10001 names/);
    expect(() => tagsValue(names)).toThrow(/a name of the tags has 1001|the tags have 10001 names/);
    expect(() => metricValue("m", "loss", names)).toThrow(/a name of the metadata|the metadata have 10001 names/);
  }
  expect(() => metricValue(long, "loss", {})).toThrow("a name of the metric has 1001");
  expect(() => metricValue("m", "t".repeat(101), {})).toThrow("type has 101 characters");
});
