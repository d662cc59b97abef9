/** The contract of destinations, kept by an MLflow server. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll } from "vitest";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { readCredentials } from "../../src/backends/mlflow/credentials.ts";
import { RestStore } from "../../src/backends/mlflow/rest-store.ts";
import { type HttpTrackingUri, resolveTrackingUri } from "../../src/backends/mlflow/tracking-uri.ts";
import { describeContract } from "../contract/describe-contract.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { readMlflow } from "./support/python.ts";

const workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-contract-"));
let server: MlflowServer;
let experiments = 0;

beforeAll(async () => {
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

describeContract("an MLflow server", () => {
  const experiment = `contract ${++experiments}`;
  return {
    connect() {
      const uri = resolveTrackingUri(server.uri, {}, "/") as HttpTrackingUri;
      const store = new RestStore({ uri, credentials: readCredentials(undefined, {}, "/nonexistent") });
      return new MlflowBackend({
        store,
        experiment,
        version: "test",
        keepsMarks: true,
        giveUpAfterMs: 60_000,
        maxArtifactBytes: undefined,
        resendsDeleted: false,
      });
    },
    async points() {
      const { runs } = await readMlflow(server.uri, experiment);
      return new Map(
        runs.map(({ name, metrics }) => [
          name,
          Object.entries(metrics).flatMap(([key, points]) =>
            points.map(([step, ms, value]) => ({
              tag: key,
              step: BigInt(step),
              wallTime: Number(ms) / 1000,
              value: Number(value),
            })),
          ),
        ]),
      );
    },
    keepsMarks: true,
  };
});
