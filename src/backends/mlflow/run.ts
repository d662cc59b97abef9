/** One run of MLflow while it is written to: what its keys are called, which params it has, what was said of it. */
import { type Datum, type HparamsDatum, holdsHparams, type MetricInfoDatum } from "../../reader/datum.ts";
import { PythonObject, type PythonValue, pythonText } from "../../reader/python-text.ts";
import type {
  Batch,
  FilesReceipt,
  RefusedValue,
  RunDescription,
  RunHandle,
  SourceArtifact,
} from "../../sync/backend.ts";
import type { Note } from "../../sync/report/note.ts";
import { typeOf } from "../../sync/source/metric-types.ts";
import type { ArtifactStore } from "../artifacts/artifact.ts";
import type { RunArtifacts, Written } from "../artifacts/run-artifacts.ts";
import { storableLines } from "../storable-text.ts";
import { isRecordedName, isValidKey, KeyNames, labelKey, metricLabelKey, nameRecorded, recordedName } from "./names.ts";
import type { MetricColumns, RunRecord, RunStatus } from "./store.ts";
import { isTime, milliseconds } from "./wall-time.ts";

/** The longest param that MLflow stores whole; a longer one it would cut without a word. Characters. */
const MAX_PARAM = 6000;

/** The longest run tag that every MLflow stores whole. Characters. */
const MAX_LABEL = 5000;

const METRIC_NAME_TAG = "tracelet.tag.";
const PARAM_NAME_TAG = "tracelet.param.";

/** A hyperparameter on its way. */
export interface Param {
  readonly name: string;
  readonly text: string;
  /** What it came in; undefined if that is a file of its own. */
  readonly datum: Datum | undefined;
}

const EMPTY = { metricKeys: new Set<string>(), params: new Map<string, string>(), tags: new Map<string, string>() };

export class MlflowRun implements RunHandle {
  readonly id: string;
  readonly description: RunDescription;
  readonly created: boolean;
  readonly renamed: RunHandle["renamed"];
  readonly called: RunHandle["called"];
  /** As it was when the run was opened. */
  readonly status: RunStatus;
  readonly marks: RunHandle["marks"];
  readonly choice: RunHandle["choice"];
  readonly choices: RunHandle["choices"];
  readonly artifacts: RunArtifacts<ArtifactStore>;
  readonly #metricNames: KeyNames;
  readonly #paramNames: KeyNames;
  readonly #params: Map<string, string>;
  /** Metric keys by the number of their tag. */
  readonly #keys: string[] = [];
  /** Whether metrics were stored since it was opened. */
  hasStored = false;
  readonly #noted = new Set<string>();
  #hasRefused = false;
  /** What was learnt before there was a receipt to say it in. */
  readonly #untold: Note[] = [];

  constructor(run: {
    readonly id: string;
    readonly description: RunDescription;
    readonly created: boolean;
    readonly renamed?: RunHandle["renamed"];
    readonly called?: RunHandle["called"];
    readonly status: RunStatus;
    readonly marks: RunHandle["marks"];
    readonly choice?: RunHandle["choice"];
    readonly choices?: RunHandle["choices"];
    readonly artifacts: RunArtifacts<ArtifactStore>;
    /** What it holds already; left out: nothing. */
    readonly has?: Pick<RunRecord, "metricKeys" | "params" | "tags">;
  }) {
    const { metricKeys, params, tags } = run.has ?? EMPTY;
    this.id = run.id;
    this.description = run.description;
    this.created = run.created;
    this.renamed = run.renamed;
    this.called = run.called;
    this.status = run.status;
    this.marks = run.marks;
    this.choice = run.choice;
    this.choices = run.choices;
    this.artifacts = run.artifacts;
    this.#metricNames = new KeyNames(namesOfKeys(metricKeys, METRIC_NAME_TAG, tags));
    this.#paramNames = new KeyNames(namesOfKeys(params.keys(), PARAM_NAME_TAG, tags));
    this.#params = new Map(params);
  }

  /** Whether a database may take two of the keys that the batch brings for one. */
  mayClash({ scalars, hparams, data }: Batch): boolean {
    if (this.#metricNames.folds) return false;
    const tags = this.#unnamed(scalars).map((id) => scalars.tags[id] as string);
    const params = [...hparams.keys(), ...sessions(data).flatMap(({ record }) => [...record.hparams.keys()])];
    return this.#metricNames.mayClash(tags.map(recordedName)) || this.#paramNames.mayClash(params.map(recordedName));
  }

  /** Have keys differ by more than their case and accents from now on. */
  keepKeysApart(): void {
    this.#metricNames.folds = true;
    this.#paramNames.folds = true;
  }

  /** Store the batch's files, if they can be stored at all. */
  async write(batch: Batch, notes: Note[]): Promise<Written> {
    const written = await this.artifacts.write(batch.data, batch.segments);
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
      const wallTime = scalars.wallTime[i] as number;
      timestamp[i] = milliseconds(wallTime);
      if (!isTime(wallTime)) {
        this.#note(notes, "wall-time", "wall times that are no time MLflow can store were stored as 0 (1970)");
      }
    }
    this.#nameMetrics(this.#unnamed(scalars), scalars.tags, names, notes);
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
    const all: { readonly name: string; readonly value: PythonValue; readonly datum: Datum | undefined }[] = [];
    for (const datum of sessions(batch.data)) {
      for (const [name, value] of datum.record.hparams) all.push({ name: recordedName(name), value, datum });
    }
    for (const [name, value] of batch.hparams) all.push({ name: recordedName(name), value, datum: undefined });
    this.#paramNames.expect(all.map(({ name }) => name));
    const fresh = new Map<string, Param>();
    for (const { name, value, datum } of all) this.#param(name, value, datum, fresh, names, notes);
    return fresh;
  }

