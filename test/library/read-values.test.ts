/** `readValues`, against what TensorBoard's own loader reads. */
import { rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type ReadProblem, readValues, type Value } from "../../src/reader/read-values.ts";
import { eventFile, scalarEvent, textEvent, versionEvent, withBitFlipped } from "../support/event-writer.ts";
import { cases } from "../support/expected.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

async function all(place: string, onProblem?: (problem: ReadProblem) => void): Promise<Value[]> {
  const values: Value[] = [];
  for await (const value of readValues(place, onProblem && { onProblem })) values.push(value);
  return values;
}

function fileWith(bytes: Uint8Array): string {
  const directory = temporaryDirectory();
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const file = path.join(directory, "events.out.tfevents.1.host");
  writeFileSync(file, bytes);
  return file;
}

test.each(cases().filter(({ name }) => ["example", "torch", "tf2"].includes(name)))(
  "the scalars of $name are TensorBoard's",
  async ({ logdir, runs }) => {
    const read = new Map<string, string[]>();
    for (const value of await all(logdir)) {
      if (value.kind !== "scalars") continue;
      const key = `${value.run} ${value.tag}`;
      read.set(key, [...(read.get(key) ?? []), `${value.step} ${value.wallTime} ${value.value}`]);
    }
    const expected = Object.entries(runs).flatMap(([run, { tags }]) =>
      Object.entries(tags).flatMap(([tag, { plugin, points }]) =>
        plugin === "scalars" || points.every(([, , value]) => typeof value === "number")
          ? [
              [
                `${run} ${tag}`,
                points.map(([step, wall, value]) => `${step} ${Number(wall)} ${Number(value)}`),
              ] as const,
            ]
          : [],
      ),
    );
    expect(Object.fromEntries(read)).toEqual(Object.fromEntries(expected));
  },
);

test("scalars and others in the order they were written in; steps beyond 2^53 are bigints", async () => {
  const file = fileWith(
    eventFile(
      versionEvent(),
      scalarEvent("loss", 2 ** 53 - 1, 1),
      textEvent("note", 3, "hi"),
      scalarEvent("loss", 2n ** 53n, 2),
      textEvent("note", -(2n ** 62n), "ho"),
    ),
  );
  const values = await all(file);
  expect(values.map(({ kind, tag, step }) => [kind, tag, step])).toEqual([
    ["scalars", "loss", 2 ** 53 - 1],
    ["text", "note", 3],
    ["scalars", "loss", 2n ** 53n],
    ["text", "note", -(2n ** 62n)],
  ]);
  const [, note] = values;
  expect(note).toMatchObject({ run: ".", strings: ["hi"] });
});

test("damage is told, or thrown once what can be read was", async () => {
  const records = [versionEvent(), scalarEvent("loss", 0, 1), scalarEvent("loss", 1, 2)].map((each) => eventFile(each));
  const [version, first, second] = records as [Buffer, Buffer, Buffer];
  const file = fileWith(Buffer.concat([version, withBitFlipped(first, 8 * 20), second]));
  const problems: ReadProblem[] = [];
  expect((await all(file, (problem) => problems.push(problem))).map(({ step }) => step)).toEqual([1]);
  const end = version.length + first.length;
  expect(problems).toEqual([{ path: file, start: version.length, end, reason: expect.any(String) }]);
  await expect(all(file)).rejects.toMatchObject({ code: "logdir", message: expect.stringContaining(file) });
});

test("what is not there, and whoever stops early", async () => {
  await expect(all("/nowhere/at/all")).rejects.toMatchObject({ code: "logdir", message: /ENOENT/ });
  const file = fileWith(eventFile(versionEvent(), scalarEvent("loss", 0, 1), scalarEvent("loss", 1, 2)));
  for await (const value of readValues(file)) {
    expect(value.step).toBe(0);
    break;
  }
});
