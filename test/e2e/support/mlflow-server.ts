/** A real MLflow server on a port of its own, over an SQLite file. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NEW_PYTHON } from "./python.ts";
import { type RunningScript, scriptServer, startIn } from "./script-servers.ts";

const START_TIMEOUT = 240_000;
/** The variable that names a database as `mlflow server` has just made it, which takes seconds each time. */
export const FRESH_DATABASE = "TRACELET_TEST_FRESH_DATABASE";
/** `mlflow server` for a process that has imported MLflow. */
const IN_ONE_PROCESS = path.resolve(import.meta.dirname, "../python/mlflow_server.py");

export class MlflowServer {
  readonly port: number;
  /** Its SQLite file, unless it was told of another store. */
  readonly database: string;
  readonly #process: RunningScript;
  #isRunning = true;

  private constructor(process: RunningScript, port: number, database: string) {
    this.#process = process;
    this.port = port;
    this.database = database;
    const ended = () => {
      this.#isRunning = false;
    };
    process.ended.then(ended, ended);
  }

  /**
   * @param database its SQLite file; its folder is the server's
   * @param store another database that it keeps its data in, as SQLAlchemy's URI
   * @param workers how many processes answer
   * @param executable a Python that has mlflow
   * @param artifacts where a server keeps files that it is sent; null for where MLflow does by itself
   */
  static async start(
    database: string,
    options: {
      store?: string;
      workers?: number;
      port?: number;
      executable?: string;
      artifacts?: string | null;
      env?: NodeJS.ProcessEnv;
    } = {},
  ): Promise<MlflowServer> {
    const { port = await freePort(), executable = NEW_PYTHON } = options;
    const { store = `sqlite:///${database}`, workers = 1 } = options;
    const { artifacts = path.join(path.dirname(database), "artifacts") } = options;
    const bin = path.dirname(executable);
    mkdirSync(path.dirname(database), { recursive: true });
    const fresh = process.env[FRESH_DATABASE];
    if (fresh !== undefined && executable === NEW_PYTHON && !existsSync(database)) copyFileSync(fresh, database);
    const args = ["server", "--backend-store-uri", store];
    if (artifacts !== null) args.push("--artifacts-destination", artifacts);
    args.push("--workers", String(workers), "--port", String(port));
    const env = {
      ...process.env,
      ...options.env,
      // It starts its workers by the name of their program.
      PATH: `${bin}${path.delimiter}${process.env["PATH"]}`,
      MLFLOW_SERVER_ENABLE_JOB_EXECUTION: "false",
      MLFLOW_DISABLE_TELEMETRY: "true",
    };
    const cwd = path.dirname(database);
    const forks = executable === NEW_PYTHON && workers === 1 ? scriptServer(executable) : undefined;
    const running =
      forks === undefined
        ? spawnGroup(path.join(bin, "mlflow"), args, { env, cwd })
        : await startIn(forks, IN_ONE_PROCESS, args.slice(1), { env, cwd });
    const server = new MlflowServer(running, port, database);
    for (const end = Date.now() + START_TIMEOUT; Date.now() < end; await sleep(50)) {
      if (!server.#isRunning) break;
      const healthy = await fetch(`${server.uri}/health`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (healthy) return server;
    }
    await server.stop();
    const { code, stdout, stderr } = await running.ended;
    // Somebody else was quicker to take it.
    if (options.port === undefined && /in use/.test(stdout + stderr)) return MlflowServer.start(database, options);
    throw new Error(`mlflow server does not answer, or ended with ${code}:\n${stdout}${stderr}`);
  }

  get uri(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** It takes connections and answers nothing, until `resume`. */
  suspend(): void {
    process.kill(-this.#process.pid, "SIGSTOP");
  }

  resume(): void {
    process.kill(-this.#process.pid, "SIGCONT");
  }

  async stop(): Promise<void> {
    if (!this.#isRunning) return;
    process.kill(-this.#process.pid, "SIGKILL");
    await this.#process.ended;
  }
}

/** A program in a process group of its own: its workers are processes too, and are ended by their group. */
function spawnGroup(
  program: string,
  args: readonly string[],
  options: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): RunningScript {
  const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (text) => (stdout += String(text)));
  child.stderr.on("data", (text) => (stderr += String(text)));
  const ended = once(child, "exit").then(([code]) => ({ code: (code as number | null) ?? -1, stdout, stderr }));
  return { pid: child.pid as number, ended };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
