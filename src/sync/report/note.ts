/** What a user should know of how something was sent. */

/** Something that was done otherwise than the source has it. Only `quarantined` is a loss. */
export interface Note {
  readonly code:
    | "renamed"
    | "param-conflict"
    | "params-apart"
    | "unreadable-hparams"
    | "not-an-event-file"
    | "without-content"
    | "cut"
    | "wall-time"
    | "replaced"
    | "truncated"
    | "recreated"
    | "artifacts"
    | "oversize"
    | "narrowed"
    | "quarantined"
    | "regrouped"
    | "apart"
    | "moved"
    | "called"
    | "no-goal"
    | "no-metric"
    | "rounded"
    | "stopped";
  readonly message: string;
  /** Something that its user wanted to be sent is not: a watch warns of it. */
  readonly isWarning?: true;
}
