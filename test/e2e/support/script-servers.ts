/**
 * Processes that run the tests' Python scripts, one for each Python: importing MLflow takes seconds of processor time, and
 * here it is done once for all tests (see script_server.py). Vitest starts them; without it, each script is a program.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const SCRIPT = path.resolve(import.meta.dirname, "../python/script_server.py");
/** Inherited by the processes that run the tests: the sockets by the Pythons, as JSON. */
const VARIABLE = "TRACELET_TEST_SCRIPT_SERVERS";
const MODULES = [
  "mlflow.cli",
  "uvicorn.main",
  "mlflow.server.fastapi_app",
  "mlflow.tracking",
  "mlflow.artifacts",
  "mlflow.store.tracking.rest_store",
  "mlflow.store.tracking.sqlalchemy_store",
  "tensorboard.data_compat",
  "tensorboard.dataclass_compat",
  "tensorboard.backend.event_processing.event_file_loader",
];

/**
 * Start one for each of the Pythons that are there.
 *
 * @param folder for their sockets
 * @returns ends them
 */
export async function startScriptServers(executables: readonly string[], folder: string): Promise<() => Promise<void>> {
  const sockets: Record<string, string> = {};
  const servers: ChildProcess[] = [];
  for (const [index, executable] of executables.entries()) {
    if (!existsSync(executable)) continue;
    const socket = path.join(folder, `python-${index}`);
    const env = { ...process.env, MLFLOW_DISABLE_TELEMETRY: "true" };
    const server = spawn(executable, ["-W", "ignore", SCRIPT, socket, ...MODULES], {
      env,
      stdio: ["pipe", "ignore", "inherit"],
    });
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
  };
}

/** The socket of the one that runs a Python's scripts, if there is one. */
export function scriptServer(executable: string): string | undefined {
  return (JSON.parse(process.env[VARIABLE] ?? "{}") as Record<string, string>)[executable];
}

export interface ScriptEnd {
  /** Negative: the signal that ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A script that runs there, in a process group of its own. */
export interface RunningScript {
  readonly pid: number;
  readonly ended: Promise<ScriptEnd>;
}

export async function startIn(
  socket: string,
  script: string,
  args: readonly string[],
  { env, cwd = process.cwd() }: { readonly env: NodeJS.ProcessEnv; readonly cwd?: string },
): Promise<RunningScript> {
  const connection = connect(socket);
  connection.write(`${JSON.stringify({ script, args, env, cwd })}\n`);
  const lines = createInterface({ input: connection })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`${path.basename(script)} was not run`);
    return JSON.parse(value) as unknown;
  };
  const { pid } = (await next()) as { pid: number };
  const ended = next() as Promise<ScriptEnd>;
  // Nobody may be waiting for it.
  ended.catch(() => {});
  return { pid, ended };
}

/** @returns what the script prints @throws Error if it fails */
export async function runIn(...to: Parameters<typeof startIn>): Promise<string> {
  const { code, stdout, stderr } = await (await startIn(...to)).ended;
  if (code !== 0) throw new Error(`${path.basename(to[1])} ${to[2].join(" ")} ended with ${code}:\n${stderr}`);
  return stdout;
}
