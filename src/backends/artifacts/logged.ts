/** A file that a program logged → the artifact of its path. */
import type { ArtifactDatum } from "../../reader/datum.ts";
import type { Artifact, FileArtifact } from "./artifact.ts";
import type { MediaContext } from "./context.ts";

export function encodeLogged({ path, content }: ArtifactDatum, { paths }: MediaContext): (Artifact | FileArtifact)[] {
  const stored = paths.loggedFile(path);
  if (content instanceof Uint8Array) return [{ path: stored, bytes: content }];
  return [{ path: stored, file: content.found, size: content.size }];
}
