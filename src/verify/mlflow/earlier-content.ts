/** Which of the params and files that the source does not have so were sent as they are under an earlier choice. */

import type { Artifact, ArtifactStore } from "../../backends/artifacts/artifact.ts";
import { isSameParam } from "../../backends/mlflow/run.ts";
import type { LogBatch } from "../../backends/mlflow/store.ts";
import { TraceletError } from "../../errors.ts";
import type { FileRef } from "../../reader/file-store.ts";
import type { SyncResult } from "../../sync/engine/sync-result.ts";
import { Findings, type OneDifference } from "../findings.ts";
import { ArtifactCheck } from "./artifact-check.ts";
import { choicesOf } from "./earlier-choices.ts";
import { pointOf } from "./points.ts";
import { readSource, runsOf, type VerifyOptions, withChoice } from "./reading.ts";
import type { RunCheck } from "./run-check.ts";
import type { Expectations } from "./store.ts";

/** @param errors gets what could not be read, by the run's id */
export async function settleContent(
  options: VerifyOptions,
  checks: Iterable<RunCheck>,
  { runs, error }: SyncResult,
  errors: Map<string, TraceletError>,
): Promise<void> {
  const waiting = Array.from(checks).filter(({ findings }) => findings.pending.length > 0);
  for (const check of waiting) check.toSettle++;
  if (error !== undefined) return;
  const earlier = new Map(waiting.map((check) => [check, new Set<OneDifference>()]));
  for (const [id, choice] of choicesOf(waiting)) {
    const own = waiting.filter((check) => check.earlier.has(id));
    const content = new ContentOfRuns(own);
    const { onStart: _, ...quiet } = options;
    const { result } = await readSource({ ...withChoice(quiet, choice), wantsGroup: runsOf(runs, own) }, content);
    if (options.signal.aborted) return;
    for (const check of own) {
      const failed = result.runs.find(({ remoteId, error }) => remoteId === check.id && error !== undefined);
      const failure = failed?.error ?? result.error;
      if (failure !== undefined) errors.set(check.id, failure);
      try {
        for (const difference of await content.of(check)) earlier.get(check)?.add(difference);
      } catch (cause) {
        if (!(cause instanceof TraceletError)) throw cause;
        errors.set(check.id, cause);
      }
    }
  }
  for (const check of waiting) {
    check.findings.settle((difference) => earlier.get(check)?.has(difference) === true);
    check.toSettle--;
  }
}

/** What a choice lets in of some runs, as far as it is asked for. */
class ContentOfRuns implements Expectations {
  readonly #checks: ReadonlyMap<string, RunCheck>;
  readonly #params = new Map<string, Map<string, string>>();
  readonly #files = new Map<string, Promise<SomeFiles>>();

  constructor(checks: readonly RunCheck[]) {
    this.#checks = new Map(checks.map((check) => [check.id, check]));
  }

  /** Those of a run's pending differences that are none under this choice. @throws TraceletError */
  async of({ id, findings }: RunCheck): Promise<OneDifference[]> {
    const params = this.#params.get(id);
    const files = await this.#files.get(id);
    const same: OneDifference[] = [];
    for (const difference of findings.pending) {
      const { what, name, there } = difference;
      const param = params?.get(name);
      const isSame =
        what === "params"
          ? param !== undefined && there !== undefined && isSameParam(param, there)
          : (await files?.check.agrees(name)) === true;
      if (isSame) same.push(difference);
    }
    return same;
  }

  newRun(): string {
    return "";
  }

  batch(runId: string, { params }: LogBatch): void {
    if (!this.#checks.has(runId)) return;
    const known = this.#params.get(runId) ?? new Map<string, string>();
    this.#params.set(runId, known);
    for (const [name, value] of params) known.set(name, value);
  }

  /** The first reading has noted it, and duplicates. */
  renamed(): void {}

  duplicate(): void {}

  async artifacts(runId: string, open: () => Promise<ArtifactStore>): Promise<ArtifactStore> {
    const names = new Set(
      this.#checks.get(runId)?.findings.pending.flatMap(({ what, name }) => (what === "files" ? [name] : [])),
    );
    // Then nothing is drawn or encoded.
    if (names.size === 0) throw new TraceletError("unsupported", "no file of this run is asked for");
    const make = async () => new SomeFiles(await open(), names);
    const known = this.#files.get(runId) ?? make();
    this.#files.set(runId, known);
    return known;
  }

  async end(): Promise<void> {}
}

/** Looks at files of some names, and takes no notice of all others. */
class SomeFiles implements ArtifactStore {
  readonly check: ArtifactCheck;
  readonly #names: ReadonlySet<string>;

  constructor(there: ArtifactStore, names: ReadonlySet<string>) {
    this.check = new ArtifactCheck(there, new Findings(pointOf), () => {});
    this.#names = names;
  }

  async put(artifact: Artifact): Promise<void> {
    if (this.#wants(artifact.path)) await this.check.put(artifact);
  }

  async putFile(path: string, file: FileRef, size: number): Promise<void> {
    if (this.#wants(path)) await this.check.putFile(path, file, size);
  }

  async get(): Promise<undefined> {
    return undefined;
  }

  async digest(): Promise<undefined> {
    return undefined;
  }

  async list(): Promise<[]> {
    return [];
  }

  #wants(path: string): boolean {
    return ArtifactCheck.namesOf(path).some((name) => this.#names.has(name));
  }
}
