/**
 * What is remembered of runs beside their directories, which people move away or clear once they were uploaded: how far a run
 * was when it ended, as the log that another directory of it would begin with.
 */
import { existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../../../errors.ts";
import type { OutputDirectory } from "../../output-directory.ts";
import type { RunAddress } from "../store.ts";
import { newLog, RunLog } from "./run-log.ts";

/** W&B's client looks one level deep for logs. */
const FOLDER = ".tracelet";
/** Between id and entity. */
const SEPARATOR = "@";
/** Beside the log, once rows were added over the network. */
const ONLINE = "online";

export class EndedRuns {
  readonly #output: OutputDirectory;

  constructor(output: OutputDirectory) {
    this.#output = output;
  }

  /** Whether the run was ever here. */
  knows(address: RunAddress): boolean {
    return existsSync(path.dirname(this.#pathOf(address)));
  }

  /** Of all runs of an id that were ever here; "" for none. @throws the system's error */
  entitiesOf(id: string): string[] {
    const folder = this.#output.path(FOLDER);
    const names = existsSync(folder) ? readdirSync(folder) : [];
    return names.flatMap((name) => {
      const [of, entity = ""] = name.split(SEPARATOR);
      return of === id ? [decodeURIComponent(entity)] : [];
    });
  }

  /** The run as it ended; undefined if it has not, or went on since. @throws the system's error */
  logOf(address: RunAddress): RunLog | undefined {
    const file = this.#pathOf(address);
    if (!existsSync(file)) return undefined;
    const log = new RunLog(path.dirname(file), file, true);
    log.refresh();
    return log;
  }

  /** It goes on: what it was at its end no longer counts. @throws the system's error */
  begin(address: RunAddress): void {
    const file = this.#pathOf(address);
    this.#output.makeDirectory(path.dirname(file), new Set());
    if (existsSync(file)) rmSync(file);
  }

  /**
   * It goes on over the network, and no longer here, where what is added there would be missing.
   *
   * @param lines how many it has there
   * @throws TraceletError `rejected` if it has more here, which an upload would add behind those
   */
  leave({ entity, ...run }: RunAddress, lines: number): void {
    // Without one, it went to whoever uploaded it.
    for (const each of new Set([entity, ""])) {
      const address = { ...run, entity: each };
      if (!this.knows(address)) continue;
      const folder = path.posix.dirname(this.#fileOf(address));
      this.#output.guard(folder, () => {
        const here = this.logOf(address)?.content.lines ?? 0;
        if (here > lines)
          throw new TraceletError(
            "rejected",
            `the run ${run.name} has ${here} rows in ${this.#output.root}, and ${lines} in W&B`,
            {
              hint: `upload them first, or they would be there twice: wandb sync ${this.#output.root}; if nobody will upload them, remove ${this.#output.path(folder)}`,
            },
          );
        if (!this.isOnline(address)) this.#output.place(`${folder}/${ONLINE}`, new Uint8Array());
      });
    }
  }

  /** Whether rows were added over the network. */
  isOnline(address: RunAddress): boolean {
    return existsSync(path.join(path.dirname(this.#pathOf(address)), ONLINE));
  }

  /** @param log of the run, with its end @throws the system's error */
  end(address: RunAddress, log: RunLog): void {
    const { exitCode } = log.content;
    const records = [...log.continued(), ...(exitCode === undefined ? [] : [{ exit: { exitCode } }])];
    // Whoever loses it to a power failure is told that the directory is gone.
    this.#output.place(this.#fileOf(address), newLog(records), new Set());
  }

  #pathOf(address: RunAddress): string {
    return this.#output.path(this.#fileOf(address));
  }

  /** Ids go with the project, but are the same for all entities. */
  #fileOf({ entity, name }: RunAddress): string {
    const folder = entity === "" ? name : `${name}${SEPARATOR}${encodeURIComponent(entity)}`;
    return `${FOLDER}/${folder}/run-${name}.wandb`;
  }
}
