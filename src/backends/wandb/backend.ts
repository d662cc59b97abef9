/** Weights & Biases as a destination: each run of the source is a run of a project. */
import { randomUUID } from "node:crypto";
import { TraceletError } from "../../errors.ts";
import { backoff, pause } from "../../pause.ts";
import { holdsHparams } from "../../reader/datum.ts";
import type {
  Backend,
  Batch,
  FilesReceipt,
  FinalStatus,
  KnownRun,
  Receipt,
  RunChange,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../../sync/backend.ts";
import type { Note } from "../../sync/report/note.ts";
import { Tally } from "../../sync/report/tally.ts";
import { hashText } from "../../sync/source/fingerprint.ts";
import { fitDisplayName, keyOf } from "./names.ts";
import type { Place } from "./place.ts";
import { rowsOf, scalarsOf } from "./rows.ts";
import { WandbRun } from "./run.ts";
import { RunConfig } from "./run-config.ts";
import { firstState, reachedBy, type StoredState } from "./run-state.ts";
import type { RunAddress, RunStatus, WandbStore } from "./store.ts";

export interface WandbBackendOptions {
  readonly store: WandbStore;
  readonly place: Place;
  /** Whether runs are shown as running while nothing is sent. */
  readonly live: boolean;
  /** False if every run is to be sent whole, whatever it says to have. Default true. */
  readonly keepsMarks?: boolean | undefined;
  /** Its abort ends every wait. */
  readonly signal?: AbortSignal | undefined;
}

/** W&B's client shows that it is alive as often. ms. */
const HEARTBEAT = 30_000;
const ID_LENGTH = 16;
/** The web page has doubles. */
const LARGEST_SHOWN = BigInt(Number.MAX_SAFE_INTEGER);
/** How long who was overtaken leaves a run to the other one, ms. */
const [FIRST_WAIT, LONGEST_WAIT] = [500, 30_000];

interface Found {
  readonly address: RunAddress;
  readonly status: RunStatus;
  readonly stored: StoredState;
}

export class WandbBackend implements Backend {
  /** Three requests a batch, whose lines are some megabytes. */
  readonly batchSize = 20_000;
  readonly #store: WandbStore;
  readonly #place: Place;
  readonly #keepsMarks: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #open = new WeakMap<RunHandle, WandbRun>();
  /** Those that are shown as running, by id, as they were opened last. */
  readonly #running = new Map<string, WandbRun>();
  readonly #heartbeat: NodeJS.Timeout | undefined;
  /** How often others have opened a run that was open here, by id. */
  readonly #overtaken = new Map<string, number>();
  #entity: Promise<string> | undefined;
  #location: string | undefined;

  constructor({ store, place, live, keepsMarks = true, signal }: WandbBackendOptions) {
    this.#keepsMarks = keepsMarks;
    this.#signal = signal;
    this.#store = store;
    this.#place = place;
    if (live) this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT).unref();
  }

  async open(run: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    const entity = await (this.#entity ??= this.#findEntity());
    this.#location = this.#store.location(entity, this.#place.project);
    for (;;) {
      const found = await this.#find(run, knownId, entity);
      if ("stored" in found) {
        const times = this.#overtaken.get(found.address.name) ?? 0;
        if (times === 0) return this.#handleOf(run, found, false);
        // Two that take a run from each other again and again would add nothing to it: one has to be the slower.
        await pause(Math.random() * backoff(times, FIRST_WAIT, LONGEST_WAIT), this.#signal);
        this.#signal?.throwIfAborted();
        const now = await this.#look(found.address);
        if (now?.stored !== undefined) return this.#handleOf(run, { ...now, stored: now.stored }, false);
        continue;
      }
      const made = await this.#create(run, found);
      // Somebody else has made it meanwhile.
      if (made !== undefined) return this.#handleOf(run, made, true);
    }
  }

  async #findEntity(): Promise<string> {
    const entity = this.#place.entity ?? (await this.#store.defaultEntity());
    if (entity !== undefined) return entity;
    throw new TraceletError("usage", "the owner of the API key has no default entity", {
      hint: "name a user or a team with --wandb-entity or WANDB_ENTITY",
    });
  }

  /** The run, or the address where it is to be made. */
  async #find(run: RunDescription, knownId: string | undefined, entity: string): Promise<Found | RunAddress> {
    const { project } = this.#place;
    if (knownId !== undefined) {
      const known = await this.#look({ entity, project, name: knownId });
      if (known?.stored !== undefined) {
        const { source, marks } = known.stored.state;
        if (!(await run.contradicts({ source, marks: [...marks.values()] }))) return { ...known, stored: known.stored };
      }
    }
    for (let n = 1; ; n++) {
      const name = hashText(`${project}\0${run.source}\0${n}`).slice(0, ID_LENGTH);
      const address = { entity, project, name };
      const there = await this.#look(address);
      if (there === undefined) return address;
      const { stored } = there;
      if (stored === undefined || stored.state.source !== run.source) continue;
      const marks = [...stored.state.marks.values()];
      if (await run.isOthers({ id: name, source: run.source, marks })) continue;
      if (marks.length === 0 || (await run.owns(marks))) return { ...there, stored };
    }
  }

  async #look(
    address: RunAddress,
  ): Promise<(Omit<Found, "stored"> & { readonly stored: StoredState | undefined }) | undefined> {
    const status = await this.#store.status(address);
    return status && { address, status, stored: new RunConfig(status.config).stored };
  }

  async #create(run: RunDescription, address: RunAddress): Promise<Found | undefined> {
    const { group, jobType, tags } = this.#place;
    const stored = firstState(run.name, run.source, run.marks, randomUUID());
    const config = new RunConfig();
    config.stored = stored;
    const text = config.text();
    const displayName = fitDisplayName(run.name);
    const made = await this.#store.upsert(address, { displayName, config: text, group, jobType, tags });
    if (!made.isNew) return undefined;
    const { storageId, entity, project, name } = made;
    const status = { storageId, displayName, lines: 0, config: text, summary: "{}" };
    return { address: { entity, project, name }, status, stored };
  }

  async #handleOf(run: RunDescription, { address, status, stored }: Found, created: boolean): Promise<RunHandle> {
    const left = this.#keepsMarks ? stored : withoutMarks(stored);
    const open = new WandbRun(this.#store, address, status, left, run.startTime);
    const { name, source } = open.state;
    const isRenamed = source !== run.source;
    const isCalled = !isRenamed && name !== run.name;
    // One that somebody has named on the web page keeps that name.
    const isOurs = status.displayName === fitDisplayName(name);
    const now = isOurs ? run.name : status.displayName;
    const isToldName = (isRenamed || isCalled) && isOurs;
    await open.claim({
      name: run.name,
      source: run.source,
      ...(isToldName && { displayName: fitDisplayName(run.name) }),
    });
    const { marks, choice, choices } = open.state;
    const handle: RunHandle = {
      id: address.name,
      marks: this.#keepsMarks ? [...marks.values()] : undefined,
      choice,
      choices,
      created,
      renamed: isRenamed ? { before: name, now } : undefined,
      called: isCalled ? { before: name, now } : undefined,
    };
    this.#open.set(handle, open);
    this.#running.set(address.name, open);
    return handle;
  }

  async write(handle: RunHandle, batch: Batch): Promise<Receipt> {
    const run = this.#opened(handle);
    const notes: Note[] = [];
    if (run.isNew(batch)) {
      notes.push(...run.notYetNoted(notesOf(batch)));
      const rows = Array.from(scalarsOf(batch.scalars, batch.parts), rowsOf).flat();
      for (const [name, value] of paramsOf(batch)) run.config.setParam(name, value);
      await run.add(rows, batch).catch((error: unknown) => {
        const { name } = run.address;
        if (error instanceof TraceletError && error.code === "overtaken")
          this.#overtaken.set(name, (this.#overtaken.get(name) ?? 0) + 1);
        throw error;
      });
    }
    return { tally: tallyOf(batch), notes };
  }

  async survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey> {
    const changes = new Map<string, RunChange>();
    if (known.length === 0) return { changes, memory };
    const entity = await (this.#entity ??= this.#findEntity());
    for (const { id, marks } of known) {
      const there = await this.#look({ entity, project: this.#place.project, name: id });
      if (there === undefined) changes.set(id, "deleted");
      if (there?.stored === undefined) continue;
      const reached = reachedBy(there.stored, there.status.lines);
      // What is wrong with the others is said when they are opened.
      if (typeof reached === "string") continue;
      const { state } = reached;
      if (marks.some(({ key, offset }) => offset > (state.marks.get(key)?.offset ?? 0))) changes.set(id, "behind");
    }
    return { changes, memory };
  }

  /** Ids are derived from the source: two machines make one run. */
  async settle(): Promise<ReadonlySet<string>> {
    return new Set();
  }

  async confirm(): Promise<undefined> {}

  async resume(handle: RunHandle): Promise<void> {
    const run = this.#opened(handle);
    await run.beat();
    this.#running.set(handle.id, run);
  }

  async finish(handle: RunHandle, status: FinalStatus): Promise<void> {
    const run = this.#opened(handle);
    this.#running.delete(handle.id);
    await run.finish(status);
  }

  async attach(): Promise<readonly Note[]> {
    return [];
  }

  async attachFiles(_handle: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt> {
    return skipFiles(artifact);
  }

  location(): string | undefined {
    return this.#location;
  }

  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    await this.#store.close();
  }

  #beat(): void {
    for (const run of this.#running.values()) {
      if ((run.aliveAt ?? 0) > performance.now() - HEARTBEAT / 2) continue;
      // Whoever sends something next is told what is wrong.
      run.beat().catch(() => {});
    }
  }

  #opened(handle: RunHandle): WandbRun {
    const open = this.#open.get(handle);
    if (open === undefined) throw new Error("a run is opened before it is written to");
    return open;
  }
}

