/** What is recorded beside one run, for as long as it grows: event files of its own, and who may write them. */
import { mkdirSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { readValues } from "../reader/read-values.ts";
import { filesIn, holdsKind, recordingName } from "../sync/source/recordings.ts";
import { type Lock, lockFile } from "../sync/state/lock.ts";
import { eventRecord, versionRecord } from "../writer/event-record.ts";
import { artifactValue, tagsValue } from "../writer/own-records.ts";
import { scalarValue } from "../writer/values.ts";
import type { Facts } from "./facts.ts";
import type { Sample } from "./machine.ts";

/** A sample, and when it was taken. */
export interface Timed {
  /** Seconds since the Unix epoch. */
  readonly wallTime: number;
  readonly values: Sample;
}

/** What MLflow's System metrics tab shows begins with this. */
const PREFIX = "system/";

export class Recording {
  readonly #directory: string;
  readonly #lock: Lock;
  /** The file that samples are appended to; undefined before the first one. */
  #samples: string | undefined;
  #step = 0;

  private constructor(directory: string, lock: Lock) {
    this.#directory = directory;
    this.#lock = lock;
  }

  /**
   * @param directory of the run's recordings
   * @returns undefined while another process records this run @throws the system's or SQLite's error
   */
  static open(directory: string): Recording | undefined {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const lock = lockFile(path.join(directory, "lock"));
    return lock && new Recording(directory, lock);
  }

  /** Whether something of that kind was recorded of the run before. */
  has(kind: string): boolean {
    return filesIn(this.#directory).some((name) => holdsKind(name, kind));
  }

  /** Append samples, in their order. @throws the system's error */
  async add(samples: readonly Timed[]): Promise<void> {
    const [first] = samples;
    if (first === undefined) return;
    if (this.#samples === undefined) {
      this.#step = await this.#nextStep();
      this.#samples = await this.#create("system", versionRecord(first.wallTime));
    }
    for (const { wallTime, values } of samples) {
      if (values.size === 0) continue;
      const step = this.#step++;
      const points = Array.from(values, ([name, value]) => scalarValue(PREFIX + name, value));
      try {
        // One write: a process that dies leaves whole samples.
        await appendFile(this.#samples, eventRecord(points, step, wallTime));
      } catch (error) {
        // On a full disk a part of it may be there: nothing is to be appended to that.
        this.#samples = undefined;
        throw error;
      }
    }
  }

  /** Record what is recorded once, in a file of its own. @param kind names it @throws the system's error */
  async addOnce(kind: string, { tags, artifacts }: Facts): Promise<void> {
    const wallTime = Date.now() / 1000;
    const values = [tagsValue(tags), ...artifacts.map(({ path, bytes }) => artifactValue(path, bytes))];
    const content = values.map((value) => eventRecord([value], 0, wallTime));
    await this.#create(kind, Buffer.concat([versionRecord(wallTime), ...content]));
  }

  /** Make a file. @returns its path @throws the system's error */
  async #create(kind: string, content: Uint8Array): Promise<string> {
    for (let n = 0; ; n++) {
      const name = recordingName(kind, { host: os.hostname(), pid: process.pid, n });
      const file = path.join(this.#directory, name);
      try {
        await appendFile(file, content, { flag: "ax", mode: 0o600 });
        return file;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
      }
    }
  }

  /** Let others record the run. */
  close(): void {
    this.#lock.release();
  }

  /** Behind what an earlier watch has recorded, as MLflow itself goes on. */
  async #nextStep(): Promise<number> {
    let next = 0;
    for (const name of filesIn(this.#directory)) {
      if (!holdsKind(name, "system")) continue;
      // What cannot be read of it is told when it is sent.
      const values = readValues(path.join(this.#directory, name), { onProblem: () => {} });
      for await (const { step } of values) next = Math.max(next, Number(step) + 1);
    }
    return next;
  }
}
