/** Of the files of one run that are sent as they are, those that are due. */
import { displayPath, isEventFileName } from "../../reader/discover.ts";
import { type FileProblem, problemsOf } from "../report/file-problem.ts";
import { type Projector, readProjector } from "../source/embeddings.ts";
import { isRecorded, type Member, type RunGroup } from "../source/run-group.ts";
import { holdsRecord } from "../source/source-file-check.ts";
import { stampOf } from "../source/stamp.ts";
import type { StoredRun } from "../state/stored-run.ts";
import type { RunResult } from "./run-result.ts";
import {
  type Attaching,
  attachEmbeddings,
  attachSource,
  isSourceAttached,
  type SourceFileEntry,
  sourceFilesOf,
} from "./source-artifacts.ts";

/** Whether the destination has the embeddings, and the source's own files where they are wanted, as they are now. */
export async function hasAllFiles(group: RunGroup, stored: StoredRun, attachesSource: boolean): Promise<boolean> {
  for (const { path, run } of ownMembers(group)) {
    if (attachesSource && !isSourceAttached(sourceFilesOf(run, path), stored.attached)) return false;
    if ((await readProjector(run, stored.projectorFiles.get(path))).state !== "unchanged") return false;
  }
  return true;
}

/** Whether `hasAllFiles` has anything to look at. */
export function mayHaveFiles(group: RunGroup, attachesSource: boolean): boolean {
  return attachesSource || group.members.some(({ run }) => run.projectorFile !== undefined);
}

export class Attachments {
  /** These two are the stored run's from here on. */
  readonly #attached: Map<string, string>;
  readonly #projectorStamps: Map<string, string>;
  readonly #attachesSource: boolean;
  readonly #maxRecordBytes: number;
  #group: RunGroup;
  /** By the paths of the members. */
  readonly #projectors = new Map<string, Projector>();

  /** @param attachSource whether the source's own files are sent, too */
  constructor(
    group: RunGroup,
    stored: StoredRun,
    { attachSource, maxRecordBytes }: { readonly attachSource: boolean; readonly maxRecordBytes: number },
  ) {
    this.#group = group;
    stored.attached = this.#attached = new Map(stored.attached);
    stored.projectorFiles = this.#projectorStamps = new Map(stored.projectorFiles);
    this.#attachesSource = attachSource;
    this.#maxRecordBytes = maxRecordBytes;
  }

  /** Look at the files as they are now. @returns what cannot be read of them */
  async look(group: RunGroup): Promise<FileProblem[]> {
    this.#group = group;
    const problems: FileProblem[] = [];
    for (const { path, run } of group.members) {
      const projector = await readProjector(run, this.#projectorStamps.get(path));
      this.#projectors.set(path, projector);
      if (projector.state === "problem") problems.push(projector.problem);
      if (projector.state !== "changed" && projector.stamp !== undefined)
        this.#projectorStamps.set(path, projector.stamp);
    }
    return problems;
  }

  /** The destination has a run without any. */
  async startOver(): Promise<void> {
    this.#attached.clear();
    this.#projectorStamps.clear();
    await this.look(this.#group);
  }

  /** Whether there are embeddings to be sent, which are worth a run even without any values. */
  get hasEmbeddings(): boolean {
    return [...this.#projectors.values()].some(({ state }) => state === "changed");
  }

  get isSourceDue(): boolean {
    return this.#attachesSource && !isSourceAttached(this.#sourceFiles(), this.#attached);
  }

  /** Send what is due. What has been sent is noted file by file. @returns false if it was interrupted @throws TraceletError */
  async send(attaching: Attaching): Promise<boolean> {
    for (const [path, projector] of this.#projectors) {
      if (projector.state !== "changed") continue;
      if (await attachEmbeddings(projector.embeddings, path, attaching))
        this.#projectorStamps.set(path, projector.stamp);
    }
    return !this.isSourceDue || attachSource(await this.#withRecords(attaching), this.#attached, attaching);
  }

  /** The source's files without those that are only called like event files, and may be anything: they count as sent. */
  async #withRecords({ tally, notes, problems, signal }: Attaching): Promise<SourceFileEntry[]> {
    const files: SourceFileEntry[] = [];
    for (const file of this.#sourceFiles()) {
      const { path, entry } = file;
      const isSure = !isEventFileName(entry.name) || this.#attached.get(path) === stampOf(entry);
      try {
        if (isSure || signal.aborted || (await holdsRecord(entry, this.#maxRecordBytes))) {
          files.push(file);
          continue;
        }
      } catch (error) {
        problems.push(...problemsOf(entry, error));
        tally.read("source_files", 1);
        tally.failed("source_files", 1);
        continue;
      }
      tally.read("source_files", 1);
      tally.skipped("source_files", "no-records", 1);
      this.#attached.set(path, stampOf(entry));
      // One that was just created is no news.
      if (entry.size === 0) continue;
      const message = `${displayPath(entry.path)} is not attached: it holds no record, so it is no event file`;
      notes.push({ code: "artifacts", message });
    }
    return files;
  }

  /** Configurations that are not whole yet. */
  waiting(): RunResult["waiting"] {
    return this.#group.members.flatMap(({ path, run: { projectorFile } }) => {
      if (projectorFile === undefined || this.#projectors.get(path)?.state !== "unfinished") return [];
      return [
        { path: displayPath(projectorFile.path), state: "incomplete", start: 0, end: projectorFile.size },
      ] as const;
    });
  }

  #sourceFiles(): ReturnType<typeof sourceFilesOf> {
    return ownMembers(this.#group).flatMap(({ path, run }) => sourceFilesOf(run, path));
  }
}

/** What was recorded beside the run is no file of the source. */
function ownMembers({ members }: RunGroup): Member[] {
  return members.filter((member) => !isRecorded(member));
}
