/** What all end-to-end tests share, for as long as vitest runs. */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { FRESH_DATABASE, MlflowServer } from "./mlflow-server.ts";
import { NEW_PYTHON, OLD_PYTHON } from "./python.ts";
import { startScriptServers } from "./script-servers.ts";

export default async function setup(): Promise<() => Promise<void>> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-shared-"));
  const end = await startScriptServers([NEW_PYTHON, OLD_PYTHON], folder);
  if (existsSync(NEW_PYTHON)) {
    const database = path.join(folder, "fresh", "mlflow.db");
    await (await MlflowServer.start(database)).stop();
    process.env[FRESH_DATABASE] = database;
  }
  return async () => {
    await end();
    rmSync(folder, { recursive: true, force: true });
  };
}
