/** The built command, run as a user runs it, in a home of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished } from "vitest";
import { type Database, openDatabase } from "../../src/sqlite.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { curve, fileOf } from "../sync/world.ts";

export const ROOT: string = path.resolve(import.meta.dirname, "../..");
const MAIN = path.join(ROOT, "dist/cli/main.js");

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface SyncJson {
  readonly outcome: string;
  readonly dryRun: boolean;
  readonly location: string | null;
  readonly excludedRuns: number;
  readonly earlierFiles: number;
  readonly error: { readonly code: string } | null;
  readonly kinds: Readonly<
    Record<string, { read: number; sent: number; failed: number; skipped: Record<string, number> }>
  >;
  readonly problems: readonly { readonly path: string; readonly code: string }[];
  readonly runs: readonly {
    readonly name: string;
    readonly outcome: string;
    readonly remoteId: string | null;
    readonly damage: readonly { readonly reason: string; readonly path: string }[];
    readonly problems: readonly { readonly path: string; readonly code: string }[];
    readonly notes: readonly { readonly code: string; readonly message: string }[];
  }[];
}

/** A machine with a logdir `runs`; commands run in the directory that it lies in. */
export class Machine {
  readonly root: string = temporaryDirectory();
  readonly logdir: Logdir = new Logdir(path.join(this.root, "runs"));
  readonly database: string = path.join(this.root, "mlflow.db");
  readonly state: string = path.join(this.root, "home", "state", "tracelet");
  env: Readonly<Record<string, string>> = {};

  static create(): Machine {
    const machine = new Machine();
    mkdirSync(path.join(machine.root, "home"));
    onTestFinished(() => rmSync(machine.root, { recursive: true, force: true }));
    return machine;
  }

  start(...args: readonly string[]): ChildProcess {
    return this.startIn(this.root, args);
  }

  startIn(
    directory: string,
    args: readonly string[],
    stdio: ("ignore" | "pipe")[] = ["ignore", "pipe", "pipe"],
  ): ChildProcess {
    const { PATH } = process.env;
    const home = path.join(this.root, "home");
    const env = { PATH, HOME: home, XDG_STATE_HOME: path.join(home, "state"), ...this.env };
    return spawn(process.execPath, [MAIN, ...args], { cwd: directory, env, stdio });
  }

  async run(...args: readonly string[]): Promise<Ended> {
    return ended(this.start(...args));
  }

  /** The same in another directory. */
  async runIn(directory: string, ...args: readonly string[]): Promise<Ended> {
    return ended(this.startIn(directory, args));
  }

  /** `tracelet sync runs --json …`, which has to print exactly one object. */
  async sync(...args: readonly string[]): Promise<SyncJson & Ended> {
    const end = await this.run("sync", "runs", "--json", ...args);
    expect(end.stdout).toMatch(/^\{.*\}\n$/);
    return { ...(JSON.parse(end.stdout) as SyncJson), ...end };
  }

  look<T>(work: (database: Database) => T, file: string = this.database): T {
    const database = openDatabase(file, { busyTimeout: 1000, mustExist: true });
    const result = work(database);
    database.close();
    return result;
  }

  /** How many points the database holds. */
  points(): number {
    return Number(this.look((database) => database.prepare("SELECT count(*) AS n FROM metrics").get()?.["n"]));
  }
}

/** Until it has said so on standard error; to be asked for before it can have done so. */
export async function says(child: ChildProcess, text: string): Promise<void> {
  let said = "";
  await new Promise<void>((resolve) => {
    child.stderr?.on("data", (more) => {
      said += String(more);
      if (said.includes(text)) resolve();
    });
  });
}

export async function ended(child: ChildProcess): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.on("data", (text) => (stdout += String(text)));
  child.stderr?.on("data", (text) => (stderr += String(text)));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** A machine whose logdir holds one run of two tags and ten steps. */
export function machineWithRun(): Machine {
  const machine = Machine.create();
  machine.logdir.write("train", fileOf([...curve("loss", 0, 10), ...curve("lr", 0, 10)]));
  return machine;
}

/** A name that would move a terminal if it were printed as it is. */
export const EVIL = "a\u001b]52;c;AAAA\u0007b\u009b31mc\u202ed\re";

/** What a terminal obeys, or what changes the order of what it shows; a line break is none of it. */
export const UNSAFE: RegExp = /[\p{Cc}\p{Bidi_Control}]/u;

/** Nothing in the text could move a terminal, and nothing in it is a stack trace. */
export function expectHarmless(text: string): void {
  expect(text.replaceAll("\n", "").match(UNSAFE)).toBeNull();
  expect(text).not.toMatch(/^\s+at /m);
}
