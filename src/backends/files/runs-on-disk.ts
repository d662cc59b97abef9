/** What each format of files keeps: runs that are appended to, and that tell how far they are. */
import type { Batch } from "../../sync/backend.ts";
import type { Tally } from "../../sync/report/tally.ts";
import type { RunState } from "../run-state.ts";

/** A run as its files tell it. */
export interface RunFile {
  /** Path of what tells it, below the output directory. */
  readonly id: string;
  readonly state: RunState;
}

/** One that was looked at. */
export interface SeenRun extends RunFile {
  /** Whether nothing is behind what is whole. */
  readonly isWhole: boolean;
}

/** One that is written to. */
export interface OpenRun extends RunFile {
  state: RunState;
}

/** What is to be appended. */
export interface Addition {
  readonly batch: Batch;
  readonly next: RunState;
  /** Whether none of it can be there already. */
  readonly isAllNew: boolean;
}

/** Runs in one format. All methods throw `TraceletError`: `rejected` for what the system says, or what else is there. */
export interface RunsOnDisk<Open extends OpenRun = OpenRun> {
  /** How many scalars one batch should hold. */
  readonly batchSize: number;
  /** @param path of `pathOfRun` @param n 1, or one that tells it from others of that path */
  idOf(path: string, n: number): string;
  /** Ids of all runs that are there, and of what else may be one. */
  list(): string[];
  /** What is there; undefined if nothing is. */
  look(id: string): SeenRun | undefined;
  /** The same, to be written to: without what was not written whole. */
  open(id: string): Promise<Open | undefined>;
  /** @param startTime seconds since the Unix epoch; may be NaN @returns undefined if something is there already */
  create(id: string, state: RunState, startTime: number): Promise<Open | undefined>;
  /**
   * Resolves once all of it is durable; what becomes of it is all or nothing.
   *
   * @throws TraceletError `overtaken` or `deleted` if its files are not as they were left
   */
  append(run: Open, addition: Addition): Promise<void>;
  /** What of a batch has a place in them. */
  tally(batch: Batch): Tally;
  /** The same as `append`, of what is no value: how it ended, what it is called. */
  tell(run: Open, next: RunState): Promise<void>;
}
