/**
 * The run of a source: found, or made; and one only, whoever makes it.
 *
 * A run's id is derived from the source's name and its first file, so two machines that look at the same moment make one
 * run: W&B's ids are unique. A run that was renamed, or is reached from another root, has another id; it is found by its
 * files among the runs of the project. W&B never gives the id of a deleted run out again, so a run that is sent again gets
 * the next one.
 */
import { randomUUID } from "node:crypto";
import { TraceletError } from "../../errors.ts";
import type { RunDescription } from "../../sync/backend.ts";
import { type FileMark, hashText } from "../../sync/source/fingerprint.ts";
import { VERSION } from "../../version.ts";
import { noteOf } from "../run-note.ts";
import type { Elsewhere } from "./elsewhere.ts";
import { fitDisplayName } from "./names.ts";
import type { Place } from "./place.ts";
import { RunConfig, storedIn } from "./run-config.ts";
import { firstState, reachedBy, type StoredState } from "./run-state.ts";
import type { RunAddress, RunStatus, WandbStore } from "./store.ts";

export interface RunFinderOptions {
  readonly store: WandbStore;
  readonly place: Place;
  readonly entity: string;
  readonly elsewhere?: Elsewhere | undefined;
  /** Whether runs that were deleted are sent as new ones. */
  readonly resendsDeleted: boolean;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

/** A run that is there. */
export interface Found {
  readonly address: RunAddress;
  readonly status: RunStatus;
  readonly stored: StoredState;
}

/** What a listing tells of a run that tracelet has made. */
interface Listed {
  readonly source: string;
  readonly marks: readonly FileMark[];
}

const ID_LENGTH = 16;
/** How often a run is expected to be deleted and sent again. */
const MOST_RESENDS = 100;
/** How long a listing is believed to name all runs of the project, ms. */
const LISTING_MS = 10_000;

/** The runs of one project. */
export class RunFinder {
  readonly #options: RunFinderOptions;
  readonly #listed = new Map<string, Listed | undefined>();
  #listedAt: number | undefined;
  /** The listing under way. */
  #listing: Promise<void> | undefined;
  /** Ids of runs that were deleted. */
  readonly #deleted = new Set<string>();
  /** Sources of the runs that were found by their files, by id. */
  readonly #moved = new Map<string, string>();

  constructor(options: RunFinderOptions) {
    this.#options = options;
  }

  get entity(): string {
    return this.#options.entity;
  }

  /**
   * @param knownId what it was before
   * @throws TraceletError `deleted` if somebody has deleted it, and it is not to be sent again; `usage` if points of it were
   *   sent elsewhere that are not here
   */
  async findOrCreate(
    run: RunDescription,
    knownId: string | undefined,
  ): Promise<{ readonly found: Found; readonly isNew: boolean }> {
    const end = await this.#findOrCreate(run, knownId);
    const { address, stored, status } = end.found;
    const reached = reachedBy(stored, status);
    // What is wrong with the lines is told once it is open.
    const { marks } = typeof reached === "string" ? stored.state : reached.state;
    if (!end.isNew) this.#options.elsewhere?.requireAll(address.name, marks);
    return end;
  }

  async #findOrCreate(
    run: RunDescription,
    knownId: string | undefined,
  ): Promise<{ readonly found: Found; readonly isNew: boolean }> {
    for (;;) {
      const known = knownId === undefined || this.#deleted.has(knownId) ? undefined : await this.look(knownId);
      if (known?.stored !== undefined) {
        const { source, marks } = known.stored.state;
        const isOther = await run.contradicts({ source, marks: [...marks.values()] });
        if (!isOther) return { found: { ...known, stored: known.stored }, isNew: false };
      }
      const derived = await this.#findDerived(run, knownId);
      if (typeof derived !== "string") return { found: derived, isNew: false };
      const listed = await this.#findListed(run);
      if (listed !== undefined) return { found: listed, isNew: false };
      // Under the id that it had, if the server has lost it; that it was deleted is told then.
      const isLost = knownId !== undefined && known === undefined && !this.#deleted.has(knownId);
      const made = await this.#create(run, isLost ? knownId : derived, isLost);
      if (made !== undefined) return { found: made, isNew: true };
    }
  }

  /** @param name the run's id @returns undefined if it is not there */
  async look(
    name: string,
  ): Promise<(Omit<Found, "stored"> & { readonly stored: StoredState | undefined }) | undefined> {
    const { store, entity, place } = this.#options;
    const address = { entity, project: place.project, name };
    const status = await store.status(address);
    return status && { address, status, stored: new RunConfig(status.config).stored };
  }

