/** MLflow: which run a TensorBoard run is, and how its values look there. The store below does the talking. */
import os from "node:os";
import { TraceletError } from "../../../errors.ts";
import type { Datum, HparamValue } from "../../../reader/datum.ts";
import type {
  Backend,
  Batch,
  BatchPart,
  FilesReceipt,
  FinalStatus,
  Note,
  Page,
  Receipt,
  RunDescription,
  RunHandle,
  SourceArtifact,
} from "../../backend.ts";
import type { Quarantine, RefusedValue } from "../../quarantine.ts";
import { Tally } from "../../tally.ts";
import { type Content, NOTHING_REFUSED, type Refused, storeAround } from "./bisect.ts";
import { marksOfTags, tagOfMark } from "./marks.ts";
import { orderByKey, pick } from "./metric-columns.ts";
import { KeyNames, recordedName } from "./names.ts";
import { pythonText } from "./python-text.ts";
import { RunArtifacts, type Written } from "./run-artifacts.ts";
import {
  ContentRefused,
  type MetricColumns,
  type MlflowStore,
  ReplyLost,
  type RunRecord,
  type RunStatus,
} from "./store.ts";

/** The longest param that MLflow stores whole; a longer one it would cut without a word. Characters. */
const MAX_PARAM = 6000;
/** Latest time, in ms, that a JavaScript page such as MLflow's can show. */
const MAX_TIME = 8.64e15;

