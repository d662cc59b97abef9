/**
 * Compare what files hold with what the logdirs hold, without writing anywhere.
 *
 * The way is that of a sync that starts anew: every value passes through the engine, and is compared with all that is in the
 * run's files, whatever tracelet remembers of them. Of both sides only sums are kept. Where they differ, both are read once
 * more, and the values of those tags are held and compared, some hundred thousand at a time.
 */
import type { FilesBackend } from "../../backends/files/backend.ts";
import type { OpenRun } from "../../backends/files/runs-on-disk.ts";
import type { OutputDirectory } from "../../backends/output-directory.ts";
import type { RunState } from "../../backends/run-state.ts";
import type { TraceletError } from "../../errors.ts";
import type { Batch, FinalStatus } from "../../sync/backend.ts";
import type { SyncOptions } from "../../sync/engine/once.ts";
import type { Recordings } from "../../sync/source/recordings.ts";
import { passOverRecorded } from "../recorded.ts";
import { notCompared, type VerifyResult } from "../result.ts";
import { ITEMS_HELD, noting, type Sides, settle, verifiedRuns } from "../second-look.ts";
import type { TakeItem } from "../series-sums.ts";
import type { Contents } from "./contents.ts";
import { type Expectations, readSource } from "./reading.ts";
import { RunCheck } from "./run-check.ts";

export interface VerifyOptions extends Omit<SyncOptions, "backend" | "checkpoints" | "onRun" | "trace"> {
  readonly directory: OutputDirectory;
  /** Only asked where a run's files are. */
  readonly files: FilesBackend<OpenRun>;
  readonly contents: Contents;
  /** Items of either side that are held at once, 24 bytes each. Default 750,000. */
  readonly itemsHeld?: number | undefined;
}

/** @throws TraceletError `logdir` if one cannot be read */
export async function verifyFiles(options: VerifyOptions): Promise<VerifyResult> {
  const { directory, files, contents, itemsHeld = ITEMS_HELD, ...source } = options;
  const { signal } = options;
  const sums = new SumsOfRuns(contents, source.recordings);
  const result = await readSource(source, files, sums);
  const errors = new Map<string, TraceletError>();
  for (const check of sums.checks.values())
    if (check.status !== undefined)
      await noting(check.id, errors, signal, () => check.compare(contents, directory, signal));
  const checks = [...sums.checks.values()];
  if (!signal.aborted && result.error === undefined)
    await settle(checks, result.runs, sidesOf(options), { itemsHeld, signal, errors });
  const runs = verifiedRuns(result.runs, sums.checks, errors);
  const interrupted = signal.aborted;
  const left = interrupted ? notCompared(result, runs) : undefined;
  return { ...result, runs, location: directory.root, interrupted, left };
}

/** The first reading: sums. */
class SumsOfRuns implements Expectations {
  readonly checks = new Map<string, RunCheck>();
  readonly #contents: Contents;
  readonly #recordings: Recordings | undefined;

  constructor(contents: Contents, recordings: Recordings | undefined) {
    this.#contents = contents;
    this.#recordings = recordings;
  }

  open(id: string, state: RunState | undefined): void {
    if (this.checks.has(id)) return;
    const check = new RunCheck(id, state);
    passOverRecorded(check.findings, this.#recordings, state?.marks.values() ?? []);
    this.checks.set(id, check);
  }

  batch(id: string, run: string, batch: Batch): void {
    const check = this.checks.get(id);
    if (check !== undefined) this.#contents.expected(run, batch, check.expect, check.expectMedium);
  }

  end(id: string, status: FinalStatus): void {
    const check = this.checks.get(id);
    if (check !== undefined) check.status = status;
  }
}

/** The second reading: the values themselves, of some series. */
class ItemsOfRuns implements Expectations {
  /** The runs that were read to their end. */
  readonly ended = new Set<string>();
  readonly #contents: Contents;
  readonly #takeOf: (id: string) => TakeItem;

  constructor(contents: Contents, takeOf: (id: string) => TakeItem) {
    this.#contents = contents;
    this.#takeOf = takeOf;
  }

  open(): void {}

  batch(id: string, run: string, batch: Batch): void {
    this.#contents.expected(run, batch, this.#takeOf(id), () => {});
  }

  end(id: string): void {
    this.ended.add(id);
  }
}

function sidesOf(options: VerifyOptions): Sides<RunCheck> {
  const { directory, files, contents, ...source } = options;
  return {
    async source(wantsGroup, takeOf) {
      const expected = new ItemsOfRuns(contents, takeOf);
      const { error } = await readSource({ ...source, onStart: () => {}, wantsGroup }, files, expected);
      return { ended: expected.ended, error };
    },
    async there({ id }, take) {
      await directory.guarded(id, () => contents.stored(id, take));
    },
  };
}
