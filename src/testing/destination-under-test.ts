import type { Backend } from "../sync/backend.ts";
import type { Point } from "./event-file.ts";

/** A destination, and what is there. */
export interface DestinationUnderTest {
  /** As another process reaches it. */
  connect(): Backend | Promise<Backend>;
  /** All points that are there, as often as they are there, by the names of the runs; each name is one run's. */
  points(): Promise<ReadonlyMap<string, readonly Point[]>> | ReadonlyMap<string, readonly Point[]>;
  /** Whether it tells a machine without state how far it is; one that does not begins again. */
  readonly keepsMarks: boolean;
  /** A tag whose values it refuses, if there is one. */
  readonly refusedTag?: string;
}