/** Without it MLflow's page does not look for images. */
const SHOWS_IMAGES = ["mlflow.loggedImages", "True"] as const;
const PARENT_TAG = "mlflow.parentRunId";
const RUN_TAG = "tracelet.run";
const METRIC_NAME_TAG = "tracelet.tag.";
const PARAM_NAME_TAG = "tracelet.param.";

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
  #experiment: Promise<Experiment> | undefined;
  /** Sources of the runs that this process has created, or tried to. */
  readonly #created = new Set<string>();
  #location: string | undefined;

  constructor(options: MlflowBackendOptions) {
    const { store, experiment, version, keepsMarks, giveUpAfterMs, maxArtifactBytes, quarantine } = options;
    this.#store = store;
    this.#experimentName = experiment;
    this.#version = version;
    this.#keepsMarks = keepsMarks;
    this.#giveUpAfterMs = giveUpAfterMs;
    this.#maxArtifactBytes = maxArtifactBytes ?? Infinity;
    this.#quarantine = quarantine;
    this.batchSize = store.batchSize * store.batchesAtOnce;
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
    const found = known ?? (await this.#find(run, experiment));
    if (found !== undefined) {
      const adopted = this.#adopt(found, run);
      if (run.parentId !== undefined && found.tags.get(PARENT_TAG) !== run.parentId) {
        const tags = new Map([[PARENT_TAG, run.parentId]]);
        await this.#store.logBatch(found.id, { metrics: NO_METRICS, params: new Map(), tags });
      }
      return adopted;
    }
    const id = await this.#create(run, experiment);
    return new MlflowRun({
      id,
      description: run,
      created: true,
      status: "RUNNING",
      marks: run.marks,
      artifacts: this.#artifactsOf({ id }, run),
    });
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
    const notes: Note[] = [];
    const names = new Map<string, string>();
    const metrics = run.metrics(batch, names, notes);
    const params = run.params(batch, names, notes);
    // Tags are stored last. A metric whose own name is not known yet would be taken for one of its key's name after a
    // crash, and be sent again under another key.
    if (names.size > 0) await this.#store.logBatch(run.id, { metrics: NO_METRICS, params: new Map(), tags: names });
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
    const name = this.#experimentName;
    // Without it MLflow shows a new experiment as one of GenAI traces until somebody answers its question.
    const kind = ["mlflow.experimentKind", "custom_model_development"] as const;
    const found = await this.#store.experimentByName(name);
    if (found?.active === false) {
      throw new TraceletError("deleted", `the MLflow experiment "${name}" was deleted`, {
        hint: `restore it (mlflow experiments restore --experiment-id ${found.id}), or give another --experiment`,
      });
    }
    const id = found?.id ?? (await this.#store.createExperiment(name, new Map([kind])));
    if (found !== undefined && !found.tags.has(kind[0])) await this.#store.setExperimentTag(id, ...kind);
    this.#location = this.#store.experimentUrl(id);
    const mayHoldRuns = found !== undefined && (await this.#store.hasRunsWithTag(id, RUN_TAG));
    return { id, mayHoldRuns };
  }

  /** The run that another process or machine made of the same source. */
  async #find(run: RunDescription, experiment: Experiment): Promise<RunRecord | undefined> {
    if (!experiment.mayHoldRuns && !this.#created.has(run.source)) return undefined;
    const candidates = await this.#store.runsByTag(experiment.id, RUN_TAG, run.source);
    const deletedLast = candidates.sort((a, b) => Number(b.active) - Number(a.active));
    for (const candidate of deletedLast) if (await run.owns(marksOfTags(candidate.tags))) return candidate;
    return undefined;
  }

  #adopt(found: RunRecord, run: RunDescription): RunHandle {
    if (!found.active) {
      throw new TraceletError("deleted", `its MLflow run ${found.id} was deleted`, {
        hint: `restore it (mlflow runs restore --run-id ${found.id}), or remove it for good (mlflow gc) to have it sent again`,
      });
    }
    const { metricKeys, params, tags } = found;
    const metricNames = namesOfKeys(metricKeys, METRIC_NAME_TAG, tags);
    const paramNames = namesOfKeys(params.keys(), PARAM_NAME_TAG, tags);
    const marks = this.#keepsMarks ? marksOfTags(tags) : undefined;
    const artifacts = this.#artifactsOf(found, run);
    return new MlflowRun({
      id: found.id,
      description: run,
      created: false,
      status: found.status,
      marks,
      metricNames,
      paramNames,
      params,
      artifacts,
    });
  }

  async #create(run: RunDescription, experiment: Experiment): Promise<string> {
    const user = userName();
    const tags = new Map([
      ["mlflow.user", user],
      ["mlflow.source.name", "tracelet"],
      ["mlflow.source.type", "LOCAL"],
      ["mlflow.note.content", `TensorBoard run \`${run.name}\`, synced by tracelet ${this.#version}.`],
      [RUN_TAG, run.source],
      ...(run.parentId === undefined ? [] : [[PARENT_TAG, run.parentId] as const]),
      ...run.marks.slice(0, 50).map(tagOfMark),
    ]);
    const { id: experimentId } = experiment;
    const end = performance.now() + this.#giveUpAfterMs;
    // Nobody may come to know its id: the first batch, which would be remembered, can fail.
    this.#created.add(run.source);
    for (;;) {
      try {
        return await this.#store.createRun({
          experimentId,
          name: run.name,
          startTime: milliseconds(run.startTime),
          user,
          tags,
        });
      } catch (error) {
        if (!(error instanceof ReplyLost)) throw error;
        // It may have been created: looking is the only way to know, and creating again would make a second run.
        const found = await this.#find(run, experiment);
        if (found !== undefined) return found.id;
        if (performance.now() > end) {
          throw new TraceletError("unreachable", `MLflow does not create a run: ${error.message}`, { cause: error });
        }
      }
    }
  }
}

/** Whose keys they are, those included that were only announced so far. */
function namesOfKeys(keys: Iterable<string>, prefix: string, tags: ReadonlyMap<string, string>): Map<string, string> {
  const names = new Map(Array.from(keys, (key) => [key, key]));
  for (const [tag, name] of tags) if (tag.startsWith(prefix)) names.set(tag.slice(prefix.length), name);
  return names;
}

/** A container may run as a user that the system has no name for. */
function userName(): string {
  try {
    return os.userInfo().username;
  } catch {
    return process.env["USER"] ?? "unknown";
  }
}

interface Experiment {
  readonly id: string;
  /** False only if it held no run of ours when this process began. */
  readonly mayHoldRuns: boolean;
}

type Names = Iterable<readonly [key: string, name: string]>;

const NO_METRICS: MetricColumns = {
  keys: [],
  key: new Int32Array(),
  step: new BigInt64Array(),
  timestamp: new Float64Array(),
  value: new Float64Array(),
  length: 0,
};