/** The same run, as if nothing had been sent to it. */
function withoutMarks({ writer, state: { name, source } }: StoredState): StoredState {
  return firstState(name, source, [], writer);
}

/** Hyperparameters of a batch, by name. */
function paramsOf({ data, hparams }: Batch): Map<string, Parameters<RunConfig["setParam"]>[1]> {
  const params = new Map(hparams);
  for (const datum of data) {
    if (datum.kind !== "hparams" || !holdsHparams(datum.record)) continue;
    for (const [name, value] of datum.record.hparams) params.set(name, value);
  }
  return params;
}

function notesOf({ scalars: { tags, step, length } }: Batch): Note[] {
  const notes = tags
    .filter((tag) => keyOf(tag) !== tag)
    .map((tag): Note => {
      const message = `W&B has a meaning of its own for ${JSON.stringify(tag)}; it is stored as ${JSON.stringify(keyOf(tag))}`;
      return { code: "renamed", message };
    });
  const isLarge = (each: bigint) => each > LARGEST_SHOWN || each < -LARGEST_SHOWN;
  if (step.subarray(0, length).some(isLarge)) {
    const message = "steps beyond 2^53 are sent as they are, and rounded on W&B's web page";
    notes.push({ code: "rounded", message });
  }
  return notes;
}

/** What becomes of the values of a batch. */
export function tallyOf({ scalars, data }: Batch): Tally {
  const tally = new Tally();
  tally.sent("scalars", scalars.length);
  for (const datum of data) {
    if (datum.kind === "unreadable") tally.skipped(datum.kind, "undecodable", 1);
    else if (datum.kind === "hparams" && datum.record.type !== "experiment") tally.sent(datum.kind, 1);
    else tally.skipped(datum.kind, "unsupported-kind", 1);
  }
  return tally;
}

/** What becomes of files of the source. */
export function skipFiles(artifact: SourceArtifact): FilesReceipt {
  const tally = new Tally();
  tally.skipped(artifact.kind, "unsupported-kind", artifact.kind === "embeddings" ? artifact.embeddings.length : 1);
  return { tally, notes: [], problems: [], complete: true };
}
