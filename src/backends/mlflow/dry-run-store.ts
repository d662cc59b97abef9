import type { ArtifactStore } from "../artifacts/artifact.ts";
import type { ExperimentRecord, MetricColumns, MlflowStore, RunRecord } from "./store.ts";

/** An MLflow that takes everything and keeps nothing: `--dry-run` is the same engine against it. */
export class DryRunStore implements MlflowStore {
  readonly batchSize = 50_000;
  readonly batchesAtOnce = 1;
  readonly runLists = undefined;
  #runs = 0;

  async experimentByName(): Promise<ExperimentRecord | undefined> {
    return undefined;
  }

  async createExperiment(): Promise<string> {
    return "dry-run";
  }

  async setExperimentTag(): Promise<void> {}

  async runsByTag(): Promise<RunRecord[]> {
    return [];
  }

  async hasRunsWithTag(): Promise<boolean> {
    return false;
  }

  async run(id: string): Promise<RunRecord> {
    const none = new Map<string, string>();
    return {
      id,
      experimentId: "dry-run",
      artifactUri: undefined,
      active: true,
      status: "RUNNING",
      tags: none,
      params: none,
      metricKeys: new Set(),
    };
  }

  async createRun(): Promise<string> {
    return `dry-run-${++this.#runs}`;
  }

  async renameRun(): Promise<void> {}

  async setAside(): Promise<void> {}

  async artifacts(): Promise<ArtifactStore> {
    return NOWHERE;
  }

  async logBatch(): Promise<void> {}

  async *metricHistory(): AsyncGenerator<MetricColumns> {}

  async updateRun(): Promise<void> {}

  experimentUrl(): undefined {
    return undefined;
  }

  async close(): Promise<void> {}
}

const NOWHERE: ArtifactStore = {
  put: async () => {},
  putFile: async () => {},
  get: async () => undefined,
  digest: async () => undefined,
  list: async () => [],
};