const NOTHING: Content = { metrics: NO_METRICS, params: new Map() };

/** What one request takes of a batch. */
interface Part {
  readonly content: Content;
  /** Indexes of its metrics in the batch; undefined if it is all of it. */
  readonly points: Int32Array | undefined;
}

/** A remainder that is worth no request of its own beside those of the others. */
const SMALL_PART = 1 / 8;

/**
 * The params and metrics in parts that may be stored in any order; the last is small, unless it is the only one.
 *
 * Each part holds few keys: MLflow takes three times as long for a thousand points of as many keys, and where requests share
 * none, no one waits for another's row of a key's latest value.
 *
 * @param asTheyCome how many of the metrics stay at the beginning
 */
function partsOf({ metrics, params }: Content, size: number, asTheyCome: number): Part[] {
  if (metrics.length <= size) return [{ content: { metrics, params }, points: undefined }];
  const order = orderByKey(metrics, asTheyCome);
  const parts: Part[] = [];
  for (let from = 0; from < order.length; from += size) {
    const points = order.subarray(from, from + size);
    parts.push({ content: { metrics: pick(metrics, points), params: from === 0 ? params : NOTHING.params }, points });
  }
  if (order.length % size > size * SMALL_PART || order.length % size === 0)
    parts.push({ content: NOTHING, points: order.subarray(0, 0) });
  return parts;
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

/** A hyperparameter on its way. */
interface Param {
  readonly name: string;
  readonly text: string;
  /** What it came in; undefined if that is a file of its own. */
  readonly datum: Datum | undefined;
}

class MlflowRun implements RunHandle {
  readonly id: string;
  readonly description: RunDescription;
  readonly created: boolean;
  /** As it was when the run was opened. */
  readonly status: RunStatus;
  readonly marks: RunHandle["marks"];
  readonly artifacts: RunArtifacts;
  readonly #metricNames: KeyNames;
  readonly #paramNames: KeyNames;
  readonly #params: Map<string, string>;
  /** Metric keys by the number of their tag. */
  readonly #keys: string[] = [];
  /** Whether metrics were stored since it was opened. */
  hasStored = false;
  readonly #noted = new Set<string>();
  #hasRefused = false;

  constructor(run: {
    readonly id: string;
    readonly description: RunDescription;
    readonly created: boolean;
    readonly status: RunStatus;
    readonly marks: RunHandle["marks"];
    readonly artifacts: RunArtifacts;
    readonly metricNames?: Names;
    readonly paramNames?: Names;
    readonly params?: ReadonlyMap<string, string>;
  }) {
    this.id = run.id;
    this.description = run.description;
    this.created = run.created;
    this.status = run.status;
    this.marks = run.marks;
    this.artifacts = run.artifacts;
    this.#metricNames = new KeyNames(run.metricNames ?? []);
    this.#paramNames = new KeyNames(run.paramNames ?? []);
    this.#params = new Map(run.params);
  }

  /** Store the batch's files, if they can be stored at all. */
  async write(batch: Batch, notes: Note[]): Promise<Written> {
    const moved = batch.marks.find(({ offset, from }) => offset > from);
    const segment = moved === undefined ? "0" : `${moved.key.slice(0, 8)}-${moved.from}`;
    const written = await this.artifacts.write(batch.data, segment);
    notes.push(...written.notes);
    this.#noteObstacle(notes);
    return written;
  }

  async attachFiles(artifact: SourceArtifact): Promise<FilesReceipt> {
    const { notes: told, ...receipt } = await this.artifacts.attachFiles(artifact);
    const notes: Note[] = [];
    for (const { code, message } of told) this.#note(notes, code, message);
    this.#noteObstacle(notes);
    return { ...receipt, notes };
  }

  /** The batch's scalars as MLflow takes them; the tags that tell changed names are added to `names`. */
  metrics({ scalars }: Batch, names: Map<string, string>, notes: Note[]): MetricColumns {
    const timestamp = new Float64Array(scalars.length);
    for (let i = 0; i < scalars.length; i++) {
      const id = scalars.tag[i] as number;
      if (this.#keys[id] === undefined) this.#nameMetric(id, scalars.tags[id] as string, names, notes);
      const wallTime = scalars.wallTime[i] as number;
      timestamp[i] = milliseconds(wallTime);
      if (!isTime(wallTime)) {
        this.#note(notes, "wall-time", "wall times that are no time MLflow can store were stored as 0 (1970)");
      }
    }
    return {
      keys: this.#keys,
      key: scalars.tag,
      step: scalars.step,
      timestamp,
      value: scalars.value,
      length: scalars.length,
    };
  }

  /** The batch's hyperparameters that MLflow does not have yet. */
  params(batch: Batch, names: Map<string, string>, notes: Note[]): Map<string, Param> {
    const fresh = new Map<string, Param>();
    // The file first: it knows an integer from a float.
    for (const [name, value] of batch.hparams) this.#param(name, value, undefined, fresh, names, notes);
    for (const datum of batch.data) {
      if (datum.kind !== "hparams" || datum.record.type !== "session_start") continue;
      for (const [name, value] of datum.record.hparams) this.#param(name, value, datum, fresh, names, notes);
    }
    return fresh;
  }

  /** Note that params are stored now. */
  wrote(params: ReadonlyMap<string, string>): void {
    for (const [key, value] of params) this.#params.set(key, value);
  }

  /** Say where values are that were refused. */
  noteRefused({ kind, tag, step, reason }: RefusedValue, file: string, notes: Note[]): void {
    if (this.#hasRefused) return;
    this.#hasRefused = true;
    const which = `${kind} ${JSON.stringify(tag)}${step === undefined ? "" : ` at step ${step}`}`;
    const message = `values that MLflow refuses are set aside, and not sent again, in ${file} (the first: ${which}: ${reason})`;
    notes.push({ code: "quarantined", message });
  }

  #nameMetric(id: number, tag: string, names: Map<string, string>, notes: Note[]): void {
    const name = recordedName(tag);
    const key = this.#metricNames.keyOf(name);
    this.#keys[id] = key;
    if (key === name) return;
    names.set(METRIC_NAME_TAG + key, name);
    this.#note(notes, "renamed", `tag ${JSON.stringify(name)} is metric "${key}"`);
  }

  #param(
    raw: string,
    value: HparamValue,
    datum: Datum | undefined,
    fresh: Map<string, Param>,
    names: Map<string, string>,
    notes: Note[],
  ): void {
    const name = recordedName(raw);
    const key = this.#paramNames.keyOf(name);
    if (key !== name) {
      names.set(PARAM_NAME_TAG + key, name);
      this.#note(notes, "renamed", `hyperparameter ${JSON.stringify(name)} is param "${key}"`);
    }
    const whole = pythonText(value);
    const text = cut(whole, MAX_PARAM);
    if (text !== whole)
      this.#note(notes, "cut", `param "${key}" is longer than the ${MAX_PARAM} characters MLflow stores`);
    const known = fresh.get(key)?.text ?? this.#params.get(key);
    if (known === undefined) fresh.set(key, { name, text, datum });
    else if (!isSameParam(known, text)) {
      this.#note(
        notes,
        "param-conflict",
        `param "${key}" stays ${known}: MLflow changes no param, and a later value is ${text}`,
      );
    }
  }

  #noteObstacle(notes: Note[]): void {
    const { obstacle } = this.artifacts;
    if (obstacle !== undefined) this.#note(notes, "artifacts", `${obstacle.message}; ${obstacle.hint ?? ""}`);
  }

  #note(notes: Note[], code: Note["code"], message: string): void {
    if (this.#noted.has(message)) return;
    this.#noted.add(message);
    notes.push({ code, message });
  }
}