  /** The labels that the batch sets, as MLflow takes them; of one that is set twice, the later text. */
  labels({ data }: Batch, notes: Note[]): Map<string, string> {
    const labels = new Map<string, string>();
    for (const datum of data) {
      if (datum.kind === "metric_info") labels.set(...this.#metricLabel(datum, notes));
      if (datum.kind !== "run_tags") continue;
      for (const [name, value] of datum.tags) {
        const key = labelKey(name);
        if (key !== name) this.#note(notes, "renamed", `label ${JSON.stringify(name)} is run tag "${key}"`);
        const whole = storableLines(value);
        const text = cut(whole, MAX_LABEL);
        if (text !== whole)
          this.#note(notes, "cut", `run tag "${key}" is longer than the ${MAX_LABEL} characters MLflow stores`);
        labels.set(key, text);
      }
    }
    return labels;
  }

  /** What is known of a metric, as a run tag: the REST API of MLflow has no place for it at the metric. */
  #metricLabel(datum: MetricInfoDatum, notes: Note[]): [key: string, text: string] {
    const { metric, info } = datum;
    const metadata = Object.keys(info).length === 0 ? {} : { metadata: info };
    const text = (fields: object) => storableLines(JSON.stringify({ metric, ...typeOf(datum), ...fields }));
    const whole = text(metadata);
    if (whole.length <= MAX_LABEL) return [metricLabelKey(metric), whole];
    this.#note(notes, "cut", `metadata of metric ${JSON.stringify(metric)} are longer than a run tag of MLflow can be`);
    return [metricLabelKey(metric), text({})];
  }

  /** Say so if it was created under another name than its own. */
  noteName(name: string): void {
    const own = this.description.name;
    if (name === own) return;
    this.#note(this.#untold, "renamed", `run ${JSON.stringify(own)} is called ${JSON.stringify(name)} in MLflow`);
  }

  /** What is to be said with the next receipt. */
  takeNotes(): Note[] {
    return this.#untold.splice(0);
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

  /** Numbers of the tags among the scalars that have no key yet, in their order. */
  #unnamed({ tag, length }: Batch["scalars"]): number[] {
    const ids = new Set<number>();
    for (let i = 0; i < length; i++) {
      const id = tag[i] as number;
      if (this.#keys[id] === undefined) ids.add(id);
    }
    return [...ids];
  }

  #nameMetrics(ids: readonly number[], tags: readonly string[], into: Map<string, string>, notes: Note[]): void {
    const named = ids.map((id) => ({ id, name: recordedName(tags[id] as string) }));
    this.#metricNames.expect(named.map(({ name }) => name));
    for (const { id, name } of named) {
      const key = this.#metricNames.keyOf(name);
      this.#keys[id] = key;
      if (key === name) continue;
      into.set(METRIC_NAME_TAG + key, name);
      this.#note(notes, "renamed", `tag ${JSON.stringify(name)} is metric "${key}"`);
    }
  }

  #param(
    name: string,
    value: PythonValue,
    datum: Datum | undefined,
    fresh: Map<string, Param>,
    names: Map<string, string>,
    notes: Note[],
  ): void {
    const key = this.#paramNames.keyOf(name);
    if (key !== name) {
      names.set(PARAM_NAME_TAG + key, name);
      this.#note(notes, "renamed", `hyperparameter ${JSON.stringify(name)} is param "${key}"`);
    }
    const whole = storableLines(pythonText(value));
    const text = cut(whole, MAX_PARAM);
    if (text !== whole)
      this.#note(notes, "cut", `param "${key}" is longer than the ${MAX_PARAM} characters MLflow stores`);
    const known = fresh.get(key)?.text ?? this.#params.get(key);
    if (known === undefined) fresh.set(key, { name, text, datum });
    // An object's text is not always that which the event file has of it, which came first.
    else if (!isSameParam(known, text) && !(value instanceof PythonObject)) {
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

type Session = HparamsDatum & { readonly record: { readonly type: "session_start" | "params" } };

/** What brings hyperparameters among the data of a batch. */
function sessions(data: Batch["data"]): Session[] {
  return data.filter((datum): datum is Session => datum.kind === "hparams" && holdsHparams(datum.record));
}

/** Whose keys they are, those included that were only announced so far. */
function namesOfKeys(keys: Iterable<string>, prefix: string, tags: ReadonlyMap<string, string>): Map<string, string> {
  const names = new Map(Array.from(keys, (key) => [key, key]));
  for (const [tag, name] of tags) {
    if (!tag.startsWith(prefix)) continue;
    const key = tag.slice(prefix.length);
    // Whoever may write to the experiment may have written it: under a key that MLflow refuses, all of its values would be.
    if (isValidKey(key) && isRecordedName(name)) names.set(key, nameRecorded(name));
  }
  return names;
}

/** The flag of `hparams.yaml` and of the hparams plugin for one and the same number may be 3 and 3.0. */
export function isSameParam(a: string, b: string): boolean {
  // Versions before 0.2 stored control characters as they came.
  return storableLines(a) === storableLines(b) || (a.trim() !== "" && b.trim() !== "" && Number(a) === Number(b));
}

/** At most `length` characters. */
function cut(text: string, length: number): string {
  if (text.length <= length) return text;
  const points = [...text];
  return points.length <= length ? text : points.slice(0, length).join("");
}
