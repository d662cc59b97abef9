/** Where a run's files lie, for whoever finds the run at its destination. */
import { displayPath } from "../../reader/discover.ts";
import type { RunGroup } from "./run-group.ts";

/** Where a run's files lie. Both may hold any character. */
export interface Origin {
  /** The name of the machine or store that holds them. */
  readonly host: string;
  /** Of the run's directory: absolute, without links. */
  readonly path: string;
}

export function originOf({ store, directory }: Pick<RunGroup, "store" | "directory">): Origin {
  const place = store.placeOf(directory);
  // As it was given where it is gone meanwhile.
  return { host: store.host, path: displayPath(place === undefined ? directory : Buffer.from(place)) };
}
