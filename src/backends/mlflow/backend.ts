/** MLflow: which run a TensorBoard run is, and how its values look there. The store below does the talking. */
import { TraceletError } from "../../errors.ts";
import { ContentRefused } from "../../net/refusal.ts";
import type {
  Backend,
  Batch,
  FilesReceipt,
  FinalStatus,
  KnownRun,
  Page,
  Receipt,
  Refuse,
  RefusedValue,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../../sync/backend.ts";
import type { Note } from "../../sync/report/note.ts";
import type { ArtifactStore } from "../artifacts/artifact.ts";
import { writeIndex } from "../artifacts/index-file.ts";
import { RunArtifacts } from "../artifacts/run-artifacts.ts";
import { type Content, NOTHING_REFUSED, type Refused, storeAround } from "./bisect.ts";
import { choicesOfTags, tagsOfChoice } from "./choices.ts";
import { experimentName, findExperiment, foldsNames } from "./experiment.ts";
import { marksOfTags, tagOfMark } from "./marks.ts";
import { PARENT_TAG, RUN_TAG, SOURCE_TAG } from "./new-run.ts";
import { NO_METRICS, NOTHING, type Part, partsOf } from "./parts.ts";
import { refusedData, refusedParams, refusedScalars, tallyOf } from "./receipt.ts";
import { recordNames } from "./record-names.ts";
import { followName } from "./renaming.ts";
import { MlflowRun } from "./run.ts";
import { RunFinder, type RunFinderOptions } from "./run-finder.ts";
import { type MlflowStore, type RunRecord } from "./store.ts";
import { nextNonce, surveyRuns } from "./survey.ts";
import { milliseconds } from "./wall-time.ts";

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
}

export class MlflowBackend implements Backend {
  readonly batchSize: number;
  readonly maxFileBytes: number;
  readonly #store: MlflowStore;
  readonly #experimentName: string;
  /** What it takes to find runs. */
  readonly #options: Omit<RunFinderOptions, "experimentId" | "isNew">;
  readonly #keepsMarks: boolean;
  /** The experiment's runs, once it is open. */
  #finder: Promise<RunFinder> | undefined;
  #location: string | undefined;
  #folds: Promise<boolean> | undefined;

  constructor(options: MlflowBackendOptions) {
    const { store, experiment, version, keepsMarks, giveUpAfterMs, maxArtifactBytes } = options;
    this.#store = store;
    this.#experimentName = experiment;
    this.#options = { store, version, giveUpAfterMs, resendsDeleted: options.resendsDeleted ?? false };
    this.#keepsMarks = keepsMarks;
    this.maxFileBytes = maxArtifactBytes ?? Infinity;
    this.batchSize = store.batchSize * store.batchesAtOnce;
  }

