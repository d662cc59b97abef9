/**
 * A guard against sliding back: the processor time that the reader takes for scalars, as a ratio to the generated decoder
 * alone on the same bytes in the same process. The bound is generous, and still far below what is lost where the fast path
 * is no longer taken or something is allocated for each point.
 */
import { expect, test } from "vitest";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { tensorboard } from "../../src/reader/proto/tensorboard.js";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { RecordReader } from "../../src/reader/tfrecord.ts";
import { cpuTime } from "../support/cpu-time.ts";
import { event, eventFile, ScriptedSource, scalarEvent } from "../support/event-writer.ts";

const POINTS = 50_000;
const ROUNDS = 9;
/** With both checksums, the tags' numbers and the columns it takes a fifth of the decoder's time, or a ninth for V2. */
const AT_LEAST = 2;

const tensor = { dtype: "DT_FLOAT", tensorShape: {}, tensorContent: Buffer.from("0000803f", "hex") };
const metadata = { pluginData: { pluginName: "scalars" } };

test.each([
  ["V1", (tag: string, step: number) => scalarEvent(tag, step, step / 7)],
  [
    "V2",
    (tag: string, step: number) => event({ wallTime: step, step, summary: { value: [{ tag, metadata, tensor }] } }),
  ],
])("%s scalars are read in a fraction of the time the generated decoder takes", async (_, write) => {
  const payloads = Array.from({ length: POINTS }, (_, i) => write(`train/metric_${i % 20}`, Math.floor(i / 20)));
  const source = new ScriptedSource(eventFile(...payloads));
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const decoding = cpuTime();
    for (const payload of payloads) tensorboard.Event.decode(payload);
    const decoded = decoding();
    const reading = cpuTime();
    expect(await readAll(source)).toBe(POINTS);
    ratios.push(decoded / reading());
  }
  ratios.sort((a, b) => a - b);
  expect(ratios[ROUNDS >> 1]).toBeGreaterThan(AT_LEAST);
});

async function readAll(source: ScriptedSource): Promise<number> {
  const reader = new EventFileReader(new RecordReader(source, { end: source.size }), new Map());
  const batch = new RecordBatch(4096, new TagTable());
  let points = 0;
  for (let more = true; more; batch.clear()) {
    more = await reader.read(batch);
    points += batch.length;
  }
  return points;
}
