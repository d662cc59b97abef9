/** `tracelet forget`: what this machine remembers of runs is removed, so that the next sync asks the destination. */
import { existsSync } from "node:fs";
import type { CommandOptions } from "../config/options.ts";
import { nameInState } from "../config/registry.ts";
import { forgetRecordings } from "../recorder/tidy.ts";
import { groupAlone } from "../sync/source/groups.ts";
import { discoverAll, sourcesOf } from "../sync/source/logdirs.ts";
import { isRecordingPath, Recordings } from "../sync/source/recordings.ts";
import { SESSION } from "../sync/source/run-group.ts";
import { Checkpoints } from "../sync/state/checkpoints.ts";
import { type Lock, lockSource } from "../sync/state/lock.ts";
import type { StoredRun } from "../sync/state/stored-run.ts";
import { findRemembered } from "./remembered.ts";
import { oneLine, outputTo, plural, printable } from "./terminal.ts";

export type ForgetCommandOptions = CommandOptions<"forget">;

/**
 * @param what logdirs, and names of runs
 * @returns the exit code: 1 if nothing was remembered of any of them
 * @throws TraceletError `logdir`, `state`; `locked` while a logdir is being synced
 */
export async function runForget(what: readonly string[], options: ForgetCommandOptions): Promise<number> {
  const backends = options.backend && (await Promise.all(options.backend.map(nameInState)));
  const logdirs = what.filter((each) => existsSync(each));
  const names = new Set(what.filter((each) => !existsSync(each)));
  const { runs } = discoverAll(logdirs);
  const forgotten: Forgotten[] = [];
  const recordings = new Recordings(options.stateDir);
  const joined = await recordings.join(runs.map((run) => groupAlone(run)));
  const recorded = new Set(joined.flatMap(({ files }) => files.map(({ name }) => name)).filter(isRecordingPath));
  for (const destination of Checkpoints.destinations(options.stateDir)) {
    if (backends?.some((name) => destination.startsWith(`${name} `)) === false) continue;
    const locks: Lock[] = [];
    const checkpoints = Checkpoints.open(options.stateDir, destination);
    try {
      for (const source of sourcesOf(logdirs)) locks.push(lockSource(options.stateDir, destination, source.path));
      const stored = checkpoints.runs();
      const found = new Set<StoredRun>();
      for (const run of runs) {
        const remembered = findRemembered(run, stored);
        if (remembered !== undefined) found.add(remembered.of);
      }
      for (const name of names) for (const run of stored.get(name) ?? []) found.add(run);
      for (const { files } of found) for (const { name } of files) if (isRecordingPath(name)) recorded.add(name);
      const sessions = new Set([...found].map(({ name }) => name).filter((name) => name.startsWith(SESSION)));
      for (const { path } of sourcesOf(logdirs))
        for (const name of sessions) locks.push(lockSource(options.stateDir, destination, path, name));
      checkpoints.forget([...found]);
      for (const { name, remoteId } of found) forgotten.push({ destination, run: name, remoteId: remoteId ?? null });
    } finally {
      for (const lock of locks) lock.release();
      checkpoints.close();
    }
  }
  forgetRecordings(options.stateDir, recordings, recorded);
  const output = outputTo(process.stdout);
  if (options.json) output.write(`${printable(JSON.stringify({ forgotten }))}\n`);
  else {
    for (const { destination, run } of forgotten) output.write(`${oneLine(run)} at ${oneLine(destination)}\n`);
    output.write(`${summary(forgotten)}\n`);
  }
  return forgotten.length === 0 ? 1 : 0;
}

interface Forgotten {
  readonly destination: string;
  readonly run: string;
  readonly remoteId: string | null;
}

function summary(forgotten: readonly Forgotten[]): string {
  if (forgotten.length === 0) return "nothing is remembered of any of them";
  const runs = new Set(forgotten.map(({ run }) => run)).size;
  const destinations = new Set(forgotten.map(({ destination }) => destination)).size;
  return `forgotten: ${plural(runs, "run")} at ${plural(destinations, "destination")}`;
}
