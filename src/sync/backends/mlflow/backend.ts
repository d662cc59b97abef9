/** MLflow: which run a TensorBoard run is, and how its values look there. The store below does the talking. */
import { TraceletError } from "../../../errors.ts";
import type {
  Backend,
  Batch,
  FilesReceipt,
  FinalStatus,
  KnownRun,
  Note,
  Page,
  Receipt,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../../backend.ts";
import type { Quarantine, RefusedValue } from "../../quarantine.ts";
import { type Content, NOTHING_REFUSED, type Refused, storeAround } from "./bisect.ts";
import { experimentName, findExperiment, foldsNames } from "./experiment.ts";
import { marksOfTags, tagOfMark } from "./marks.ts";
import { DUPLICATE_TAG, inAscii, isInAscii, newRun, PARENT_TAG, RUN_TAG } from "./new-run.ts";
import { NO_METRICS, NOTHING, type Part, partsOf } from "./parts.ts";
import { refusedData, refusedParams, refusedScalars, tallyOf } from "./receipt.ts";
import { recordNames } from "./record-names.ts";
import { MlflowRun } from "./run.ts";
import { RunArtifacts } from "./run-artifacts.ts";
import { ContentRefused, type MlflowStore, ReplyLost, type RunRecord } from "./store.ts";
import { nextNonce, surveyRuns } from "./survey.ts";
import { milliseconds } from "./wall-time.ts";

/** How often a run is tried to be made under a name that some databases cannot store. */
const LOST_FOR_ITS_NAME = 3;

/** Without it MLflow's page does not look for images. */
const SHOWS_IMAGES = ["mlflow.loggedImages", "True"] as const;

export interface MlflowBackendOptions {
  readonly store: MlflowStore;
  readonly experiment: string;
  /** Version of tracelet, for the runs' description. */
  readonly version: string;
  /** False if the store remembers nothing, as in a dry run: then only the checkpoints tell how far a run has come. */
  readonly keepsMarks: boolean;
  /** How long to go on creating a run while every reply is lost, ms. */
  readonly giveUpAfterMs: number;
  /** The largest file that is stored, bytes; left out: any. */
  readonly maxArtifactBytes?: number | undefined;
  /** Whether runs that were deleted are sent as new ones. */
  readonly resendsDeleted?: boolean | undefined;
  /** Takes the values that MLflow refuses, so that the others go on; left out: a refusal is an error of the run. */
  readonly quarantine?: Quarantine | undefined;
}

export class MlflowBackend implements Backend {
  readonly batchSize: number;
  readonly #store: MlflowStore;
  readonly #experimentName: string;
  readonly #version: string;
  readonly #keepsMarks: boolean;
  readonly #giveUpAfterMs: number;
  readonly #maxArtifactBytes: number;
  readonly #quarantine: Quarantine | undefined;
  readonly #resendsDeleted: boolean;
  #experiment: Promise<Experiment> | undefined;
  /** Sources of the runs that this process has created, or tried to. */
  readonly #created = new Set<string>();
  #createdSinceConfirm = 0;
  #location: string | undefined;
  #folds: Promise<boolean> | undefined;

  constructor(options: MlflowBackendOptions) {
    const { store, experiment, version, keepsMarks, giveUpAfterMs, maxArtifactBytes, quarantine } = options;
    this.#resendsDeleted = options.resendsDeleted ?? false;
    this.#store = store;
    this.#experimentName = experiment;
    this.#version = version;
    this.#keepsMarks = keepsMarks;
    this.#giveUpAfterMs = giveUpAfterMs;
    this.#maxArtifactBytes = maxArtifactBytes ?? Infinity;
    this.#quarantine = quarantine;
    this.batchSize = store.batchSize * store.batchesAtOnce;
  }

  async survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey> {
    const lists = this.#store.runLists;
    if (lists === undefined) return { changes: new Map(), memory };
    const experiment = await findExperiment(this.#store, this.#experimentName);
    if (experiment?.active === false) throw deletedExperiment(experiment.id, this.#experimentName);
    // It may be another one than before.
    this.#experiment = undefined;
    return surveyRuns(lists, experiment, known, memory);
  }

  async confirm(memory: string | undefined): Promise<string | undefined> {
    const lists = this.#store.runLists;
    if (lists === undefined || lists.listsCheaply) return undefined;
    const experiment = await findExperiment(this.#store, this.#experimentName);
    if (experiment === undefined) return undefined;
    const next = await nextNonce(lists, experiment, memory, this.#createdSinceConfirm);
    await this.#store.setExperimentTag(experiment.id, ...next.tag);
    this.#createdSinceConfirm = 0;
    return next.memory;
  }

  async open(run: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    this.#experiment ??= this.#openExperiment().catch((error: unknown) => {
      // Whoever asks another time may have more luck.
      this.#experiment = undefined;
      // Without the experiment no run can be opened.
      if (!(error instanceof TraceletError)) throw error;
      const { code, message, hint, retryAfterMs } = error;
      throw new TraceletError(code, message, { hint, cause: error, endsAll: true, retryAfterMs });
    });
    const experiment = await this.#experiment;
    try {
      return await this.#openIn(experiment, run, knownId);
    } catch (error) {
      // It may be the experiment that is there no longer: a server can come back as it was before that was made.
      this.#experiment = undefined;
      throw error;
    }
  }

  async #openIn(experiment: Experiment, run: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    const known = knownId === undefined ? undefined : await this.#store.run(knownId);
    const found = known !== undefined && this.#counts(known) ? known : await this.#find(run, experiment);
    if (found !== undefined) {
      const adopted = this.#adopt(found, run);
      if (run.parentId !== undefined && found.tags.get(PARENT_TAG) !== run.parentId) {
        const tags = new Map([[PARENT_TAG, run.parentId]]);
        await this.#store.logBatch(found.id, { metrics: NO_METRICS, params: new Map(), tags });
      }
      return adopted;
    }
    const { id, name } = await this.#create(run, experiment);
    const opened = new MlflowRun({
      id,
      description: run,
      created: true,
      status: "RUNNING",
      marks: run.marks,
      artifacts: this.#artifactsOf({ id }, run),
    });
    opened.noteName(name);
    return opened;
  }

  #artifactsOf(run: Pick<RunRecord, "id"> & Partial<RunRecord>, { source }: RunDescription): RunArtifacts {
    return new RunArtifacts({
      source,
      open: () => this.#store.artifacts(run),
      timestamp: milliseconds,
      maxBytes: this.#maxArtifactBytes,
    });
  }

  async write(handle: RunHandle, batch: Batch): Promise<Receipt> {
    const run = handle as MlflowRun;
    const notes = run.takeNotes();
    const names = new Map<string, string>();
    if (run.mayClash(batch) && (await this.#foldsNames())) run.keepKeysApart();
    const metrics = run.metrics(batch, names, notes);
    const params = run.params(batch, names, notes);
    // Tags are stored last. A metric whose own name is not known yet would be taken for one of its key's name after a
    // crash, and be sent again under another key.
    await recordNames(this.#store, run.id, names);
    // Files before marks: what a mark says to be there is there, or in the quarantine.
    const written = await run.write(batch, notes);
    await this.#setAside(run, refusedData(batch, written.refused), written.refused.values(), notes);
    const { obstacle } = run.artifacts;
    const tags = new Map(batch.marks.map(tagOfMark));
    const hasImages = batch.data.some(
      (datum) => datum.kind === "images" && !written.tooLarge.has(datum) && !written.refused.has(datum),
    );
    if (obstacle === undefined && hasImages) tags.set(...SHOWS_IMAGES);
    const texts = new Map(Array.from(params, ([key, { text }]) => [key, text]));
    const refused = await this.#log(run, { metrics, params: texts }, tags, async ({ metrics, params: keys }) => {
      const values = [...refusedScalars(batch, metrics), ...refusedParams(batch, params, keys)];
      await this.#setAside(run, values, [...metrics.values(), ...keys.values()], notes);
    });
    for (const key of refused.params.keys()) texts.delete(key);
    run.wrote(texts);
    return { tally: tallyOf(batch, { obstacle, written, refused, params }), notes };
  }

  /**
   * Store what MLflow takes of a batch, and then its tags.
   *
   * @param setAside called before the tags are stored, if it does not take all
   */
  async #log(
    run: MlflowRun,
    content: Content,
    tags: ReadonlyMap<string, string>,
    setAside: (refused: Refused) => Promise<void>,
  ): Promise<Refused> {
    const { batchSize } = this.#store;
    // Requests that are the first to hold a key would all make its row of latest values, which one of them can.
    const parts = partsOf(content, batchSize, run.hasStored ? 0 : batchSize);
    const last = parts.pop() as Part;
    const first = run.hasStored ? [] : parts.splice(0, 1);
    const refusedFirst = await Promise.all(first.map((part) => this.#logPart(run, part)));
    const before = await Promise.allSettled(parts.map((part) => this.#logPart(run, part)));
    run.hasStored ||= content.metrics.length > 0;
    const refused = merged([...refusedFirst, ...before.map(valueOrThrow)]);
    // The tags say that all before is there, so what carries them goes when that is so.
    if (isAny(refused)) await setAside(refused);
    try {
      await this.#store.logBatch(run.id, { ...last.content, tags });
      return refused;
    } catch (error) {
      const ofLast = await this.#refusedOf(run, last, error);
      if (isAny(ofLast)) await setAside(ofLast);
      await this.#store.logBatch(run.id, { ...NOTHING, tags });
      return merged([refused, ofLast]);
    }
  }

  /** Store what MLflow takes of a part. */
  async #logPart(run: MlflowRun, part: Part): Promise<Refused> {
    try {
      await this.#store.logBatch(run.id, { ...part.content, tags: new Map() });
      return NOTHING_REFUSED;
    } catch (error) {
      return this.#refusedOf(run, part, error);
    }
  }

  /** Store what MLflow takes of a part that it has refused as a whole. @param error how; what is no refusal is thrown */
  async #refusedOf(run: MlflowRun, { content, points }: Part, error: unknown): Promise<Refused> {
    if (!(error instanceof ContentRefused) || this.#quarantine === undefined) throw error;
    const known = new Map([[RUN_TAG, run.description.source]]);
    const { metrics, params } = await storeAround(this.#store, run.id, content, known, error);
    return { metrics: new Map(Array.from(metrics, ([i, refusal]) => [points?.[i] ?? i, refusal])), params };
  }

  /** Keep values that were refused. @param errors how; without a place to keep them, the first is thrown */
  async #setAside(
    run: MlflowRun,
    values: readonly RefusedValue[],
    errors: Iterable<ContentRefused>,
    notes: Note[],
  ): Promise<void> {
    const [first] = values;
    if (first === undefined) return;
    if (this.#quarantine === undefined) throw [...errors][0] as ContentRefused;
    const file = await this.#quarantine.add(run.description.name, run.id, values);
    run.noteRefused(first, file, notes);
  }

  async attach(handle: RunHandle, pages: AsyncIterable<Page>): Promise<readonly Note[]> {
    return (handle as MlflowRun).artifacts.attach(pages);
  }

  async resume(handle: RunHandle): Promise<void> {
    if ((handle as MlflowRun).status !== "RUNNING") await this.#store.updateRun(handle.id, "RUNNING", 0);
  }

  async attachFiles(handle: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt> {
    return (handle as MlflowRun).attachFiles(artifact);
  }

  async finish(handle: RunHandle, status: FinalStatus, endTime: number): Promise<void> {
    const end = endTime === -Infinity ? Date.now() : milliseconds(endTime);
    await this.#store.updateRun(handle.id, status === "failed" ? "FAILED" : "FINISHED", end);
  }

  location(): string | undefined {
    return this.#location;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #openExperiment(): Promise<Experiment> {
    const name = experimentName(this.#experimentName);
    // Without it MLflow shows a new experiment as one of GenAI traces until somebody answers its question.
    const kind = ["mlflow.experimentKind", "custom_model_development"] as const;
    const found = await findExperiment(this.#store, this.#experimentName);
    if (found?.active === false) throw deletedExperiment(found.id, name);
    const id = found?.id ?? (await this.#store.createExperiment(name, new Map([kind])));
    if (found !== undefined && !found.tags.has(kind[0])) await this.#store.setExperimentTag(id, ...kind);
    this.#location = this.#store.experimentUrl(id);
    const mayHoldRuns = found !== undefined && (await this.#store.hasRunsWithTag(id, RUN_TAG));
    return { id, mayHoldRuns };
  }

  /** Whether the database takes names for one that differ in their case. */
  #foldsNames(): Promise<boolean> {
    this.#folds ??= foldsNames(this.#store, this.#experimentName).catch((error: unknown) => {
      this.#folds = undefined;
      throw error;
    });
    return this.#folds;
  }

  /** The run that another process or machine made of the same source. */
  async #find(run: RunDescription, experiment: Experiment): Promise<RunRecord | undefined> {
    if (!experiment.mayHoldRuns && !this.#created.has(run.source)) return undefined;
    const candidates = await this.#store.runsByTag(experiment.id, RUN_TAG, run.source);
    const counting = candidates.filter((candidate) => this.#counts(candidate));
    const deletedLast = counting.sort((a, b) => Number(b.active) - Number(a.active));
    for (const candidate of deletedLast) if (await run.owns(marksOfTags(candidate.tags))) return candidate;
    return undefined;
  }

  /** Whether a run is one that somebody may mean: not one that is to be sent again, nor a duplicate that was set aside. */
  #counts({ active, tags }: RunRecord): boolean {
    return active || !(this.#resendsDeleted || tags.has(DUPLICATE_TAG));
  }

  #adopt(found: RunRecord, run: RunDescription): RunHandle {
    if (!found.active) {
      throw new TraceletError("deleted", `its MLflow run ${found.id} was deleted`, {
        hint: `restore it (mlflow runs restore --run-id ${found.id}), or send it as a new run (--resend-deleted)`,
      });
    }
    return new MlflowRun({
      id: found.id,
      description: run,
      created: false,
      status: found.status,
      marks: this.#keepsMarks ? marksOfTags(found.tags) : undefined,
      artifacts: this.#artifactsOf(found, run),
      has: found,
    });
  }

  /** @returns its id, and what it is called there */
  async #create(run: RunDescription, experiment: Experiment): Promise<{ readonly id: string; readonly name: string }> {
    let lost = 0;
    let asked = newRun(run, experiment.id, this.#version);
    const end = performance.now() + this.#giveUpAfterMs;
    // Nobody may come to know its id: the first batch, which would be remembered, can fail.
    this.#created.add(run.source);
    for (;;) {
      try {
        const id = await this.#store.createRun(asked);
        this.#createdSinceConfirm++;
        return { id, name: asked.name };
      } catch (error) {
        if (error instanceof ContentRefused && !isInAscii(asked)) {
          // A run with another name is better than none.
          asked = inAscii(asked);
          continue;
        }
        if (!(error instanceof ReplyLost)) throw error;
        // It may have been created: looking is the only way to know, and creating again would make a second run.
        const found = await this.#find(run, experiment);
        if (found !== undefined) return { id: found.id, name: asked.name };
        // The server answers, and it may be the database that does not take its name.
        if (++lost >= LOST_FOR_ITS_NAME && !isInAscii(asked)) asked = inAscii(asked);
        if (performance.now() > end) {
          throw new TraceletError("unreachable", `MLflow does not create a run: ${error.message}`, { cause: error });
        }
      }
    }
  }
}

function deletedExperiment(id: string, name: string): TraceletError {
  return new TraceletError("deleted", `the MLflow experiment "${name}" was deleted`, {
    hint: `restore it (mlflow experiments restore --experiment-id ${id}), or give another --experiment`,
    endsAll: true,
  });
}

interface Experiment {
  readonly id: string;
  /** False only if it held no run of ours when this process began. */
  readonly mayHoldRuns: boolean;
}

function merged(all: readonly Refused[]): Refused {
  return {
    metrics: new Map(all.flatMap(({ metrics }) => [...metrics])),
    params: new Map(all.flatMap(({ params }) => [...params])),
  };
}

function isAny({ metrics, params }: Refused): boolean {
  return metrics.size + params.size > 0;
}

function valueOrThrow<T>(result: PromiseSettledResult<T>): T {
  if (result.status === "rejected") throw result.reason;
  return result.value;
}
