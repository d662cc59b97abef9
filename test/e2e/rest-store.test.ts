/** The contract of an MlflowStore over REST, kept with the newest MLflow server and with the oldest. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, expect, test } from "vitest";
import { readCredentials } from "../../src/backends/mlflow/credentials.ts";
import { RestStore } from "../../src/backends/mlflow/rest-store.ts";
import { type HttpTrackingUri, resolveTrackingUri } from "../../src/backends/mlflow/tracking-uri.ts";
import { eyesOn } from "../sync/mlflow-database.ts";
import { storeContract } from "../sync/mlflow-store.contract.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { NEW_PYTHON, OLD_PYTHON } from "./support/python.ts";

const workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-contract-"));
const servers: MlflowServer[] = [];

afterAll(async () => {
  for (const server of servers) await server.stop();
  rmSync(workspace, { recursive: true, force: true });
});

function storeOf(server: MlflowServer): RestStore {
  const uri = resolveTrackingUri(server.uri, {}, "/") as HttpTrackingUri;
  return new RestStore({ uri, credentials: readCredentials(undefined, {}, "/nonexistent") });
}

for (const [name, executable] of [
  ["the newest MLflow", NEW_PYTHON],
  ["the oldest MLflow", OLD_PYTHON],
] as const) {
  storeContract(name, async () => {
    const file = path.join(workspace, `${name}.db`);
    const server = await MlflowServer.start(file, { executable });
    servers.push(server);
    const refusesColons = executable === OLD_PYTHON;
    return { store: storeOf(server), second: async () => storeOf(server), ...eyesOn(file), refusesColons };
  });
}

test("both servers were there", () => expect(servers).toHaveLength(2));
