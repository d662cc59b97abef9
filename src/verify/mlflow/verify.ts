/**
 * Compare what an MLflow holds with what the logdirs hold, without writing anywhere.
 *
 * The way is that of a sync which knows nothing of an earlier one: every value passes through the engine and the backend,
 * and what comes out is compared instead of sent. Of points only sums are kept. Where they differ, the source is read
 * once more, and the points of those metrics are held and compared, some hundred thousand at a time.
 */
import PQueue from "p-queue";
import type { ArtifactStore } from "../../backends/artifacts/artifact.ts";
import type { LogBatch, MlflowStore, RunStatus } from "../../backends/mlflow/store.ts";
import { TraceletError } from "../../errors.ts";
import { chosenBy } from "../../sync/run/run-choices.ts";
import type { RunResult } from "../../sync/run/run-result.ts";
import type { Recordings } from "../../sync/source/recordings.ts";
import { choiceId, choiceText } from "../../sync/transform/choice.ts";
import { Findings } from "../findings.ts";
import { notCompared, type VerifiedRun, type VerifyResult } from "../result.ts";
import { settleContent } from "./earlier-content.ts";
import { pointOf } from "./points.ts";
import { readSource, type VerifyOptions } from "./reading.ts";
import { RunCheck } from "./run-check.ts";
import { settleSeries } from "./second-reading.ts";
import type { Expectations } from "./store.ts";

export type { VerifyOptions } from "./reading.ts";

/** @throws TraceletError `logdir` if one cannot be read */
export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  // Copies of a run in several logdirs are one run there, which is complete only when all are read.
  const { maxArtifactBytes: maxFileBytes } = options;
  const choice = choiceId(choiceText(chosenBy({ ...options, backend: { maxFileBytes } })));
  const sums = new SumsOfRuns(options, choice, options.logdirs.length === 1);
  const { result, location } = await readSource(options, sums);
  const errors = await sums.finish();
  await settleSeries(options, sums.checks.values(), result, errors);
  await settleContent(options, sums.checks.values(), result, errors);
  const seen = new Set<string>();
  const runs = result.runs.map((run) => verified(run, sums.checks.get(run.remoteId ?? ""), errors, seen));
  const endsAll = [...errors.values()].find((error) => error.endsAll);
  const left = options.signal.aborted ? notCompared(result, runs) : undefined;
  return { ...result, runs, location, error: result.error ?? endsAll, interrupted: options.signal.aborted, left };
}

/** The first reading: sums. */
class SumsOfRuns implements Expectations {
  readonly checks = new Map<string, RunCheck>();
  readonly #store: MlflowStore;
  readonly #signal: AbortSignal;
  readonly #choice: string;
  readonly #atOnce: boolean;
  readonly #recordings: Recordings | undefined;
  /** A single large run has many metrics to be read. */
  readonly #readings: PQueue;

  /**
   * @param choice id of the one that is verified
   * @param atOnce compare each run as soon as it is read
   */
  constructor({ store, signal, concurrency, recordings }: VerifyOptions, choice: string, atOnce: boolean) {
    this.#recordings = recordings;
    this.#choice = choice;
    this.#readings = new PQueue({ concurrency });
    this.#store = store;
    this.#signal = signal;
    this.#atOnce = atOnce;
  }

  newRun(): string {
    const id = `not there ${this.checks.size}`;
    this.checks.set(id, new RunCheck(id, false, this.#choice, this.#recordings));
    return id;
  }

  batch(runId: string, batch: LogBatch): void {
    this.#check(runId).expect(batch);
  }

  renamed(runId: string, name: string): void {
    this.#check(runId).name = name;
  }

  duplicate(runId: string, other: string): void {
    this.#check(runId).findings.add({
      what: "runs",
      name: `run ${other}, a second one of the same source,`,
      state: "extra",
    });
  }

  artifacts(runId: string, open: () => Promise<ArtifactStore>): Promise<ArtifactStore> {
    return this.#check(runId).artifacts(open);
  }

  async end(runId: string, status: RunStatus): Promise<void> {
    const check = this.#check(runId);
    check.status = status;
    if (this.#atOnce) await check.compare(this.#store, this.#readings, this.#signal);
  }

  /** Compare what was put off. @returns what could not be, by the run's id */
  async finish(): Promise<Map<string, TraceletError>> {
    const errors = new Map<string, TraceletError>();
    if (this.#atOnce) return errors;
    for (const check of this.checks.values()) {
      if (check.status === undefined || this.#signal.aborted) continue;
      await check.compare(this.#store, this.#readings, this.#signal).catch((error: unknown) => {
        if (!(error instanceof TraceletError)) throw error;
        if (!this.#signal.aborted) errors.set(check.id, error);
      });
    }
    return errors;
  }

  #check(id: string): RunCheck {
    let check = this.checks.get(id);
    if (check === undefined) {
      check = new RunCheck(id, true, this.#choice, this.#recordings);
      this.checks.set(id, check);
    }
    return check;
  }
}

function verified(
  run: RunResult,
  check: RunCheck | undefined,
  errors: ReadonlyMap<string, TraceletError>,
  seen: Set<string>,
): VerifiedRun {
  const { name, remoteId = "", problems, losses } = run;
  const error = run.error ?? errors.get(remoteId);
  const shared = { name, error, problems, losses, obstacle: check?.obstacle };
  const known = check?.isThere === false ? undefined : run.remoteId;
  // One that was not opened has no id; another without one is no copy of it.
  if (run.outcome === "unchanged" || (remoteId !== "" && seen.has(remoteId))) {
    return { ...shared, outcome: error ? "failed" : "copy", remoteId: known, findings: new Findings(pointOf) };
  }
  seen.add(remoteId);
  return { ...shared, outcome: outcomeOf(), remoteId: known, findings: check?.findings ?? new Findings(pointOf) };

  function outcomeOf(): VerifiedRun["outcome"] {
    if (error !== undefined) return "failed";
    if (check === undefined) return run.outcome === "empty" ? "empty" : "interrupted";
    if (!check.compared || check.toSettle > 0) return "interrupted";
    if (!check.isThere) return "missing";
    return check.findings.equal ? "equal" : "different";
  }
}
