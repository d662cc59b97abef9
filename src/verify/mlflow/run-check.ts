/** One run while its source is read: what is expected of the destination, and then what is there. */
import type PQueue from "p-queue";
import type { ArtifactStore } from "../../backends/artifacts/artifact.ts";
import { isChoiceTag } from "../../backends/mlflow/choices.ts";
import { isMarkTag, marksOfTags } from "../../backends/mlflow/marks.ts";
import { isNameRecorded } from "../../backends/mlflow/names.ts";
import { NAME_TAG, NOTE_TAG, RUN_TAG, SOURCE_TAG } from "../../backends/mlflow/new-run.ts";
import { isSameParam } from "../../backends/mlflow/run.ts";
import type { LogBatch, MlflowStore, RunStatus } from "../../backends/mlflow/store.ts";
import { TraceletError } from "../../errors.ts";
import type { Recordings } from "../../sync/source/recordings.ts";
import type { Choice } from "../../sync/transform/choice.ts";
import { Findings } from "../findings.ts";
import { Sum } from "../items.ts";
import { passOverRecorded } from "../recorded.ts";
import type { Unsettled } from "../tasks.ts";
import { ArtifactCheck } from "./artifact-check.ts";
import { earlierChoices } from "./earlier-choices.ts";
import { pointAt, pointOf } from "./points.ts";

/** Written anew where a source has another name. */
const IDENTITY_TAGS: ReadonlySet<string> = new Set([NAME_TAG, NOTE_TAG, RUN_TAG, SOURCE_TAG]);
const CHANGED_NAME = "its name, which the next sync changes,";

export class RunCheck {
  /** The destination's name of the run; where it is not there, one that only this check knows. */
  readonly id: string;
  readonly isThere: boolean;
  readonly findings: Findings = new Findings(pointOf);
  /** The choices that it was sent under before, by id. */
  earlier: ReadonlyMap<string, Choice> = new Map();
  /** Why files could not be compared. */
  obstacle: TraceletError | undefined;
  /** What it is to be called, if it is called otherwise. */
  name: string | undefined;
  /** How the source says that the run ended; undefined before it was read to its end. */
  status: RunStatus | undefined;
  /** Whether all has been compared, but what has to be read again. */
  compared = false;
  /** What has to be read again to know. */
  readonly unsettled: Unsettled[] = [];
  /** How many readings of it are still to be made. */
  toSettle = 0;
  readonly #points = new Map<string, Sum>();
  readonly #lines = new Map<string, Sum>();
  readonly #params = new Map<string, string>();
  readonly #tags = new Map<string, string>();
  #artifacts: Promise<ArtifactCheck> | undefined;
  readonly #choice: string;

  readonly #recordings: Recordings | undefined;

  /** @param choice id of the one that is verified @param recordings those of this machine */
  constructor(id: string, isThere: boolean, choice: string, recordings?: Recordings) {
    this.id = id;
    this.#recordings = recordings;
    this.#choice = choice;
    this.isThere = isThere;
  }

