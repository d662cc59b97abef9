/** What is remembered of a run and of its files. */

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
  /** What was passed over before `offset`. */
  readonly losses: readonly Loss[];
  /** How many steps its series have had before `offset`: a `SeriesCounts` as JSON. */
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
  /** This state's own number of it; undefined while it has not been saved. */
  id: number | undefined;
  /** The destination's name of it; undefined before it was opened there. */
  remoteId: string | undefined;
  /** Where the destination stood when the places of its files were saved; undefined where it needs none. */
  cursor: string | undefined;
  /** False while something is left to be done. */
  done: boolean;
  /** Whether the destination was left something to be known again by since the run was last saved. */
  isConfirmed: boolean;
  /** Whether values were sent that its pages do not show yet. */
  pagesDue: boolean;
  /** How the run ends, as far as its hyperparameter sessions have told. */
  status: FinalStatus;
  /** Seconds since the Unix epoch; undefined before the first event, and where that has none. */
  firstWallTime: number | undefined;
  /** Seconds since the Unix epoch; -Infinity before the first event. */
  lastWallTime: number;
  /** Stamps of the `hparams.yaml` files whose params were sent, by the paths of the members that they lie in. */
  hparamsFiles: ReadonlyMap<string, string>;
  /** Stamps of the `projector_config.pbtxt` files whose embeddings were sent, by the paths of the members. */
  projectorFiles: ReadonlyMap<string, string>;
  /** Stamps of the source's files that were sent as they are, by path. */
  attached: ReadonlyMap<string, string>;
  /** Id of the choice that all there is of it was sent under; undefined if a version before 0.2 has sent it. */
  choice: string | undefined;
  /** The text of each choice that some of it was sent under, by id. */
  choices: ReadonlyMap<string, string>;
  files: readonly StoredFile[];
}

/** What is known of a run that was never sent. */
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
