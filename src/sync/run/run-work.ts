/** One run under way: its files, and what all that is done about it shares. */

import type { TagMetadata } from "../../reader/datum.ts";
import type { Obsolete, RestartPolicy } from "../../reader/restarts.ts";
import { problemsOf } from "../report/file-problem.ts";
import type { Member, RunGroup } from "../source/run-group.ts";
import { stampOf } from "../source/stamp.ts";
import type { StoredRun } from "../state/stored-run.ts";
import type { Derivation } from "../transform/metrics/derivation.ts";
import { requireGoingOn } from "./interruption.ts";
import { findObsoleteOf, ScanFailed } from "./member-restarts.ts";
import { MemberTags } from "./member-tags.ts";
import { RunChoices } from "./run-choices.ts";
import type { RunSyncContext } from "./run-context.ts";
import { RunHparams } from "./run-hparams.ts";
import { RunMemory } from "./run-memory.ts";
import { RunNews } from "./run-news.ts";
import type { SourceFile } from "./source-file.ts";

export class RunWork {
  group: RunGroup;
  readonly stored: StoredRun;
  readonly context: RunSyncContext;
  readonly news: RunNews = new RunNews();
  readonly memory: RunMemory;
  /** Undefined where the tags' own names will do. */
  tags: MemberTags | undefined;
  /** What is computed of the files' scalars, up to the place where reading goes on in each. */
  metrics: Derivation<SourceFile> | undefined;
  /** Whether a file was read further than it was sent, so that `metrics` is ahead. */
  #isAhead = false;
  readonly hparams: RunHparams;
  readonly choices: RunChoices;
  files: SourceFile[];
  /** Those that could not be read. */
  readonly unreadable: SourceFile[] = [];

  constructor(group: RunGroup, stored: StoredRun, files: SourceFile[], context: RunSyncContext) {
    this.group = group;
    this.stored = stored;
    this.files = files;
    this.context = context;
    this.memory = new RunMemory(stored, context.checkpoints);
    // Names that were given out stay given out, whatever is asked for now.
    if (group.mayGrow || this.memory.claims.size > 0 || group.members.some(({ path }) => path !== ""))
      this.requireTags();
    this.hparams = new RunHparams(this.#hparamsStamps());
    this.choices = new RunChoices(context, stored);
    this.choices.adopt(files);
  }

  /** From now on, names are given out. */
  requireTags(): MemberTags {
    this.tags ??= new MemberTags(this.memory.claims, this.news.notes);
    return this.tags;
  }

  /** Whether `metrics` has to be brought to where reading goes on. */
  get mustLookBack(): boolean {
    return this.#isAhead && this.context.transform.metrics !== undefined;
  }

  /** Note that `metrics` is where reading goes on. */
  lookedBack(): void {
    this.#isAhead = false;
  }

  metadata({ path }: Member): Map<string, TagMetadata> {
    return this.memory.metadata(path);
  }

  /** The keys that the run's files have. */
  keys(): Set<string> {
    return new Set(this.files.flatMap(({ key }) => key ?? []));
  }

  get trace(): ((line: string) => void) | undefined {
    const { trace } = this.context;
    return trace && ((line) => trace(`${this.group.name}: ${line}`));
  }

  /** @throws TraceletError `interrupted`: nothing new is to be begun */
  requireGoingOn(): void {
    requireGoingOn(this.context.signal);
  }

  /** Do something with each file; one that cannot be read any more is skipped from here on. */
  async eachFile(work: (file: SourceFile) => Promise<void>): Promise<void> {
    for (const file of [...this.files]) {
      this.requireGoingOn();
      try {
        await work(file);
      } catch (error) {
        this.leaveOut(file, error);
      }
    }
  }

  /** What restarts have made obsolete. @param startOf where each file is looked at from, bytes */
  async findObsolete(
    startOf: (file: SourceFile) => number,
    policy: RestartPolicy = this.context.restarts,
  ): Promise<Obsolete> {
    const metadataOf = (member: Member) => this.metadata(member);
    const begin = (file: SourceFile) => {
      this.requireGoingOn();
      return file.barren === undefined ? startOf(file) : file.entry.size;
    };
    try {
      return await findObsoleteOf(this.files, policy, begin, metadataOf);
    } catch (error) {
      if (!(error instanceof ScanFailed)) throw error;
      this.leaveOut(error.file, error.cause);
      return this.findObsolete(startOf, policy);
    }
  }

  leaveOut(file: SourceFile, error: unknown): void {
    this.isProblemOf(file, error);
    this.files = this.files.filter((other) => other !== file);
    this.unreadable.push(file);
  }

  /** Note what a file's store says of it; throw on whatever else it is. */
  isProblemOf(file: SourceFile, error: unknown): void {
    if (file.entry.store.judge(error) === undefined) throw error;
    file.failed();
    this.#isAhead = true;
    this.news.problems.push(...problemsOf(file.entry, error));
  }

  /** Of the `hparams.yaml` files that were sent, and of those in which there was nothing to send. */
  #hparamsStamps(): ReadonlyMap<string, string> {
    const stamps = new Map(this.stored.hparamsFiles);
    for (const { path, run } of this.group.members) {
      const stamp = run.hparamsFile && stampOf(run.hparamsFile);
      if (stamp === undefined || run.hparamsFile === undefined) continue;
      if (this.context.checkpoints.barren(run.hparamsFile.path, () => stamp) !== undefined) stamps.set(path, stamp);
    }
    return stamps;
  }
}

/** The whole of a batch. */
export const WHOLE = { firstScalar: 0, firstDatum: 0 } as const;