  /** The run under one of the ids that are derived from the source, or the first of them that is free. */
  async #findDerived(run: RunDescription, knownId: string | undefined): Promise<Found | string> {
    const { project } = this.#options.place;
    const key = run.marks[0]?.key ?? "";
    const idOf = (n: number) => hashText(`${project}\0${run.source}\0${key}\0${n}`).slice(0, ID_LENGTH);
    // Those before a deleted one were taken when it got its id.
    let taken = knownId !== undefined && this.#deleted.has(knownId) ? MOST_RESENDS : 0;
    while (taken > 0 && idOf(taken) !== knownId) taken--;
    for (let n = 1; ; n++) {
      const id = idOf(n);
      if (this.#deleted.has(id)) continue;
      const there = await this.look(id);
      if (there === undefined && n < taken) continue;
      if (there === undefined) return id;
      const { stored } = there;
      if (stored?.state.source !== run.source) continue;
      const marks = [...stored.state.marks.values()];
      if (await run.isOthers({ id, source: run.source, marks })) continue;
      if (marks.length === 0 || (await run.owns(marks))) return { ...there, stored };
    }
  }

  /** The run of the source under an id of another kind, or under the name that the source had before: told by its files. */
  async #findListed(run: RunDescription): Promise<Found | undefined> {
    await this.#list();
    const keys = new Map(run.marks.map(({ key, name }) => [key, name]));
    const isAlike = ({ source, marks }: Listed) =>
      source === run.source || marks.some(({ key, name }) => keys.get(key) === name);
    const candidates = [...this.#listed].flatMap(([name, listed]) => (listed && isAlike(listed) ? [name] : []));
    let best: { readonly found: Found; readonly rank: string } | undefined;
    for (const name of candidates) {
      if ((this.#moved.get(name) ?? run.source) !== run.source) continue;
      const there = await this.look(name);
      if (there?.stored === undefined) continue;
      const { stored } = there;
      const { source, name: called } = stored.state;
      const marks = [...stored.state.marks.values()];
      if (await run.isOthers({ id: name, source, marks })) continue;
      const isSame = source === run.source;
      // A shorter file may be a copy from before it was read to there, and go on in another way.
      if (!(isSame ? await run.owns(marks) : isAlike({ source, marks }) && (await run.holds(marks)))) continue;
      const bytes = marks.reduce((sum, { offset }) => sum + offset, 0);
      const isNamed = `/${called}`.endsWith(`/${run.name}`);
      const rank = `${Number(isSame)} ${String(bytes).padStart(17, "0")} ${Number(isNamed)}`;
      if (best === undefined || rank > best.rank) best = { found: { ...there, stored }, rank };
    }
    // Of two sources that look at the same time one has it, and the other is its copy.
    const name = best?.found.address.name;
    if (name !== undefined && (this.#moved.get(name) ?? run.source) !== run.source) return this.#findListed(run);
    if (name !== undefined) this.#moved.set(name, run.source);
    return best?.found;
  }

  /** Bring what is known of the project's runs up to date: all at first, then those that were made since. */
  #list(): Promise<void> {
    if (this.#listing === undefined && this.#listedAt !== undefined) {
      if (this.#options.now() - this.#listedAt < LISTING_MS) return Promise.resolve();
    }
    this.#listing ??= this.#listNewest().finally(() => (this.#listing = undefined));
    return this.#listing;
  }

  async #listNewest(): Promise<void> {
    const { store, entity, place, now } = this.#options;
    const at = now();
    const fresh = new Map<string, Listed | undefined>();
    for await (const { name, config } of store.newestRuns(entity, place.project)) {
      if (this.#listed.has(name)) break;
      const state = storedIn(config)?.state;
      fresh.set(name, state && { source: state.source, marks: [...state.marks.values()] });
    }
    // Only now: one that ends in the middle has not listed those that are older.
    for (const [name, listed] of fresh) this.#listed.set(name, listed);
    this.#listedAt = at;
  }

  /** @returns undefined if somebody else has made it meanwhile, or it was deleted and is to be sent under the next id */
  async #create(run: RunDescription, name: string, wasThere: boolean): Promise<Found | undefined> {
    const { store, entity, place, elsewhere, resendsDeleted } = this.#options;
    elsewhere?.requireAll(name, new Map());
    const { group, jobType, tags, project } = place;
    const notes = place.notes ?? noteOf(run, VERSION);
    const stored = firstState(run.name, run.source, run.marks, randomUUID());
    const config = new RunConfig();
    config.stored = stored;
    const text = config.text();
    const displayName = fitDisplayName(run.name);
    try {
      const address = { entity, project, name };
      const { startTime } = run;
      const fields = { displayName, config: text, group, jobType, tags, notes, startTime };
      const made = await store.upsert(address, fields, wasThere);
      if (!made.isNew) return undefined;
      const { storageId } = made;
      const status = { storageId, displayName, lines: 0, events: 0, config: text, summary: "{}" };
      return { address: { entity: made.entity, project: made.project, name: made.name }, status, stored };
    } catch (error) {
      if (!(error instanceof TraceletError) || error.code !== "deleted" || !resendsDeleted) throw error;
      this.#deleted.add(name);
      return undefined;
    }
  }
}
