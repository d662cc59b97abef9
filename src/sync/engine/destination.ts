/** Where runs go. */
import type { Backend, Quarantine } from "../backend.ts";
import type { Checkpoints } from "../state/checkpoints.ts";

export interface Destination {
  readonly backend: Backend;
  /** What this machine remembers of it: its own, whatever else is sent from here. */
  readonly checkpoints: Checkpoints;
  /** Keeps what it refuses; left out: a refusal is an error of the run. */
  readonly quarantine?: Quarantine | undefined;
  /** How many runs are sent to it at the same time. */
  readonly concurrency: number;
}
