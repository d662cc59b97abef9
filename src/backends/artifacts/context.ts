/** What every encoder is told beside the value itself. */
import type { DatumBase } from "../../reader/datum.ts";
import type { ArtifactPaths } from "./artifact-paths.ts";

export interface MediaContext {
  /** Says which run of which source this is, for ever. */
  readonly source: string;
  readonly paths: ArtifactPaths;
  /** Seconds since the Unix epoch → ms, a whole number from 0 to 2^53 - 1, by the one rule that metrics have too. */
  readonly timestamp: (wallTime: number) => number;
}

/** The name, without its ending, of the `index`th file of a step. */
export function stepName(datum: Pick<DatumBase, "step">, index: number): string {
  return `${datum.step}-${index}`;
}