interface Fate {
  /** Why files could not be stored at all. */
  readonly obstacle: TraceletError | undefined;
  readonly written: Written;
  readonly refused: Refused;
  /** By their keys. */
  readonly params: ReadonlyMap<string, Param>;
}

function tallyOf(batch: Batch, { obstacle, written, refused, params }: Fate): Tally {
  const tally = new Tally();
  tally.sent("scalars", batch.scalars.length - refused.metrics.size);
  tally.leftOut("scalars", REFUSED, refused.metrics.size);
  const refusedData = new Set<Datum | undefined>(written.refused.keys());
  for (const key of refused.params.keys()) refusedData.add(params.get(key)?.datum);
  tally.add(written.replaced);
  const displaced = new Map(Array.from(written.replaced.kinds, ([kind, { leftOut }]) => [kind, sum(leftOut.values())]));
  for (const datum of batch.data) {
    const isParam = datum.kind === "hparams" && datum.record.type !== "experiment";
    const left = displaced.get(datum.kind) ?? 0;
    if (datum.kind === "unreadable") tally.leftOut(datum.kind, "cannot be decoded", 1);
    else if (obstacle !== undefined && !isParam) tally.leftOut(datum.kind, "no place for files", 1);
    else if (refusedData.has(datum)) tally.leftOut(datum.kind, REFUSED, 1);
    else if (written.tooLarge.has(datum)) tally.leftOut(datum.kind, "larger than --max-artifact-size", 1);
    // In the place of one that was counted as sent.
    else if (left > 0) displaced.set(datum.kind, left - 1);
    else tally.sent(datum.kind, 1);
  }
  return tally;
}

