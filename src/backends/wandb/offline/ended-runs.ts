/**
 * What is remembered of runs beside their directories, which people move away or clear once they were uploaded: how far a run
 * was when it ended, as the log that another directory of it would begin with.
 */
import { existsSync, rmSync } from "node:fs";
import path from "node:path";
import type { OutputDirectory } from "../../output-directory.ts";
import { newLog, RunLog } from "./run-log.ts";

/** W&B's client looks one level deep for logs. */
const FOLDER = ".tracelet";

export class EndedRuns {
  readonly #output: OutputDirectory;

  constructor(output: OutputDirectory) {
    this.#output = output;
  }

  /** Whether the run was ever here. */
  knows(id: string): boolean {
    return existsSync(this.#output.path(`${FOLDER}/${id}`));
  }

  /** The run as it ended; undefined if it has not, or went on since. @throws the system's error */
  logOf(id: string): RunLog | undefined {
    const file = this.#output.path(this.#fileOf(id));
    if (!existsSync(file)) return undefined;
    const log = new RunLog(path.dirname(file), file, true);
    log.refresh();
    return log;
  }

  /** It goes on: what it was at its end no longer counts. @throws the system's error */
  begin(id: string): void {
    const file = this.#output.path(this.#fileOf(id));
    this.#output.makeDirectory(path.dirname(file), new Set());
    if (existsSync(file)) rmSync(file);
  }

  /** @param log of the run, with its end @throws the system's error */
  end(id: string, log: RunLog): void {
    const { exitCode } = log.content;
    const records = [...log.continued(), ...(exitCode === undefined ? [] : [{ exit: { exitCode } }])];
    // Whoever loses it to a power failure is told that the directory is gone.
    this.#output.place(this.#fileOf(id), newLog(records), new Set());
  }

  #fileOf(id: string): string {
    return `${FOLDER}/${id}/run-${id}.wandb`;
  }
}
