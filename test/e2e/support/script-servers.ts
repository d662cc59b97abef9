/**
 * Processes that run the tests' Python scripts, one for each Python: importing MLflow takes seconds of processor time, and
 * here it is done once for all tests (see script_server.py). Vitest starts them; without it, each script is a program.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import os from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

const SCRIPT = path.resolve(import.meta.dirname, "../python/script_server.py");
/** Inherited by the processes that run the tests: the sockets by the Pythons, as JSON. */
const VARIABLE = "TRACELET_TEST_SCRIPT_SERVERS";
const MODULES = [
  "mlflow.tracking",
  "mlflow.artifacts",
  "mlflow.store.tracking.rest_store",
  "mlflow.store.tracking.sqlalchemy_store",
  "tensorboard.data_compat",
  "tensorboard.dataclass_compat",
  "tensorboard.backend.event_processing.event_file_loader",
];

/** Start one for each of the Pythons that are there. @returns ends them */
export async function startScriptServers(executables: readonly string[]): Promise<() => Promise<void>> {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-python-"));
  const sockets: Record<string, string> = {};
  const servers: ChildProcess[] = [];
  for (const [index, executable] of executables.entries()) {
    if (!existsSync(executable)) continue;
    const socket = path.join(folder, String(index));
    const env = { ...process.env, MLFLOW_DISABLE_TELEMETRY: "true" };
    const server = spawn(executable, [SCRIPT, socket, ...MODULES], { env, stdio: ["pipe", "ignore", "inherit"] });
    servers.push(server);
    sockets[executable] = socket;
    while (!existsSync(socket)) {
      if (server.exitCode !== null) throw new Error(`${executable} ${SCRIPT} ended with ${server.exitCode}`);
      await sleep(20);
    }
  }
  process.env[VARIABLE] = JSON.stringify(sockets);
  return async () => {
    for (const server of servers) {
      if (server.exitCode !== null) continue;
      const ended = once(server, "exit");
      server.stdin?.end();
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };
}

/** The socket of the one that runs a Python's scripts, if there is one. */
export function scriptServer(executable: string): string | undefined {
  return (JSON.parse(process.env[VARIABLE] ?? "{}") as Record<string, string>)[executable];
}

/** @returns what the script prints @throws Error if it fails */
export async function runIn(
  socket: string,
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<string> {
  const connection = connect(socket);
  connection.write(`${JSON.stringify({ script, args, env })}\n`);
  const answer = await text(connection);
  if (answer === "") throw new Error(`${path.basename(script)} was not run`);
  const { code, stdout, stderr } = JSON.parse(answer) as { code: number; stdout: string; stderr: string };
  if (code !== 0) throw new Error(`${path.basename(script)} ${args.join(" ")} ended with ${code}:\n${stderr}`);
  return stdout;
}
