// A PostgreSQL of our own, in a folder, for as long as it is measured.
import { execFile, execFileSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { debianPackage } from "../scripts/setup.mjs";

const start = promisify(execFile);
const DEBIAN = "/usr/lib/postgresql";

export class PostgreSql {
  #bin;
  #folder;
  #port;

  /** @throws Error if there is none */
  static async start() {
    debianPackage("postgresql", DEBIAN);
    const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
    if (versions.length === 0) throw new Error("there is no PostgreSQL here: apt-get install postgresql");
    const cluster = new PostgreSql();
    cluster.#bin = path.join(DEBIAN, versions[0], "bin");
    // Of its own in /tmp, since the path of a socket must be short and the user postgres has to get there.
    cluster.#folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-pg-"));
    cluster.#port = await freePort();
    if (process.getuid() === 0) execFileSync("chown", ["postgres", cluster.#folder]);
    else chmodSync(cluster.#folder, 0o700);
    await cluster.#run("initdb", "-D", cluster.#data, "--auth=trust", "--username=mlflow", "--encoding=UTF8");
    const options = `-c listen_addresses=127.0.0.1 -c unix_socket_directories=${cluster.#folder} -p ${cluster.#port}`;
    const log = path.join(cluster.#folder, "log");
    await cluster.#run("pg_ctl", "-D", cluster.#data, "-l", log, "-o", options, "-w", "start");
    await cluster.#run("createdb", "-h", "127.0.0.1", "-p", String(cluster.#port), "-U", "mlflow", "mlflow");
    return cluster;
  }

  /** As SQLAlchemy takes it. */
  get uri() {
    return `postgresql+psycopg2://mlflow@127.0.0.1:${this.#port}/mlflow`;
  }

  /** The only value that a query finds. */
  async value(query) {
    const where = ["-h", "127.0.0.1", "-p", String(this.#port), "-U", "mlflow", "-d", "mlflow"];
    return (await start(path.join(this.#bin, "psql"), [...where, "-Atc", query])).stdout.trim();
  }

  async stop() {
    await this.#run("pg_ctl", "-D", this.#data, "-m", "immediate", "-w", "stop");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #data() {
    return path.join(this.#folder, "data");
  }

  /** It refuses to be run by root. */
  #run(program, ...args) {
    const command = [path.join(this.#bin, program), ...args];
    const [first, ...rest] = process.getuid() === 0 ? ["runuser", "-u", "postgres", "--", ...command] : command;
    return start(first, rest, { cwd: "/" });
  }
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}
