/** Which values become files of the run. W&B has no place of its own for them, but its page lists and shows files. */
import type { ArtifactDatum, Datum, Kind } from "../../reader/datum.ts";
import type { Segment } from "../../sync/backend.ts";
import type { Artifact, FileArtifact } from "../artifacts/artifact.ts";
import type { MediaContext } from "../artifacts/context.ts";
import { type Encoded, type Encoder, each, encodeKinds, FILE_ENCODERS, MESH_ENCODER } from "../artifacts/encode.ts";
import { encodeLogged } from "../artifacts/logged.ts";

/** What W&B or its client keeps under names of its own. */
export const OWN_FILES: RegExp =
  /^(?:wandb-|config\.yaml$|output\.log$|requirements\.txt$|conda-environment\.yaml$|diff[^/]*\.patch$|(?:logs|code)\/)/i;

/** What a watch has recorded, by its path: what W&B's client calls the same. */
const RECORDED: ReadonlyMap<string, string> = new Map([
  ["git/diff.patch", "diff.patch"],
  ["env/requirements.txt", "requirements.txt"],
]);

const ENCODERS: ReadonlyMap<Kind, Encoder> = new Map<Kind, Encoder>([
  MESH_ENCODER,
  ...FILE_ENCODERS,
  ["artifacts", each("artifacts", encodeArtifact)],
]);

export function isEncoded(kind: Kind): boolean {
  return ENCODERS.has(kind);
}

export function encodeData(
  data: readonly Datum[],
  _segments: readonly Segment[],
  context: MediaContext,
): AsyncGenerator<readonly [Kind, readonly Encoded[]]> {
  return encodeKinds(ENCODERS, data, context);
}

function encodeArtifact(datum: ArtifactDatum, context: MediaContext): readonly (Artifact | FileArtifact)[] {
  const [file] = encodeLogged(datum, context);
  const path = RECORDED.get(datum.path);
  return file === undefined ? [] : [path === undefined ? file : { ...file, path }];
}
