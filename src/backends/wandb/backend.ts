/** Weights & Biases as a destination: each run of the source is a run of a project. */
import { TraceletError } from "../../errors.ts";
import { backoff, pause } from "../../pause.ts";
import type { Datum } from "../../reader/datum.ts";
import type {
  Backend,
  Batch,
  FilesReceipt,
  FinalStatus,
  KnownRun,
  Page,
  Receipt,
  Refuse,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../../sync/backend.ts";
import type { Surroundings } from "../../sync/backend-plugin.ts";
import type { Note } from "../../sync/report/note.ts";
import { VERSION } from "../../version.ts";
import { isOwnNote, noteOf } from "../run-note.ts";
import type { Elsewhere } from "./elsewhere.ts";
import { Heartbeats } from "./heartbeats.ts";
import { splitMachine } from "./machine.ts";
import { RunMedia } from "./media/run-media.ts";
import { fitDisplayName } from "./names.ts";
import { paramsOf } from "./params.ts";
import type { Place } from "./place.ts";
import { notesOf, refusedValues, setAside, tallyOf, unstoredOf } from "./receipt.ts";
import { rowsOf, scalarsTooLong, valuesOf } from "./rows.ts";
import { WandbRun } from "./run.ts";
import { RunFiles } from "./run-files.ts";
import { type Found, RunFinder } from "./run-finder.ts";
import { firstState, reachedBy, type StoredState } from "./run-state.ts";
import type { WandbStore } from "./store.ts";
import { surveyRuns } from "./survey.ts";

export interface WandbBackendOptions {
  readonly store: WandbStore;
  readonly place: Place;
  /** Whether runs are shown as running while nothing is sent. */
  readonly live: boolean;
  /** Left out: nothing is known of what was sent elsewhere. */
  readonly elsewhere?: Elsewhere | undefined;
  /** False if every run is to be sent whole, whatever it says to have. Default true. */
  readonly keepsMarks?: boolean | undefined;
  /** Whether runs that were deleted are sent as new ones; false if left out. */
  readonly resendsDeleted?: boolean | undefined;
  /** The largest file that is stored, bytes; left out: any. */
  readonly maxArtifactBytes?: number | undefined;
  /** Its abort ends every wait. */
  readonly signal?: AbortSignal | undefined;
  /** Told where the runs are found, before anything is sent. */
  readonly say?: Surroundings["say"] | undefined;
  /** In [0, 1): by how much waits differ from one machine to another. */
  readonly random?: (() => number) | undefined;
  /** Resolves after so many ms, or once the signal is aborted. */
  readonly wait?: typeof pause | undefined;
}

/** How long who was overtaken leaves a run to the other one, ms. */
const [FIRST_WAIT, LONGEST_WAIT] = [500, 30_000];
/** When to ask again for lines that are not counted yet, ms. */
const COUNT_WAITS: readonly number[] = [500, 1000, 2000, 4000];

/** W&B's client ends the training then. tracelet is not the training: what that goes on to write is sent. */
const STOPPED: Note = {
  code: "stopped",
  message: "somebody has stopped the run on W&B's web page; its training has to be ended where it runs",
  isWarning: true,
};

export class WandbBackend implements Backend {
  /** Three requests a batch, whose lines are some megabytes. */
  readonly batchSize = 20_000;
  readonly maxFileBytes: number;
  readonly #store: WandbStore;
  readonly #place: Place;
  readonly #elsewhere: Elsewhere | undefined;
  readonly #keepsMarks: boolean;
  readonly #resendsDeleted: boolean;
  readonly #signal: AbortSignal | undefined;
  readonly #say: Surroundings["say"];
  readonly #random: () => number;
  readonly #wait: typeof pause;
  readonly #open = new WeakMap<RunHandle, WandbRun>();
  readonly #media = new WeakMap<WandbRun, RunMedia>();
  readonly #files = new WeakMap<WandbRun, RunFiles>();
  /** Of which it was said that values are set aside. */
  readonly #hasRefused = new WeakSet<WandbRun>();
  readonly #heartbeats: Heartbeats | undefined;
  /** Those that were given up, by id, as they were left. */
  readonly #left = new Map<string, WandbRun>();
  /** How often others have opened a run that was open here, by id. */
  readonly #overtaken = new Map<string, number>();
  #finder: Promise<RunFinder> | undefined;
  #location: string | undefined;
  #runLocation: ((id: string) => string | undefined) | undefined;

  constructor({ store, place, live, maxArtifactBytes, ...options }: WandbBackendOptions) {
    this.maxFileBytes = maxArtifactBytes ?? Infinity;
    const {
      keepsMarks = true,
      resendsDeleted = false,
      signal,
      say = () => {},
      random = Math.random,
      wait = pause,
    } = options;
    this.#keepsMarks = keepsMarks;
    this.#resendsDeleted = resendsDeleted;
    this.#random = random;
    this.#wait = wait;
    this.#signal = signal;
    this.#say = say;
    this.#store = store;
    this.#place = place;
    this.#elsewhere = options.elsewhere;
    if (live) this.#heartbeats = new Heartbeats(store);
  }

  async open(run: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    const finder = await this.#runs();
    const { found, isNew } = await finder.findOrCreate(run, knownId);
    if (isNew) return this.#handleOf(run, found, true);
    const settled = await this.#leaveToOthers(finder, await this.#awaitLines(finder, found));
    return settled === undefined ? this.open(run, knownId) : this.#handleOf(run, settled, false);
  }

  /** Those of the project. Where the server is away, the next one asks it again. */
  #runs(): Promise<RunFinder> {
    const [store, place, elsewhere, resendsDeleted] = [this.#store, this.#place, this.#elsewhere, this.#resendsDeleted];
    const make = async () => {
      const entity = await this.#findEntity();
      const location = store.location(entity, place.project);
      if (this.#location === undefined && location !== undefined) this.#say(`sending to ${location}`, "info");
      this.#location = location;
      this.#runLocation = (id) => store.location(entity, place.project, id);
      return new RunFinder({ store, place, entity, elsewhere, resendsDeleted, now: () => performance.now() });
    };
    this.#finder ??= make().catch((error: unknown) => {
      this.#finder = undefined;
      throw error;
    });
    return this.#finder;
  }

  /** Lines that were acknowledged may not be counted yet. */
  async #awaitLines(finder: RunFinder, found: Found): Promise<Found> {
    let last = found;
    const left = this.#left.get(found.address.name);
    for (const ms of COUNT_WAITS) {
      const isKnownToLag = left?.isWriter(last.stored.writer) === true && last.status.lines < left.lines;
      if (reachedBy(last.stored, last.status) !== "lost" && !isKnownToLag) break;
      await this.#pause(ms);
      const now = await finder.look(last.address.name);
      if (now?.stored === undefined) break;
      last = { ...now, stored: now.stored };
    }
    return last;
  }

  /**
   * Two that take a run from each other again and again would add nothing to it: one has to be the slower.
   *
   * @returns undefined if the run has gone meanwhile
   */
  async #leaveToOthers(finder: RunFinder, found: Found): Promise<Found | undefined> {
    const times = this.#overtaken.get(found.address.name) ?? 0;
    if (times === 0) return found;
    await this.#pause(this.#random() * backoff(times, FIRST_WAIT, LONGEST_WAIT));
    const now = await finder.look(found.address.name);
    return now?.stored && { ...now, stored: now.stored };
  }

  async #pause(ms: number): Promise<void> {
    await this.#wait(ms, this.#signal);
    this.#signal?.throwIfAborted();
  }

  async #findEntity(): Promise<string> {
    const entity = this.#place.entity ?? (await this.#store.defaultEntity());
    if (entity !== undefined) return entity;
    throw new TraceletError("usage", "the owner of the API key has no default entity", {
      hint: "name a user or a team with --wandb-entity or WANDB_ENTITY",
      endsAll: true,
    });
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
    const fields = {
      ...(isToldName && { displayName: fitDisplayName(run.name) }),
      ...(isRenamed && isOwnNote(status.notes ?? "") && { notes: noteOf(run, VERSION) }),
    };
    // Who has made it is its writer.
    if (!created) await open.claim({ name: run.name, source: run.source }, fields);
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
    this.#heartbeats?.add(open);
    return handle;
  }

  async write(handle: RunHandle, batch: Batch, refuse?: Refuse): Promise<Receipt> {
    const run = this.#opened(handle);
    if (!run.isNew(batch)) return { tally: tallyOf(batch), notes: [] };
    const media = await this.#mediaOf(run).send(batch.data);
    const isMedium = (datum: Datum) => media.values.has(datum) || media.refused.has(datum) || media.tooLarge.has(datum);
    const files = await this.#filesOf(run).write(batch.data.filter((datum) => !isMedium(datum)));
    const params = paramsOf(batch);
    const unstored = unstoredOf(media, files, scalarsTooLong(batch.scalars), params.refused);
    const notes = run.notYetNoted([...notesOf(batch), ...media.notes, ...files.notes]);
    const refused = refusedValues(batch, unstored);
    if (refused.length > 0) {
      const note = await setAside(refused, refuse);
      if (!this.#hasRefused.has(run)) notes.push(note);
      this.#hasRefused.add(run);
    }
    const parts = Array.from(valuesOf(batch, media.values, unstored.refusedScalars, run.cuts), (values, i) =>
      splitMachine(batch.parts[i % batch.parts.length]?.file ?? "", values),
    );
    const rows = parts.flatMap(({ others }) => rowsOf(others));
    const machine = parts.flatMap((part) => rowsOf(part.machine));
    run.config.setParams(params.values);
    await run.describe(batch.data);
    for (const [key, chart] of media.charts) run.config.draw(key, chart);
    await this.#asWriter(run, () => run.add(rows, machine, batch));
    notes.push(...run.notYetNoted(run.isStopped ? [STOPPED] : []));
    return { tally: tallyOf(batch, unstored), notes };
  }

  #mediaOf(run: WandbRun): RunMedia {
    const known = this.#media.get(run);
    if (known !== undefined) return known;
    const media = new RunMedia({ upload: (files) => run.upload(files), maxFileBytes: this.maxFileBytes });
    this.#media.set(run, media);
    return media;
  }

  #filesOf(run: WandbRun): RunFiles {
    const known = this.#files.get(run);
    if (known !== undefined) return known;
    const files = new RunFiles({
      id: run.address.name,
      upload: (files) => run.upload(files),
      name: (tags) => run.nameFiles(tags),
      maxFileBytes: this.maxFileBytes,
    });
    this.#files.set(run, files);
    return files;
  }

  /** @param memory the entity that runs were sent to */
  async survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey> {
    if (known.length === 0) return { changes: new Map(), memory };
    const { entity } = await this.#runs();
    // Another account's runs would all look as if they had been deleted.
    if (memory !== undefined && memory !== entity)
      throw new TraceletError("usage", `the API key belongs to ${entity} now, and these runs were sent to ${memory}`, {
        hint: `--wandb-entity ${entity} sends them there as new runs; --wandb-entity ${memory} finds those of ${memory}`,
        endsAll: true,
      });
    return { changes: await surveyRuns(this.#store, entity, this.#place.project, known), memory };
  }

  /** Ids are derived from the source: two machines make one run. */
  async settle(): Promise<ReadonlySet<string>> {
    return new Set();
  }

  async confirm(memory: string | undefined): Promise<string | undefined> {
    return this.#finder === undefined ? memory : (await this.#finder).entity;
  }

  async resume(handle: RunHandle): Promise<void> {
    const run = this.#opened(handle);
    await this.#asWriter(run, () => run.resume());
    this.#heartbeats?.add(run);
  }

  async finish(handle: RunHandle, status: FinalStatus): Promise<void> {
    const run = this.#opened(handle);
    await this.#heartbeats?.remove(run);
    await this.#asWriter(run, () => run.finish(status));
  }

  /** Do what only the run's writer may do; who is not any more leaves the run alone. */
  async #asWriter(run: WandbRun, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { name } = run.address;
      if (error instanceof TraceletError && error.code === "overtaken") {
        this.#overtaken.set(name, (this.#overtaken.get(name) ?? 0) + 1);
        this.#left.set(name, run);
        await this.#heartbeats?.remove(run);
      }
      throw error;
    }
  }

  async attach(handle: RunHandle, pages: AsyncIterable<Page>): Promise<readonly Note[]> {
    const run = this.#opened(handle);
    const notes = await this.#filesOf(run).attach(pages);
    await this.#asWriter(run, () => run.tellRest());
    return run.notYetNoted(notes);
  }

  async attachFiles(handle: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt> {
    const run = this.#opened(handle);
    const receipt = await this.#filesOf(run).attachFiles(artifact);
    await this.#asWriter(run, () => run.tellRest());
    return { ...receipt, notes: run.notYetNoted(receipt.notes) };
  }

  location(): string | undefined {
    return this.#location;
  }

  runLocation(id: string): string | undefined {
    return this.#runLocation?.(id);
  }

  async close(): Promise<void> {
    this.#heartbeats?.stop();
    await this.#store.close();
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
