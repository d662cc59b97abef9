/** A real MLflow server on a port of its own, over an SQLite file. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NEW_PYTHON } from "./python.ts";

const START_TIMEOUT = 120_000;

export class MlflowServer {
  readonly port: number;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, port: number) {
    this.#process = process;
    this.port = port;
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
    const args = ["server", "--backend-store-uri", store];
    if (artifacts !== null) args.push("--artifacts-destination", artifacts);
    const child = spawn(path.join(bin, "mlflow"), [...args, "--workers", String(workers), "--port", String(port)], {
      cwd: path.dirname(database),
      // It starts its workers by the name of their program.
      env: {
        ...process.env,
        ...options.env,
        PATH: `${bin}${path.delimiter}${process.env["PATH"]}`,
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION: "false",
        MLFLOW_DISABLE_TELEMETRY: "true",
      },
      stdio: ["ignore", "pipe", "pipe"],
      // Its workers are processes too; they are ended by their group.
      detached: true,
    });
    let log = "";
    child.stdout.on("data", (text) => (log += String(text)));
    child.stderr.on("data", (text) => (log += String(text)));
    const server = new MlflowServer(child, port);
    for (const end = Date.now() + START_TIMEOUT; Date.now() < end; await sleep(200)) {
      if (child.exitCode !== null) throw new Error(`mlflow server ended with ${child.exitCode}:\n${log}`);
      const healthy = await fetch(`${server.uri}/health`).then(
        (answer) => answer.ok,
        () => false,
      );
      if (healthy) return server;
    }
    await server.stop();
    throw new Error(`mlflow server does not answer:\n${log}`);
  }

  get uri(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** It takes connections and answers nothing, until `resume`. */
  suspend(): void {
    process.kill(-(this.#process.pid as number), "SIGSTOP");
  }

  resume(): void {
    process.kill(-(this.#process.pid as number), "SIGCONT");
  }

  async stop(): Promise<void> {
    const { pid, exitCode } = this.#process;
    if (pid === undefined || exitCode !== null) return;
    const ended = once(this.#process, "exit");
    process.kill(-pid, "SIGKILL");
    await ended;
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
