/**
 * A run's name → the path that its files have below the output directory. Whatever the name holds, the path stays inside
 * of it, and is one on every disk.
 *
 * Names that become one path (`a:b` and `a_b`; `Run` and `run` on a disk that folds case) are told apart by a number behind
 * it: whose file it is, the file itself says.
 */

import { trimmed, unreserved, within } from "../../encode/safe-names.ts";

/** Of a part, in bytes: with a number and an ending behind it, it still is a name on every disk. */
const MAX_PART = 200;
/** Of all parts together, in bytes: Linux takes 4095, macOS 1023. */
const MAX_PATH = 700;

/** What a disk, a shell's glob on Windows or a terminal gives a meaning to. */
const UNSAFE = /[\\:?*"<>|\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;
const EDGES = /^[. ]+|[. ]+$/g;
/** A directory of this name would be in the way of a run's file. */
const OWN_ENDING = /\.(?=(?:jsonl|csv|json|parquet)$)/gi;

/** @returns a relative path, its parts separated by `/` */
export function pathOfRun(name: string): string {
  const parts = name.split("/").map(safePart);
  const path = within(
    parts.filter((part) => part !== ""),
    MAX_PATH,
    OWN_ENDING,
  );
  return path.length === 0 ? "run" : path.join("/");
}

function safePart(part: string): string {
  const safe = part.replace(UNSAFE, "_").replace(EDGES, "_").replace(OWN_ENDING, "_");
  return unreserved(trimmed(safe, MAX_PART, OWN_ENDING));
}
