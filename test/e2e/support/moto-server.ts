/** An S3 on a port of its own, kept in memory: moto, from the tests' Python. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./mlflow-server.ts";
import { NEW_PYTHON } from "./python.ts";

const START_TIMEOUT = 60_000;

export class MotoServer {
  readonly uri: string;
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess, uri: string) {
    this.#process = process;
    this.uri = uri;
  }

  static async start(): Promise<MotoServer> {
    const port = await freePort();
    const program = path.join(path.dirname(NEW_PYTHON), "moto_server");
    const child = spawn(program, ["-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
    const server = new MotoServer(child, `http://127.0.0.1:${port}`);
    for (const end = Date.now() + START_TIMEOUT; Date.now() < end; await sleep(200)) {
      if (child.exitCode !== null) throw new Error(`moto_server ended with ${child.exitCode}`);
      if (
        await fetch(server.uri).then(
          () => true,
          () => false,
        )
      )
        return server;
    }
    await server.stop();
    throw new Error("moto_server does not answer");
  }

  /** What AWS' and MLflow's clients need to know. */
  get env(): { readonly [name: string]: string } {
    return {
      MLFLOW_S3_ENDPOINT_URL: this.uri,
      AWS_ACCESS_KEY_ID: "testing",
      AWS_SECRET_ACCESS_KEY: "testing",
      AWS_DEFAULT_REGION: "us-east-1",
    };
  }

  async createBucket(name: string): Promise<void> {
    const { ok, status } = await fetch(`${this.uri}/${name}`, { method: "PUT" });
    if (!ok) throw new Error(`moto_server does not create a bucket: HTTP ${status}`);
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }
}
