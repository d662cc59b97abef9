/** Debian's MariaDB, in a folder, for as long as it is needed: it takes what MySQL takes, and refuses what MySQL refuses. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import os from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./mlflow-server.ts";

const PROGRAM = "/usr/sbin/mariadbd";
const INSTALL = "/usr/bin/mariadb-install-db";
const START_TIMEOUT = 120_000;

export const mariaDbIsMissing: boolean = !existsSync(PROGRAM);

export class MariaDb {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #port: number;

  private constructor(process: ChildProcess, folder: string, port: number) {
    this.#process = process;
    this.#folder = folder;
    this.#port = port;
  }

  /** @param databases their names, and how each stores text: `CHARACTER SET …` */
  static async start(databases: { readonly [name: string]: string }): Promise<MariaDb> {
    if (mariaDbIsMissing)
      throw new Error(`there is no MariaDB at ${PROGRAM}: apt-get install mariadb-server-core mariadb-client-core`);
    // Of its own in /tmp, since the path of a socket must be short and the user that it runs as has to get there.
    const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-mariadb-"));
    const port = await freePort();
    // It refuses to be run by root.
    const user = process.getuid?.() === 0 ? ["--user=nobody"] : [];
    const data = path.join(folder, "data");
    const init = path.join(folder, "init.sql");
    const statements = Object.entries(databases).map(([name, storing]) => `CREATE DATABASE ${name} ${storing};`);
    writeFileSync(init, [...statements, "CREATE USER mlflow;", "GRANT ALL ON *.* TO mlflow;", ""].join("\n"));
    chmodSync(folder, 0o755);
    if (user.length > 0) execFileSync("chown", ["-R", "nobody", folder]);
    const tables = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve"];
    execFileSync(INSTALL, ["--no-defaults", ...user, `--datadir=${data}`, ...tables], { stdio: "ignore" });
    const own = [`--datadir=${data}`, `--socket=${folder}/socket`, `--pid-file=${folder}/pid`, `--init-file=${init}`];
    const cheap = ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", "--skip-log-bin"];
    const where = ["--bind-address=127.0.0.1", `--port=${port}`, "--skip-name-resolve"];
    const child = spawn(PROGRAM, ["--no-defaults", ...user, ...own, ...cheap, ...where], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let log = "";
    child.stderr.on("data", (text) => (log += String(text)));
    const server = new MariaDb(child, folder, port);
    for (const end = Date.now() + START_TIMEOUT; Date.now() < end; await sleep(100)) {
      if (child.exitCode !== null) throw new Error(`mariadbd ended with ${child.exitCode}:\n${log}`);
      if (await answers(port)) return server;
    }
    await server.stop();
    throw new Error(`mariadbd does not answer:\n${log}`);
  }

  /** As SQLAlchemy takes it. */
  uri(database: string): string {
    return `mysql+pymysql://mlflow@127.0.0.1:${this.#port}/${database}`;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGKILL");
      await ended;
    }
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Whether it greets who connects. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const end = (greeted: boolean) => {
      socket.destroy();
      resolve(greeted);
    };
    socket
      .once("data", () => end(true))
      .once("error", () => end(false))
      .once("end", () => end(false));
  });
}
