/** What the state holds about a run and its files. */

import type { Loss } from "../../reader/tfrecord.ts";
import type { FinalStatus } from "../backend.ts";
import type { FileMark } from "../source/fingerprint.ts";
import type { Fold } from "../source/folds.ts";

/** What one destination has of a file. All of it holds as of `offset`, so that no destination shares it with another. */
export interface StoredFile extends FileMark {
  /** Its store's stamp when it was last looked at: if that has not changed, neither has the file. */
  readonly stamp: string;
  /** The least step of a `SessionLog START` before `offset`. */
  readonly restartStep: bigint | undefined;
  /** Damage skipped before `offset`. */
  readonly losses: readonly Loss[];
  /** Number of steps in each series before `offset`: a `SeriesCounts` as JSON. */
  readonly counts: string;
}

/** What is known of a run of the source, as a destination was last told of it. */
interface SourceRun {
  name: string;
  /** Where its directory really lies; undefined where that is not known. The bytes of the path. */
  directory: Uint8Array | undefined;
  /** The members that were folded into it, by their paths. */
  folds: ReadonlyMap<string, Fold>;
}

/** What one destination has of a run. */
export interface StoredRun extends SourceRun {
  /** Its row in this state; undefined until it is saved. */
  id: number | undefined;
  /** The destination's id for it; undefined until it is opened there. */
  remoteId: string | undefined;
  /** The destination's cursor as of the saved offsets; undefined if it needs none. */
  cursor: string | undefined;
  /** False while there is work left. */
  done: boolean;
  /** Whether the destination was left something to be known again by since the run was last saved. */
  isConfirmed: boolean;
  /** Whether its pages lag behind the values sent. */
  pagesDue: boolean;
  /** How the run ended, as far as its hyperparameter sessions say. */
  status: FinalStatus;
  /** What the user wanted it to be called there when it was last opened, if not as it is called here. */
  runName: string | undefined;
  /** Seconds since the Unix epoch; undefined before the first event, and where that has none. */
  firstWallTime: number | undefined;
  /** Seconds since the Unix epoch; -Infinity before the first event. */
  lastWallTime: number;
  /** Stamps of the `hparams.yaml` files whose params were sent, by member path. */
  hparamsFiles: ReadonlyMap<string, string>;
  /** Stamps of the `projector_config.pbtxt` files whose embeddings were sent, by member path. */
  projectorFiles: ReadonlyMap<string, string>;
  /** Stamps of the source files that were sent as they are, by path. */
  attached: ReadonlyMap<string, string>;
  /** Id of the choice that all there is of it was sent under; undefined if a version before 0.2 has sent it. */
  choice: string | undefined;
  /** The text of each choice that part of it was sent under, by id. */
  choices: ReadonlyMap<string, string>;
  files: readonly StoredFile[];
}

/** A run that was never sent. */
export function newRun(name: string): StoredRun {
  return {
    id: undefined,
    name,
    directory: undefined,
    remoteId: undefined,
    cursor: undefined,
    done: false,
    isConfirmed: false,
    pagesDue: false,
    status: "finished",
    runName: undefined,
    firstWallTime: undefined,
    lastWallTime: -Infinity,
    hparamsFiles: new Map(),
    folds: new Map(),
    projectorFiles: new Map(),
    attached: new Map(),
    choice: undefined,
    choices: new Map(),
    files: [],
  };
}
