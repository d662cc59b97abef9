/** An MLflow that the backend can write to as always, and that only looks at what it is given. */
import type { ArtifactStore } from "../../backends/artifacts/artifact.ts";
import type {
  ExperimentRecord,
  LogBatch,
  MetricColumns,
  MlflowStore,
  RunRecord,
  RunStatus,
} from "../../backends/mlflow/store.ts";

/** Told what a sync would write. */
export interface Expectations {
  /** A run that is not there. @returns a name for it */
  newRun(): string;
  batch(runId: string, batch: LogBatch): void;
  /** The run is there under another name than this, which its source had when it was last sent. */
  renamed(runId: string, name: string): void;
  /** Another active run is of the same source. */
  duplicate(runId: string, other: string): void;
  /** @param open the files that are there */
  artifacts(runId: string, open: () => Promise<ArtifactStore>): Promise<ArtifactStore>;
  /** All of the run's source has been read. */
  end(runId: string, status: RunStatus): Promise<void>;
}

const NOWHERE = "nowhere";
const NONE: ReadonlyMap<string, string> = new Map();

/** Reads from the real store, so that every run is found as a sync finds it; writes nowhere. */
export class VerifyStore implements MlflowStore {
  readonly batchSize = 20_000;
  readonly batchesAtOnce = 1;
  readonly runLists = undefined;
  readonly #there: MlflowStore;
  readonly #expectations: Expectations;
  /** Of runs that are not there. */
  readonly #missing = new Set<string>();

  constructor(there: MlflowStore, expectations: Expectations) {
    this.#there = there;
    this.#expectations = expectations;
  }

  experimentByName(name: string): Promise<ExperimentRecord | undefined> {
    return this.#there.experimentByName(name);
  }

  async createExperiment(): Promise<string> {
    return NOWHERE;
  }

  async setExperimentTag(): Promise<void> {}

  async runsByTag(experimentId: string, key: string, value?: string): Promise<RunRecord[]> {
    return (await this.#there.runsByTag(experimentId, key, value)).map(withoutParams);
  }

  hasRunsWithTag(experimentId: string, key: string): Promise<boolean> {
    return this.#there.hasRunsWithTag(experimentId, key);
  }

  async run(id: string): Promise<RunRecord | undefined> {
    if (this.#missing.has(id)) return emptyRun(id);
    const record = await this.#there.run(id);
    return record && withoutParams(record);
  }

  async createRun(): Promise<string> {
    const id = this.#expectations.newRun();
    this.#missing.add(id);
    return id;
  }

  async renameRun(runId: string, name: string): Promise<void> {
    this.#expectations.renamed(runId, name);
  }

  async setAside(run: RunRecord, duplicateOf: string): Promise<void> {
    this.#expectations.duplicate(duplicateOf, run.id);
  }

  artifacts(run: { readonly id: string; readonly artifactUri?: string | undefined }): Promise<ArtifactStore> {
    return this.#expectations.artifacts(run.id, () => this.#there.artifacts(run));
  }

  async logBatch(runId: string, batch: LogBatch): Promise<void> {
    this.#expectations.batch(runId, batch);
  }

  metricHistory(runId: string, key: string): AsyncIterable<MetricColumns> {
    return this.#there.metricHistory(runId, key);
  }

  async updateRun(runId: string, status: RunStatus): Promise<void> {
    await this.#expectations.end(runId, status);
  }

  experimentUrl(experimentId: string): string | undefined {
    return experimentId === NOWHERE ? undefined : this.#there.experimentUrl(experimentId);
  }

  /** The real store is its owner's to close. */
  async close(): Promise<void> {}
}

/** So that every param of the source comes through, also one that is there. Keys and tags stay: they tell the names. */
function withoutParams(record: RunRecord): RunRecord {
  return { ...record, params: NONE };
}

function emptyRun(id: string): RunRecord {
  return {
    id,
    experimentId: NOWHERE,
    artifactUri: undefined,
    active: true,
    status: "RUNNING",
    tags: NONE,
    params: NONE,
    metricKeys: new Set(),
  };
}
