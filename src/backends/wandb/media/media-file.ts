/** A file that a row's value names. */
import { createHash } from "node:crypto";
import { trimmed, unreserved, within } from "../../../encode/safe-names.ts";
import type { DatumBase } from "../../../reader/datum.ts";
import type { JsonValue } from "../json.ts";
import type { RunFile } from "../store.ts";

/** W&B's own folders, one a type of media. */
export type MediaFolder = "audio" | "html" | "images" | "object3D" | "table" | "videos";

export interface MediaFile extends RunFile {
  readonly body: Uint8Array;
  /** Hexadecimal. */
  readonly sha256: string;
}

/** Hexadecimal digits of the digest in a name, as many as W&B's client takes. */
const DIGEST_LENGTH = 20;
/** Bytes of a tag's parts, each and together: the longest path stays a path on every disk. */
const MAX_PART = 80;
const MAX_TAG = 160;

/**
 * `media/<folder>/<tag>_<step>_<digest>.<extension>`, as W&B's client names it, so that a value sent again is the same file.
 *
 * Tags that are made safe in the same way share a file only where step and content are equal, too. A directory has no dot
 * in its name and a file has one, so that no tag's directory is another one's file.
 */
export function mediaFile(
  folder: MediaFolder,
  { tag, step }: Pick<DatumBase, "tag" | "step">,
  body: Uint8Array,
  extension: string,
): MediaFile {
  const sha256 = createHash("sha256").update(body).digest("hex");
  const name = `${safeTag(tag)}_${step}_${sha256.slice(0, DIGEST_LENGTH)}.${extension}`;
  return { path: `media/${folder}/${name}`, body, sha256 };
}

/** What every value says of its file. */
export function fieldsOf({ path, sha256, body }: MediaFile): { readonly [key: string]: JsonValue } {
  return { sha256, size: body.length, path };
}

function safeTag(tag: string): string {
  const parts = tag
    .split("/")
    .map((part) => trimmed(unreserved(part.replace(/[^\p{L}\p{N}-]/gu, "_")), MAX_PART, NONE))
    .filter((part) => part !== "");
  return within(parts, MAX_TAG, NONE).join("/");
}

/** The digest in a name tells it from any other: it needs no ending of its own. */
const NONE = /(?!)/;