  async survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey> {
    const lists = this.#store.runLists;
    if (lists === undefined) return { changes: new Map(), memory };
    const experiment = await findExperiment(this.#store, this.#experimentName);
    if (experiment?.active === false) throw deletedExperiment(experiment.id, this.#experimentName);
    const finder = await this.#finder?.catch(() => undefined);
    if (finder?.experimentId !== experiment?.id) this.#finder = undefined;
    return surveyRuns(lists, experiment, known, memory);
  }

  async confirm(memory: string | undefined): Promise<string | undefined> {
    const lists = this.#store.runLists;
    if (lists === undefined || lists.listsCheaply) return undefined;
    const experiment = await findExperiment(this.#store, this.#experimentName);
    if (experiment === undefined) return undefined;
    const next = await nextNonce(lists, experiment, memory, (await (await this.#finder)?.atLeast()) ?? 0);
    await this.#store.setExperimentTag(experiment.id, ...next.tag);
    return next.memory;
  }

  async settle(): Promise<ReadonlySet<string>> {
    return (await this.#finder)?.settle() ?? new Set();
  }

  async open(run: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    this.#finder ??= this.#openExperiment().catch((error: unknown) => {
      // Whoever asks another time may have more luck.
      this.#finder = undefined;
      // Without the experiment no run can be opened.
      if (!(error instanceof TraceletError)) throw error;
      const { code, message, hint, retryAfterMs } = error;
      throw new TraceletError(code, message, { hint, cause: error, endsAll: true, retryAfterMs });
    });
    const finder = await this.#finder;
    try {
      return await this.#openIn(finder, run, knownId);
    } catch (error) {
      // It may be the experiment that is there no longer: a server can come back as it was before that was made.
      this.#finder = undefined;
      throw error;
    }
  }

  async #openIn(finder: RunFinder, run: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    const found = await finder.findOrCreate(run, knownId);
    if (found.run !== undefined) {
      const names = await followName(this.#store, found.run, run, this.#options.version);
      const adopted = this.#adopt(found.run, run, names);
      if (run.parentId !== undefined && found.run.tags.get(PARENT_TAG) !== run.parentId) {
        const tags = new Map([[PARENT_TAG, run.parentId]]);
        await this.#store.logBatch(found.run.id, { metrics: NO_METRICS, params: new Map(), tags });
      }
      return adopted;
    }
    const { id, name } = found;
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

  #artifactsOf(
    run: Pick<RunRecord, "id"> & Partial<RunRecord>,
    { source }: RunDescription,
  ): RunArtifacts<ArtifactStore> {
    return new RunArtifacts({
      source: run.tags?.get(SOURCE_TAG) ?? run.tags?.get(RUN_TAG) ?? source,
      open: () => this.#store.artifacts(run),
      encoders: () => import("./media/encode.ts"),
      tell: writeIndex,
      timestamp: milliseconds,
      maxBytes: this.maxFileBytes,
    });
  }

  async write(handle: RunHandle, batch: Batch, refuse?: Refuse): Promise<Receipt> {
    const run = handle as MlflowRun;
    const notes = run.takeNotes();
    const names = new Map<string, string>();
    if (run.mayClash(batch) && (await this.#foldsNames())) run.keepKeysApart();
    const metrics = run.metrics(batch, names, notes);
    const params = run.params(batch, names, notes);
    // Tags are stored last. A metric whose own name is not known yet would be taken for one of its key's name after a
    // crash, and be sent again under another key.
    await recordNames(this.#store, run.id, new Map([...names, ...run.labels(batch, notes)]));
    // Files before marks: what a mark says to be there is there, or in the quarantine.
    const written = await run.write(batch, notes);
    const setAside = async (values: readonly RefusedValue[], errors: Iterable<ContentRefused>) => {
      const [first] = values;
      if (first === undefined) return;
      if (refuse === undefined) throw [...errors][0] as ContentRefused;
      run.noteRefused(first, await refuse(values), notes);
    };
    await setAside(refusedData(batch, written.refused), written.refused.values());
    const { obstacle } = run.artifacts;
    // A choice before the marks that name it.
    const tags = new Map([...tagsOfChoice(batch.choice), ...batch.marks.map(tagOfMark)]);
    const hasImages = batch.data.some(
      (datum) => datum.kind === "images" && !written.tooLarge.has(datum) && !written.refused.has(datum),
    );
    if (obstacle === undefined && hasImages) tags.set(...SHOWS_IMAGES);
    const texts = new Map(Array.from(params, ([key, { text }]) => [key, text]));
    const setAsideOf = ({ metrics, params: keys }: Refused) => {
      const values = [...refusedScalars(batch, metrics), ...refusedParams(batch, params, keys)];
      return setAside(values, [...metrics.values(), ...keys.values()]);
    };
    const refused = await this.#log(run, { metrics, params: texts }, tags, refuse && setAsideOf);
    for (const key of refused.params.keys()) texts.delete(key);
    run.wrote(texts);
    return { tally: tallyOf(batch, { obstacle, written, refused, params }), notes };
  }

  /**
   * Store what MLflow takes of a batch, and then its tags.
   *
   * @param setAside called before the tags are stored, if it does not take all; left out: a refusal is thrown
   */
  async #log(
    run: MlflowRun,
    content: Content,
    tags: ReadonlyMap<string, string>,
    setAside: ((refused: Refused) => Promise<void>) | undefined,
  ): Promise<Refused> {
    const { batchSize } = this.#store;
    // Requests that are the first to hold a key would all make its row of latest values, which one of them can.
    const parts = partsOf(content, batchSize, run.hasStored ? 0 : batchSize);
    const last = parts.pop() as Part;
    const first = run.hasStored ? [] : parts.splice(0, 1);
    const log = (part: Part) => this.#logPart(run, part, setAside !== undefined);
    const refusedFirst = await Promise.all(first.map(log));
    const before = await Promise.allSettled(parts.map(log));
    run.hasStored ||= content.metrics.length > 0;
    const refused = merged([...refusedFirst, ...before.map(valueOrThrow)]);
    // The tags say that all before is there, so what carries them goes when that is so.
    if (isAny(refused)) await setAside?.(refused);
    try {
      await this.#store.logBatch(run.id, { ...last.content, tags });
      return refused;
    } catch (error) {
      if (setAside === undefined) throw error;
      const ofLast = await this.#refusedOf(run, last, error);
      if (isAny(ofLast)) await setAside(ofLast);
      await this.#store.logBatch(run.id, { ...NOTHING, tags });
      return merged([refused, ofLast]);
    }
  }

  /** Store what MLflow takes of a part. @param goesAround whether what it refuses is left out; else that is thrown */
  async #logPart(run: MlflowRun, part: Part, goesAround: boolean): Promise<Refused> {
    try {
      await this.#store.logBatch(run.id, { ...part.content, tags: new Map() });
      return NOTHING_REFUSED;
    } catch (error) {
      if (!goesAround) throw error;
      return this.#refusedOf(run, part, error);
    }
  }

  /** Store what MLflow takes of a part that it has refused as a whole. @param error how; what is no refusal is thrown */
  async #refusedOf(run: MlflowRun, { content, points }: Part, error: unknown): Promise<Refused> {
    if (!(error instanceof ContentRefused)) throw error;
    const known = new Map([[RUN_TAG, run.description.source]]);
    const { metrics, params } = await storeAround(this.#store, run.id, content, known, error);
    return { metrics: new Map(Array.from(metrics, ([i, refusal]) => [points?.[i] ?? i, refusal])), params };
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

  runLocation(id: string): string | undefined {
    return this.#location && `${this.#location}/runs/${id}`;
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #openExperiment(): Promise<RunFinder> {
    const name = experimentName(this.#experimentName);
    // Without it MLflow shows a new experiment as one of GenAI traces until somebody answers its question.
    const kind = ["mlflow.experimentKind", "custom_model_development"] as const;
    const found = await findExperiment(this.#store, this.#experimentName);
    if (found?.active === false) throw deletedExperiment(found.id, name);
    const id = found?.id ?? (await this.#store.createExperiment(name, new Map([kind])));
    if (found !== undefined && !found.tags.has(kind[0])) await this.#store.setExperimentTag(id, ...kind);
    this.#location = this.#store.experimentUrl(id);
    return new RunFinder({ ...this.#options, experimentId: id, isNew: found === undefined });
  }

  /** Whether the database takes names for one that differ in their case. */
  #foldsNames(): Promise<boolean> {
    this.#folds ??= foldsNames(this.#store, this.#experimentName).catch((error: unknown) => {
      this.#folds = undefined;
      throw error;
    });
    return this.#folds;
  }

  #adopt(found: RunRecord, run: RunDescription, names: Pick<RunHandle, "renamed" | "called">): RunHandle {
    const { renamed } = names;
    return new MlflowRun({
      id: found.id,
      description: run,
      created: false,
      ...names,
      status: renamed === undefined || renamed.before === renamed.now ? found.status : "RUNNING",
      marks: this.#keepsMarks ? marksOfTags(found.tags) : undefined,
      ...(this.#keepsMarks && choicesOfTags(found.tags)),
      artifacts: this.#artifactsOf(found, run),
      has: found,
    });
  }
}

function deletedExperiment(id: string, name: string): TraceletError {
  return new TraceletError("deleted", `the MLflow experiment "${name}" was deleted`, {
    hint: `restore it (mlflow experiments restore --experiment-id ${id}), or give another --experiment`,
    endsAll: true,
  });
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
