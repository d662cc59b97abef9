/**
 * The run of a source: found, or made; and one only, whoever makes it.
 *
 * MLflow has no unique key, so two processes that look at the same moment may both find nothing and make a run each. Who
 * finds two of a source settles it: all agree on the one that was made first, and the others are deleted, as a user would
 * delete them, with a tag that names the one that counts. Who was writing to another goes on in it from its marks.
 */
import { TraceletError } from "../../errors.ts";
import { ContentRefused, ReplyLost } from "../../net/refusal.ts";
import type { RunDescription } from "../../sync/backend.ts";
import { marksOfTags, markTag } from "./marks.ts";
import { CREATED_TAG, DUPLICATE_TAG, inAscii, isInAscii, newRun, REPLACED_TAG, RUN_TAG } from "./new-run.ts";
import { NOTHING } from "./parts.ts";
import { type MlflowStore, type RunRecord, RunTaken } from "./store.ts";
import { countRuns } from "./survey.ts";

/** How long it is believed that an experiment holds no run of ours, ms. */
const EMPTY_MS = 10_000;

/** How often a run is tried to be made under a name that some databases cannot store. */
const LOST_FOR_ITS_NAME = 3;

export interface RunFinderOptions {
  readonly store: MlflowStore;
  readonly experimentId: string;
  /** Whether this process has just made the experiment. */
  readonly isNew: boolean;
  /** Version of tracelet. */
  readonly version: string;
  /** How long to go on creating a run while every reply is lost, ms. */
  readonly giveUpAfterMs: number;
  /** Whether runs that were deleted are sent as new ones. */
  readonly resendsDeleted: boolean;
}

/** A run that was found, or made just now. */
export type Found =
  | { readonly run: RunRecord }
  | { readonly run: undefined; readonly id: string; readonly name: string };

/** The runs of one experiment. */
export class RunFinder {
  readonly #options: RunFinderOptions;
  /** The runs that this process has made, by id. */
  readonly #created = new Map<string, RunDescription>();
  /** Those that were made beside an active run of the same source that was another's at that moment. */
  readonly #doubtful = new Set<string>();
  /** Sources of those, and of those that it has tried to make. */
  readonly #tried = new Set<string>();
  /** When the experiment was last seen to hold no run of ours, ms of `performance.now()`; undefined: it holds some. */
  #emptyAt: number | undefined;
  /** How many runs there were when this process last knew of all that were made meanwhile. */
  #count: Promise<number> | undefined;
  /** How many it has made since. */
  #createdSince = 0;
  /** Sources of the runs that were found by their files, by id. */
  readonly #moved = new Map<string, string>();

  constructor(options: RunFinderOptions) {
    this.#options = options;
    if (options.isNew) this.#emptyAt = performance.now();
    if (options.isNew) this.#count = Promise.resolve(0);
  }

  get experimentId(): string {
    return this.#options.experimentId;
  }