function sum(counts: Iterable<number>): number {
  let total = 0;
  for (const count of counts) total += count;
  return total;
}

const REFUSED = "refused by MLflow";

function refusedScalars({ scalars, parts }: Batch, refused: ReadonlyMap<number, ContentRefused>): RefusedValue[] {
  return Array.from(refused, ([i, { reason }]) => ({
    kind: "scalars",
    tag: scalars.tags[scalars.tag[i] as number] as string,
    step: scalars.step[i] as bigint,
    wallTime: scalars.wallTime[i] as number,
    value: scalars.value[i] as number,
    file: parts.findLast(({ firstScalar }) => firstScalar <= i)?.file,
    offset: scalars.offset[i] as number,
    reason,
  }));
}

function refusedParams(
  batch: Batch,
  params: ReadonlyMap<string, Param>,
  refused: ReadonlyMap<string, ContentRefused>,
): RefusedValue[] {
  return Array.from(refused, ([key, { reason }]) => {
    const { name, text, datum } = params.get(key) as Param;
    const file = datum && fileOf(batch, datum);
    return {
      kind: "hparams",
      tag: name,
      step: undefined,
      wallTime: datum?.wallTime,
      value: text,
      file,
      offset: datum?.offset,
      reason,
    };
  });
}

function refusedData(batch: Batch, refused: ReadonlyMap<Datum, ContentRefused>): RefusedValue[] {
  return Array.from(refused, ([datum, { reason }]) => {
    const { kind, tag, step, wallTime, offset } = datum;
    return { kind, tag, step, wallTime, value: undefined, file: fileOf(batch, datum), offset, reason };
  });
}

function fileOf(
  { data, parts }: { data: Batch["data"]; parts: readonly BatchPart[] },
  datum: Datum,
): string | undefined {
  const at = data.indexOf(datum);
  return parts.findLast(({ firstDatum }) => firstDatum <= at)?.file;
}

/** Seconds → ms by floor, as MLflow's own client rounds: any other rule would make a second point of every third. */
function milliseconds(seconds: number): number {
  return isTime(seconds) ? Math.floor(seconds * 1000) : 0;
}

function isTime(seconds: number): boolean {
  return seconds >= 0 && seconds * 1000 <= MAX_TIME;
}

/** The flag of `hparams.yaml` and of the hparams plugin for one and the same number may be 3 and 3.0. */
export function isSameParam(a: string, b: string): boolean {
  return a === b || (a.trim() !== "" && b.trim() !== "" && Number(a) === Number(b));
}

/** At most `length` characters. A half surrogate pair, which a YAML escape can write, is no text any server takes. */
function cut(raw: string, length: number): string {
  const text = Buffer.from(raw).toString();
  if (text.length <= length) return text;
  const points = [...text];
  return points.length <= length ? text : points.slice(0, length).join("");
}