  expect({ metrics, params, tags }: LogBatch): void {
    const sums: Sum[] = [];
    for (let i = 0; i < metrics.length; i++) {
      const id = metrics.key[i] as number;
      const sum = (sums[id] ??= sumOf(this.#points, metrics.keys[id] as string));
      sum.add(pointAt(metrics, i));
    }
    for (const [key, value] of params) this.#params.set(key, value);
    // How far the files were sent is no part of the run, nor by what it is known.
    for (const [key, value] of tags) {
      if (!isMarkTag(key) && !isChoiceTag(key) && !IDENTITY_TAGS.has(key)) this.#tags.set(key, value);
    }
  }

  /** @param open the files that are there */
  artifacts(open: () => Promise<ArtifactStore>): Promise<ArtifactCheck> {
    const onLine = (folder: string, words: Int32Array) => sumOf(this.#lines, folder).add(words);
    const make = async () => new ArtifactCheck(this.isThere ? await open() : undefined, this.findings, onLine);
    this.#artifacts ??= make();
    return this.#artifacts;
  }

  /**
   * Compare, once all of the source was read. What is in memory of it is then let go.
   *
   * @param readings runs what reads from the store, so many at a time
   * @throws TraceletError if the destination cannot be read; the signal's reason
   */
  async compare(store: MlflowStore, readings: PQueue, signal: AbortSignal): Promise<void> {
    const { findings } = this;
    findings.compared("runs", 1);
    if (this.isThere) await this.#compareRecord(store, readings, signal);
    else {
      findings.add({ what: "runs", name: "run", state: "missing" });
      this.#pairs("params", this.#params, new Map());
      for (const [key, { count }] of this.#points) this.#settle("points", key, count, 0);
    }
    await this.#compareArtifacts(store);
    for (const { count } of this.#points.values()) findings.compared("points", count);
    for (const { count } of this.#lines.values()) findings.compared("lines", count);
    this.#points.clear();
    this.#lines.clear();
    this.compared = true;
  }

  async #compareRecord(store: MlflowStore, readings: PQueue, signal: AbortSignal): Promise<void> {
    const record = await store.run(this.id);
    if (record === undefined) throw new TraceletError("deleted", `run ${this.id} is not in this MLflow any more`);
    this.earlier = earlierChoices(record.tags, this.#choice);
    if (this.earlier.size > 0) this.findings.holdBack();
    const { findings, status = "FINISHED" } = this;
    passOverRecorded(findings, this.#recordings, marksOfTags(record.tags));
    if (record.status !== status) {
      findings.add({ what: "runs", name: "status", state: "different", source: status, there: record.status });
    }
    if (this.name !== undefined) {
      const there = record.tags.get("mlflow.runName") ?? "";
      findings.add({ what: "runs", name: CHANGED_NAME, state: "different", source: this.name, there });
    }
    this.#pairs("tags", this.#tags, record.tags);
    this.#pairs("params", this.#params, record.params);
    const sumThere = async (key: string) => {
      const sum = new Sum();
      signal.throwIfAborted();
      for await (const page of store.metricHistory(this.id, key)) {
        for (let i = 0; i < page.length; i++) sum.add(pointAt(page, i));
        signal.throwIfAborted();
      }
      return { key, there: sum };
    };
    const keys = [...new Set([...this.#points.keys(), ...record.metricKeys])];
    for (const { key, there } of await Promise.all(keys.map((key) => readings.add(() => sumThere(key))))) {
      const source = this.#points.get(key) ?? new Sum();
      if (!source.equals(there)) this.#settle("points", key, source.count, there.count);
    }
  }

  async #compareArtifacts(store: MlflowStore): Promise<void> {
    let artifacts: ArtifactCheck;
    try {
      artifacts = await this.artifacts(() => store.artifacts({ id: this.id }));
    } catch (error) {
      // Neither could they be sent.
      if (!(error instanceof TraceletError && error.code === "unsupported")) throw error;
      this.obstacle = error;
      return;
    }
    await artifacts.finish();
    const there = new Map<string, Sum>();
    await artifacts.eachStoredLine((folder, words) => sumOf(there, folder).add(words));
    for (const folder of new Set([...this.#lines.keys(), ...there.keys()])) {
      const [a, b] = [this.#lines.get(folder) ?? new Sum(), there.get(folder) ?? new Sum()];
      if (!a.equals(b)) this.#settle("lines", folder, a.count, b.count);
    }
  }

  /** Where one side has nothing, there is nothing to look at. */
  #settle(what: "points" | "lines", name: string, source: number, there: number): void {
    if (there === 0) this.findings.addWhole(what, name, "missing", source);
    else if (source === 0 && this.earlier.size === 0) this.findings.addWhole(what, name, "extra", there);
    else this.unsettled.push({ what, name, source, there });
  }

  /** Compare params, or the tags that the source wants; a run has many other tags. */
  #pairs(what: "params" | "tags", source: ReadonlyMap<string, string>, there: ReadonlyMap<string, string>): void {
    this.findings.compared(what, source.size);
    for (const [name, expected] of source) {
      const found = there.get(name);
      if (found === undefined) this.findings.add({ what, name, state: "missing", source: expected });
      else if (expected !== found && !(what === "params" ? isSameParam : isNameRecorded)(expected, found)) {
        this.findings.add({ what, name, state: "different", source: expected, there: found });
      }
    }
    if (what === "tags") return;
    for (const [name, found] of there) {
      if (!source.has(name)) this.findings.add({ what, name, state: "extra", there: found });
    }
  }
}

function sumOf(sums: Map<string, Sum>, name: string): Sum {
  let sum = sums.get(name);
  if (sum === undefined) {
    sum = new Sum();
    sums.set(name, sum);
  }
  return sum;
}