  /** How many runs of ours the experiment holds at least. */
  async atLeast(): Promise<number> {
    return ((await this.#count) ?? 0) + this.#createdSince;
  }

  /** @param knownId what it was before @throws TraceletError `deleted` if a user has deleted it */
  async findOrCreate(run: RunDescription, knownId: string | undefined): Promise<Found> {
    const { store } = this.#options;
    for (;;) {
      const counted = this.#count;
      await counted;
      const { found, seen, isEmpty, hasOthers } = await this.#find(run, knownId);
      // One whose source was renamed is known by its id alone. Where that one is gone for good, one that was deleted, and
      // given up, before it was made is no reason to send nothing.
      const isElsewhere = knownId !== undefined && !seen.has(knownId) && found?.active !== true;
      const elsewhere = isElsewhere ? await store.run(knownId) : undefined;
      const isGone = isElsewhere && elsewhere === undefined;
      const isOurs = elsewhere !== undefined && !(await this.#contradicts(run, elsewhere));
      const known = isOurs ? elsewhere : isGone ? undefined : found;
      if (known !== undefined && this.#counts(known)) return { run: this.#active(known) };
      if (await this.#hasToLookAgain(counted)) continue;
      const moved = isEmpty ? undefined : await this.#findMoved(run, seen);
      const wasGivenUp = isGone && moved?.active === false;
      if (moved !== undefined && !wasGivenUp) return { run: this.#active(moved) };
      const made = await this.#create(run, seen);
      if (made === undefined) continue;
      if (made.run === undefined && hasOthers) this.#doubtful.add(made.id);
      if (made.run === undefined && run.replaces !== undefined) await this.#noteReplaced(run.replaces, made.id);
      return made;
    }
  }

  /**
   * Look whether others have made runs of the same sources meanwhile. Asks one question if nobody has made any.
   *
   * @returns the ids of those that this process has made and that do not count any more
   */
  async settle(): Promise<ReadonlySet<string>> {
    const lost = new Set<string>();
    const mayBeLost = (await this.#othersHaveMade()) ? [...this.#created.keys()] : [...this.#doubtful];
    this.#doubtful.clear();
    for (const id of mayBeLost) {
      const { found } = await this.#find(this.#created.get(id) as RunDescription);
      if (found !== undefined && found.id !== id) lost.add(id);
    }
    for (const id of lost) this.#created.delete(id);
    return lost;
  }

  /** Whether others may have made runs since this process made its first one. */
  async #othersHaveMade(): Promise<boolean> {
    const lists = this.#options.store.runLists;
    if (this.#createdSince === 0 || this.#count === undefined || lists === undefined) return false;
    // What an SQLite database takes in one transaction nobody else has made meanwhile.
    if (lists.listsCheaply) return false;
    const { experimentId } = this.#options;
    const expected = (await this.#count) + this.#createdSince;
    if ((await lists.countsRuns(experimentId, RUN_TAG, expected)) === "exactly") return false;
    this.#count = countRuns(lists, experimentId, expected);
    this.#createdSince = 0;
    this.#emptyAt = undefined;
    await this.#count;
    return true;
  }

  /**
   * @returns the run of the source that counts, the ids of all that were looked at, and whether an active one of them was
   *   passed over as another's
   */
  async #find(
    run: RunDescription,
    knownId?: string,
  ): Promise<{ found: RunRecord | undefined; seen: ReadonlySet<string>; isEmpty: boolean; hasOthers: boolean }> {
    const { store, experimentId } = this.#options;
    let hasOthers = false;
    if (await this.#isEmpty(run.source)) return { found: undefined, seen: new Set(), isEmpty: true, hasOthers };
    const candidates = await store.runsByTag(experimentId, RUN_TAG, run.source);
    const seen = new Set(candidates.map(({ id }) => id));
    const own: RunRecord[] = [];
    for (const candidate of candidates.filter((each) => this.#counts(each)))
      if (candidate.id !== knownId && (await run.isOthers(thereOf(candidate, run.source))))
        hasOthers ||= candidate.active;
      else if (
        candidate.id === knownId
          ? !(await this.#contradicts(run, candidate))
          : await run.owns(marksOfTags(candidate.tags))
      )
        own.push(candidate);
    const active = own.filter((each) => each.active).sort(byCreation);
    if (active.length < 2) return { found: active[0] ?? own[0], seen, isEmpty: false, hasOthers };

    // Runs of copies that went on in different ways are none of each other's duplicates.
    const same: RunRecord[] = [];
    for (const each of active) if (await run.holds(marksOfTags(each.tags))) same.push(each);
    const [first, ...others] = same.sort((a, b) => Number(isSetAside(a)) - Number(isSetAside(b)) || byCreation(a, b));
    if (first !== undefined) for (const other of others) await store.setAside(other, first.id);
    const found = first ?? active.find(({ id }) => id === knownId) ?? active[0];
    return { found, seen, isEmpty: false, hasOthers };
  }

  /**
   * The run that the source had under another name, told by its files. Where a run of that name is still there, this one is
   * a copy.
   *
   * @param seen the runs that are known not to be it
   */
  async #findMoved(run: RunDescription, seen: ReadonlySet<string>): Promise<RunRecord | undefined> {
    const { store, experimentId } = this.#options;
    const [mark] = run.marks;
    if (mark === undefined) return undefined;
    const own: { readonly found: RunRecord; readonly rank: string }[] = [];
    for (const found of await store.runsByTag(experimentId, markTag(mark.key))) {
      const source = found.tags.get(RUN_TAG);
      if (source === undefined || seen.has(found.id) || !this.#counts(found)) continue;
      if (await run.isOthers(thereOf(found, source))) continue;
      const marks = marksOfTags(found.tags);
      // Where runs are nested, the directory above knows the file by a longer name.
      const isAlike = marks.some(({ key, name }) => key === mark.key && name === mark.name);
      // A shorter file may be a copy from before it was read to there, and go on in another way.
      if (!isAlike || !(await run.holds(marks))) continue;
      const bytes = marks.reduce((sum, { offset }) => sum + offset, 0);
      const isNamed = `/${found.tags.get("mlflow.runName")}`.endsWith(`/${run.name}`);
      own.push({ found, rank: `${Number(found.active)} ${String(bytes).padStart(17, "0")} ${Number(isNamed)}` });
    }
    own.sort((a, b) => (a.rank < b.rank ? 1 : -1));
    const moved = own.find(({ found }) => (this.#moved.get(found.id) ?? run.source) === run.source)?.found;
    if (moved !== undefined) this.#moved.set(moved.id, run.source);
    return moved;
  }

  /** Whether a run is one that another machine went on with from files that are not these. */
  async #contradicts(run: RunDescription, found: RunRecord | undefined): Promise<boolean> {
    if (found === undefined) return false;
    return run.contradicts({ source: found.tags.get(RUN_TAG), marks: marksOfTags(found.tags) });
  }

  /**
   * What others made between a look and a later count would be in that count, and no look would ever find it.
   *
   * @param counted the count as it was before the look
   */
  async #hasToLookAgain(counted: Promise<number> | undefined): Promise<boolean> {
    const { store, experimentId } = this.#options;
    const lists = store.runLists;
    if (lists === undefined || lists.listsCheaply) return false;
    this.#count ??= countRuns(lists, experimentId, 0);
    await this.#count;
    return this.#count !== counted;
  }

  /** Whether a look for the run can be spared. */
  async #isEmpty(source: string): Promise<boolean> {
    const { store, experimentId } = this.#options;
    if (this.#tried.has(source)) return false;
    const isFresh = this.#emptyAt !== undefined && performance.now() - this.#emptyAt < EMPTY_MS;
    if (isFresh) return true;
    if (this.#count !== undefined && this.#emptyAt === undefined) return false;
    if (await store.hasRunsWithTag(experimentId, RUN_TAG)) {
      this.#emptyAt = undefined;
      return false;
    }
    this.#emptyAt = performance.now();
    this.#count ??= Promise.resolve(0);
    return true;
  }

  async #noteReplaced(id: string, by: string): Promise<void> {
    const tags = new Map([[REPLACED_TAG, by]]);
    await this.#options.store.logBatch(id, { ...NOTHING, tags }).catch((error: unknown) => {
      // One that a user has deleted needs no word of it.
      if (!(error instanceof TraceletError && error.code === "deleted")) throw error;
    });
  }

  /** Whether a run is one that somebody may mean: not one that is to be sent again, nor a duplicate that was set aside. */
  #counts({ active, tags }: RunRecord): boolean {
    return active || !(this.#options.resendsDeleted || tags.has(DUPLICATE_TAG));
  }

  #active(found: RunRecord): RunRecord {
    if (found.active) return found;
    throw new TraceletError("deleted", `its MLflow run ${found.id} was deleted`, {
      hint: `restore it (mlflow runs restore --run-id ${found.id}), or send it as a new run (--resend-deleted)`,
    });
  }

  /** @param seen the runs that are known not to be it @returns undefined if somebody else has made one meanwhile */
  async #create(run: RunDescription, seen: ReadonlySet<string>): Promise<Found | undefined> {
    const { store, experimentId, version, giveUpAfterMs } = this.#options;
    let lost = 0;
    let asked = newRun(run, experimentId, version);
    const end = performance.now() + giveUpAfterMs;
    // Nobody may come to know its id: the first batch, which would be remembered, can fail.
    this.#tried.add(run.source);
    for (;;) {
      try {
        const id = await store.createRun(asked, { key: RUN_TAG, value: run.source, seen });
        this.#created.set(id, run);
        this.#createdSince++;
        return { run: undefined, id, name: asked.name };
      } catch (error) {
        if (error instanceof ContentRefused && !isInAscii(asked)) {
          // A run with another name is better than none.
          asked = inAscii(asked);
          continue;
        }
        if (error instanceof RunTaken) return undefined;
        if (!(error instanceof ReplyLost)) throw error;
        // It may have been created: looking is the only way to know, and creating again would make a second run.
        const { found } = await this.#find(run);
        if (found !== undefined) return { run: found };
        // The server answers, and it may be the database that does not take its name.
        if (++lost >= LOST_FOR_ITS_NAME && !isInAscii(asked)) asked = inAscii(asked);
        if (performance.now() > end) {
          throw new TraceletError("unreachable", `MLflow does not create a run: ${error.message}`, { cause: error });
        }
      }
    }
  }
}

function thereOf({ id, tags }: RunRecord, source: string): Parameters<RunDescription["isOthers"]>[0] {
  return { id, source, marks: marksOfTags(tags) };
}

/** Whether somebody was about to delete it as a duplicate, and did not come to it. */
function isSetAside({ tags }: RunRecord): boolean {
  return tags.has(DUPLICATE_TAG);
}

/** The run that was made first comes first; those of versions that did not note it, before all others. */
function byCreation(a: RunRecord, b: RunRecord): number {
  const [one, other] = [a, b].map(({ id, tags }) => `${tags.get(CREATED_TAG) ?? ""} ${id}`) as [string, string];
  return one < other ? -1 : 1;
}
