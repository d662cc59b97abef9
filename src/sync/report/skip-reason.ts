/** Why a value that was read is not sent. The codes are part of `--json`; only `src/cli` words them. */

export type SkipReason =
  // What the user chose. Most codes are the name of the option.
  | "excluded"
  | "nan"
  | "every"
  | "max-steps"
  | "max-image-size"
  | "max-audio-size"
  | "max-artifact-size"
  // What the source holds.
  /** A restarted job wrote the step again. */
  | "obsolete"
  /** The writer wrote a tag and nothing else: no damage, and nothing is lost. */
  | "empty"
  | "undecodable"
  /** A hyperparameter search's own record, which belongs to no run. */
  | "experiment-level"
  /** A file named like an event file that holds no record. */
  | "no-records"
  /** An embedding's tensor is in a checkpoint of TensorFlow. */
  | "in-checkpoint"
  /** A record names a file that it has no right to. */
  | "outside-logdir"
  /** A file that a record names is not as it was when it was logged. */
  | "changed"
  /** A path of `projector_config.pbtxt` leads out of the run's directory. */
  | "outside-run"
  /** A file that `projector_config.pbtxt` or a record names does not exist. */
  | "not-found"
  // What the destination takes.
  | "refused"
  | "unsupported-kind"
  | "no-file-storage"
  /** A later value has the same file name there. */
  | "same-step"
  | "same-tag"
  // The user stopped; the next start sends it.
  | "interrupted";
