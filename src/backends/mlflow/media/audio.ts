/** Audio → `audio/<tag>/<step>-<i>.wav`, which the artifact viewer plays; the bytes as written. */
import { audioExtension } from "../../../encode/audio-extension.ts";
import type { AudioDatum } from "../../../reader/datum.ts";
import type { Artifact } from "../../artifacts/artifact.ts";
import { type MediaContext, stepName } from "../../artifacts/context.ts";

/** All files of one step's clips. */
export function encodeAudio(datum: AudioDatum, { paths }: MediaContext): Artifact[] {
  const directory = paths.directory("audio", datum.tag);
  return datum.clips.flatMap((clip, i) => {
    if (clip === undefined) return [];
    return [{ path: `${directory}/${stepName(datum, i)}.${audioExtension(clip)}`, bytes: clip.bytes }];
  });
}
