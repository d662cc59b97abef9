/**
 * Compare what a W&B server gives back with what the logdirs hold, without writing anywhere.
 *
 * The way is that of a sync which knows nothing of an earlier one: every value passes through the engine and the backend,
 * and what comes out is compared instead of sent. Of rows' values only sums are kept; where they differ, both sides are
 * read once more.
 */
import os from "node:os";
import { WandbBackend } from "../../backends/wandb/backend.ts";
import type { Place } from "../../backends/wandb/place.ts";
import type { WandbReader } from "../../backends/wandb/reader.ts";
import type { RunAddress, RunFields, RunFile, StreamPart, WandbStore } from "../../backends/wandb/store.ts";
import type { TraceletError } from "../../errors.ts";
import type { Quarantine } from "../../sync/backend.ts";
import { type SyncOptions, sync } from "../../sync/engine/once.ts";
import type { SyncResult } from "../../sync/engine/sync-result.ts";
import type { Recordings } from "../../sync/source/recordings.ts";
import { Checkpoints } from "../../sync/state/checkpoints.ts";
import { notCompared, type VerifyResult } from "../result.ts";
import { ITEMS_HELD, noting, type Sides, settle, verifiedRuns } from "../second-look.ts";
import type { TakeItem } from "../series-sums.ts";
import { Axes } from "./rows.ts";
import { RunCheck, takeRows } from "./run-check.ts";
import { type Expectations, VerifyStore } from "./store.ts";

export interface VerifyOptions extends Omit<SyncOptions, "backend" | "checkpoints" | "onRun" | "trace"> {
  /** Only read; not closed. */
  readonly store: WandbStore;
  readonly reader: WandbReader;
  readonly place: Place;
  /** What uploads runs, by id, that wait for it elsewhere; undefined if none does. */
  readonly uploadOf?: ((ids: readonly string[]) => string | undefined) | undefined;
  /** The largest file that was to be stored, bytes; left out: any. */
  readonly maxArtifactBytes?: number | undefined;
  /** Items of either side that are held at once, 24 bytes each. Default 750,000. */
  readonly itemsHeld?: number | undefined;
}

/** @throws TraceletError `logdir` if one cannot be read */
export async function verifyWandb(options: VerifyOptions): Promise<VerifyResult> {
  const { reader, signal, itemsHeld = ITEMS_HELD, recordings } = options;
  const seen = new ChecksOfRuns(recordings);
  const { result, location } = await readSource(options, seen);
  const errors = new Map<string, TraceletError>();
  const checks = [...seen.checks.values()];
  for (const check of checks)
    if (check.ended) await noting(check.id, errors, signal, () => check.compare(reader, signal));
  if (!signal.aborted && result.error === undefined)
    await settle(checks, result.runs, sidesOf(options), { itemsHeld, signal, errors });
  const runs = verifiedRuns(result.runs, seen.checks, errors);
  const interrupted = signal.aborted;
  const left = interrupted ? notCompared(result, runs) : undefined;
  const endsAll = [...errors.values()].find((error) => error.endsAll);
  const names = new Map(runs.map(({ remoteId, name }) => [remoteId, name]));
  const notes = checks.flatMap(({ id, notes }) => notes.map((note) => `${names.get(id)}: ${note}`));
  const upload = options.uploadOf?.(checks.map(({ id }) => id));
  if (upload !== undefined) notes.unshift(upload);
  return { ...result, runs, location, error: result.error ?? endsAll, interrupted, left, upload, notes };
}

/** What the source holds now. @param expectations told all that would be sent */
async function readSource(
  { store, place, maxArtifactBytes, ...options }: VerifyOptions,
  expectations: Expectations,
): Promise<{ readonly result: SyncResult; readonly location: string | undefined }> {
  const stands = new VerifyStore(store, expectations);
  const { signal } = options;
  const backend = new WandbBackend({ store: stands, place, live: false, keepsMarks: false, maxArtifactBytes, signal });
  // No state can be there: it is empty, and kept nowhere.
  const checkpoints = Checkpoints.open(os.devNull, "", { readOnly: true });
  try {
    const result = await sync({ ...options, passesNamedFiles: true, quarantine: NOWHERE, backend, checkpoints });
    return { result, location: backend.location() };
  } finally {
    checkpoints.close();
  }
}

/** What W&B cannot hold was set aside when it was sent. */
const NOWHERE: Quarantine = { add: async () => "" };

/** The first reading: sums, and all that is small. */
class ChecksOfRuns implements Expectations {
  readonly checks = new Map<string, RunCheck>();
  readonly #recordings: Recordings | undefined;

  constructor(recordings: Recordings | undefined) {
    this.#recordings = recordings;
  }

  open(address: RunAddress, isThere: boolean): void {
    this.checks.set(address.name, new RunCheck(address, isThere, this.#recordings));
  }

  fields({ name }: RunAddress, fields: RunFields): void {
    this.checks.get(name)?.fields(fields);
  }

  part({ name }: RunAddress, part: StreamPart): void {
    this.checks.get(name)?.part(part);
  }

  async file({ name }: RunAddress, file: RunFile): Promise<void> {
    await this.checks.get(name)?.file(file);
  }
}

/** The second reading: the values themselves, of some series. */
class ItemsOfRuns implements Expectations {
  /** The runs that were read to their end. */
  readonly ended = new Set<string>();
  readonly #takeOf: (id: string) => TakeItem;
  readonly #axes = new Map<string, Axes>();

  constructor(takeOf: (id: string) => TakeItem) {
    this.#takeOf = takeOf;
  }

  open(): void {}

  fields({ name }: RunAddress, { config }: RunFields): void {
    if (config !== undefined) this.#axes.set(name, new Axes(config));
  }

  part({ name }: RunAddress, { history, exitCode }: StreamPart): void {
    takeRows(history?.lines ?? [], this.#axes.get(name) ?? new Axes("{}"), this.#takeOf(name));
    if (exitCode !== undefined) this.ended.add(name);
  }

  async file(): Promise<void> {}
}

function sidesOf(options: VerifyOptions): Sides<RunCheck> {
  const { reader, signal } = options;
  return {
    async source(wantsGroup, takeOf) {
      const expected = new ItemsOfRuns(takeOf);
      const { result } = await readSource({ ...options, onStart: () => {}, wantsGroup }, expected);
      return { ended: expected.ended, error: result.error };
    },
    async there(check, take) {
      await check.eachStored(reader, await check.recordOf(reader), signal, take);
    },
  };
}
