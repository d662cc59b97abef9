/** The directories of runs in a `wandb/` directory, as W&B's client calls them: `offline-run-YYYYMMDD_HHMMSS-<id>`. */
import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import type { Environment } from "../../../net/access.ts";
import { type OutputDirectory, syncDirectory, writeAll } from "../../output-directory.ts";

/** Time and id. */
export const NAME: RegExp = /^offline-run-(\d{8}_\d{6})-(.+)$/;
/** W&B's client gives its runs others. */
const OWN_ID = /^[0-9a-f]{16}$/;

/** Where W&B's client keeps its directories: in `WANDB_DIR`, else here; in `.wandb` where that is there, else in `wandb`. */
export function wandbDirectory(env: Environment, cwd: string): string {
  const parent = path.resolve(cwd, env["WANDB_DIR"] || ".");
  const hidden = path.join(parent, ".wandb");
  return existsSync(hidden) ? hidden : path.join(parent, "wandb");
}

/** The log of a run's directory. */
export function logIn(directory: string, id: string): string {
  return path.join(directory, `run-${id}.wandb`);
}

export class RunDirectories {
  readonly #output: OutputDirectory;
  readonly #now: () => Date;
  /** Names by ids of runs, the newest first. */
  #names = new Map<string, string[]>();
  #stamp = "";

  constructor(output: OutputDirectory, now: () => Date) {
    this.#output = output;
    this.#now = now;
  }

  /** Those of a run, the newest first. @throws the system's error */
  of(id: string): string[] {
    this.#list();
    return (this.#names.get(id) ?? []).map((name) => this.#output.path(name));
  }

  /** Ids as tracelet gives them, the one with the newest directory first. @throws the system's error */
  ids(): string[] {
    this.#list();
    return [...this.#names.keys()].filter((id) => OWN_ID.test(id));
  }

  /** Make one, whole at once. @param log what its log begins with @throws the system's error */
  make(id: string, log: Uint8Array): string {
    this.#list();
    const directory = this.#output.path(`offline-run-${this.#timeFor(id)}-${id}`);
    // Neither W&B's client nor anybody who goes on with runs looks at it.
    const unfinished = this.#output.path(`.${path.basename(directory)}.part`);
    rmSync(unfinished, { recursive: true, force: true });
    this.#output.makeDirectory(path.join(unfinished, "files"));
    const handle = openSync(logIn(unfinished, id), "wx");
    try {
      writeAll(handle, log, 0);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    syncDirectory(unfinished);
    renameSync(unfinished, directory);
    syncDirectory(this.#output.root);
    return directory;
  }

  /** The time now, but later than that of the run's other directories: their order is that of their names. */
  #timeFor(id: string): string {
    const last = NAME.exec(this.#names.get(id)?.[0] ?? "")?.[1];
    for (const time = this.#now(); ; time.setSeconds(time.getSeconds() + 1)) {
      const text = textOf(time);
      if (last === undefined || text > last) return text;
    }
  }

  #list(): void {
    const { root } = this.#output;
    const stat = statSync(root, { bigint: true, throwIfNoEntry: false });
    const stamp = stat === undefined ? "none" : `${stat.ino} ${stat.mtimeNs}`;
    if (stamp === this.#stamp) return;
    this.#names = new Map();
    for (const name of stat === undefined ? [] : readdirSync(root).sort().reverse()) {
      const id = NAME.exec(name)?.[2];
      if (id === undefined) continue;
      const known = this.#names.get(id);
      if (known === undefined) this.#names.set(id, [name]);
      else known.push(name);
    }
    this.#stamp = stamp;
  }
}

function textOf(time: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${time.getFullYear()}${two(time.getMonth() + 1)}${two(time.getDate())}`;
  return `${day}_${two(time.getHours())}${two(time.getMinutes())}${two(time.getSeconds())}`;
}
