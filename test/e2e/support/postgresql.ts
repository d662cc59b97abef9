/** Debian's PostgreSQL, in a folder, for as long as it is needed. */
import { execFile, execFileSync } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { freePort } from "./mlflow-server.ts";

const start = promisify(execFile);
const DEBIAN = "/usr/lib/postgresql";

export const postgreSqlIsMissing: boolean = !existsSync(DEBIAN);

export class PostgreSql {
  readonly #bin: string;
  readonly #folder: string;
  readonly #port: number;

  private constructor(bin: string, folder: string, port: number) {
    this.#bin = bin;
    this.#folder = folder;
    this.#port = port;
  }

  /**
   * @param options `durable`: whether it forces to the disk what it acknowledges, as a server that is measured has to
   * @throws Error if there is none
   */
  static async start({ durable }: { readonly durable: boolean }): Promise<PostgreSql> {
    if (postgreSqlIsMissing) throw new Error("there is no PostgreSQL here: apt-get install postgresql");
    const [version = ""] = readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a));
    // Of its own in /tmp, since the path of a socket must be short and the user postgres has to get there.
    const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-pg-"));
    const cluster = new PostgreSql(path.join(DEBIAN, version, "bin"), folder, await freePort());
    if (process.getuid?.() === 0) execFileSync("chown", ["postgres", folder]);
    else chmodSync(folder, 0o700);
    const access = ["--auth=trust", "--username=mlflow", "--encoding=UTF8"];
    await cluster.#run("initdb", "-D", cluster.#data, ...access, ...(durable ? [] : ["--no-sync"]));
    const where = `-c listen_addresses=127.0.0.1 -c unix_socket_directories=${folder} -p ${cluster.#port}`;
    const options = durable ? where : `${where} -c fsync=off`;
    await cluster.#run("pg_ctl", "-D", cluster.#data, "-l", path.join(folder, "log"), "-o", options, "-w", "start");
    await cluster.#run("createdb", "-h", "127.0.0.1", "-p", String(cluster.#port), "-U", "mlflow", "mlflow");
    return cluster;
  }

  /** As SQLAlchemy takes it. */
  get uri(): string {
    return `postgresql+psycopg2://mlflow@127.0.0.1:${this.#port}/mlflow`;
  }

  /** The only value that a query finds. */
  async value(query: string): Promise<string> {
    const where = ["-h", "127.0.0.1", "-p", String(this.#port), "-U", "mlflow", "-d", "mlflow"];
    return (await start(path.join(this.#bin, "psql"), [...where, "-Atc", query])).stdout.trim();
  }

  async stop(): Promise<void> {
    await this.#run("pg_ctl", "-D", this.#data, "-m", "immediate", "-w", "stop");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #data(): string {
    return path.join(this.#folder, "data");
  }

  /** It refuses to be run by root. */
  async #run(program: string, ...args: string[]): Promise<void> {
    const command = [path.join(this.#bin, program), ...args];
    const user = process.getuid?.() === 0 ? ["runuser", "-u", "postgres", "--"] : [];
    const [first = "", ...rest] = [...user, ...command];
    await start(first, rest, { cwd: "/" });
  }
}
