/** A flat list of keys makes the runs that walking the same files makes. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type DiscoveredRun, discover } from "../../src/reader/discover.ts";
import { type ListedObject, runsOf } from "../../src/reader/listed-runs.ts";
import { localFiles } from "../../src/reader/local-files.ts";
import { EVENT_FILE, temporaryDirectory } from "../support/logdirs.ts";

function shapeOf({ name, directory, logdir, realPath, ...run }: DiscoveredRun): unknown {
  const names = [...run.files, run.hparamsFile, run.projectorFile].map(
    (file) => file && [file.path, file.name, file.size],
  );
  return { name, directory, logdir, realPath, names };
}

test("the same runs, files and order as in directories", () => {
  const root = temporaryDirectory();
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const files = [
    EVENT_FILE,
    `train/${EVENT_FILE}`,
    `train/${EVENT_FILE}.v2`,
    "train/hparams.yaml",
    "train/projector_config.pbtxt",
    "train/checkpoint-1",
    `train/profile/x.profile-empty`,
    `deep/er/and/deeper/${EVENT_FILE}`,
    "deep/hparams.yaml",
    "only a note/notes.txt",
    `.hidden/${EVENT_FILE}`,
    `a b/ü\u{10000}/${EVENT_FILE}`,
    `a b/ü\uffee/${EVENT_FILE}`,
    "plugins/profile/tfevents.profile-empty",
  ];
  for (const [index, file] of files.entries()) {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    writeFileSync(path.join(root, file), "x".repeat(index));
  }
  const objects = files.map((key, size): ListedObject => ({ key, size, mtime: 0n, token: "" }));
  const walked = discover(root).runs.map(shapeOf);
  expect(walked).toHaveLength(6);
  expect(runsOf(localFiles, root, objects.toReversed()).map(shapeOf)).toEqual(walked);
});

test("no objects, no runs; a key without an event file beside it makes none", () => {
  expect(runsOf(localFiles, "s", [])).toEqual([]);
  expect(runsOf(localFiles, "s", [{ key: "a/hparams.yaml", size: 1, mtime: 0n, token: "" }])).toEqual([]);
});
