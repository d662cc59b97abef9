/** The file that tells how far a run is: what it costs, and who may write it. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { StateFiles, type ToldState } from "../../src/backends/files/state-file.ts";
import { OutputDirectory } from "../../src/backends/output-directory.ts";
import { movedTo, newState } from "../../src/backends/run-state.ts";
import type { FileMark } from "../../src/sync/source/fingerprint.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

const ID = "train/tracelet.json";

function markOf(file: number, offset: number): FileMark {
  return { key: `key ${file}`, name: `events.${file}`, head: 256, offset, from: 0, tail: "t" };
}

/** Counts the bytes of whole states. */
class CountingDirectory extends OutputDirectory {
  placed = 0;

  override place(file: string, bytes: Uint8Array): void {
    this.placed += bytes.length;
    super.place(file, bytes);
  }
}

function begin(): { directory: CountingDirectory; states: StateFiles; told: Omit<ToldState, "fields"> } {
  const root = temporaryDirectory();
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const directory = new CountingDirectory(root);
  const states = new StateFiles(directory);
  const state = newState("train", "source", []);
  return { directory, states, told: { state, startTime: 1.5, log: states.place(ID, state, 1.5, { lengths: 0 }) } };
}

test("what is told of each of many event files is written about twice", () => {
  const { directory, states, told } = begin();
  let { state, log } = told;
  for (let file = 0; file < 500; file++) {
    const next = movedTo(state, [markOf(file, 100)], undefined);
    log = states.change(ID, { ...told, state, log }, next, { lengths: file });
    state = next;
  }
  const read = states.read(ID);
  expect(read?.state.marks.size).toBe(500);
  expect(read?.state).toEqual(state);
  expect(read?.startTime).toBe(1.5);
  expect(read?.fields["lengths"]).toBe(499);
  expect(read?.log).toEqual(log);
  // 500 × the whole state would be 250 times its size.
  expect(directory.placed).toBeLessThan(3 * log.length);
});

test("a line that is cut off, or holds no JSON, is not told", () => {
  const { directory, states, told } = begin();
  const first = movedTo(told.state, [markOf(1, 100)], undefined);
  const log = states.change(ID, told, first, {});
  states.change(ID, { ...told, state: first, log }, movedTo(first, [markOf(1, 200)], undefined), {});
  const file = directory.path(ID);
  const whole = readFileSync(file);
  for (let length = log.length; length < whole.length; length++) {
    writeFileSync(file, whole.subarray(0, length));
    expect(states.read(ID)?.state).toEqual(first);
  }
  writeFileSync(file, Buffer.concat([whole.subarray(0, log.length), Buffer.from("\0\0\0\n"), whole]));
  expect(states.read(ID)?.state).toEqual(first);
});

test("who finds another's line, another file or none writes nothing", () => {
  const { directory, states, told } = begin();
  const next = movedTo(told.state, [markOf(1, 100)], undefined);
  states.change(ID, told, next, {});
  expect(() => states.change(ID, told, next, {})).toThrow(expect.objectContaining({ code: "overtaken" }));
  const again = states.place(ID, told.state, 1.5, {});
  expect(() => states.change(ID, told, next, {})).toThrow(expect.objectContaining({ code: "overtaken" }));
  rmSync(path.join(directory.root, "train"), { recursive: true });
  expect(() => states.change(ID, { ...told, log: again }, next, {})).toThrow(
    expect.objectContaining({ code: "deleted" }),
  );
});
