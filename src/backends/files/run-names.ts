/**
 * A run's name → the path that its files have below the output directory. Whatever the name holds, the path stays inside
 * of it, and is one on every disk.
 *
 * Names that become one path (`a:b` and `a_b`; `Run` and `run` on a disk that folds case) are told apart by a number behind
 * it: whose file it is, the file itself says.
 */

/** Of a part, in bytes: with a number and an ending behind it, it still is a name on every disk. */
const MAX_PART = 200;
/** Of all parts together, in bytes: Linux takes 4095, macOS 1023. */
const MAX_PATH = 700;

/** What a disk, a shell's glob on Windows or a terminal gives a meaning to. */
const UNSAFE = /[\\:?*"<>|\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}/gu;
const EDGES = /^[. ]+|[. ]+$/g;
/** Names of devices on Windows. */
const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)/i;
/** A directory of this name would be in the way of a run's file. */
const OWN_ENDING = /\.(?=(?:jsonl|csv|json|parquet)$)/gi;

/** @returns a relative path, its parts separated by `/` */
export function pathOfRun(name: string): string {
  const parts = name.split("/").map(safePart);
  const kept = parts.filter((part) => part !== "");
  const path: string[] = [];
  let room = MAX_PATH;
  for (const part of kept) {
    const cut = trimmed(part, room);
    if (cut === "") break;
    path.push(cut);
    room -= Buffer.byteLength(cut) + 1;
  }
  return path.length === 0 ? "run" : path.join("/");
}

function safePart(part: string): string {
  const safe = trimmed(part.replace(UNSAFE, "_").replace(EDGES, "_").replace(OWN_ENDING, "_"), MAX_PART);
  return RESERVED.test(safe) ? `_${safe}` : safe;
}

function trimmed(part: string, bytes: number): string {
  if (Buffer.byteLength(part) <= bytes) return part;
  let kept = "";
  let room = bytes;
  for (const character of part) {
    room -= Buffer.byteLength(character);
    if (room < 0) break;
    kept += character;
  }
  return kept.replace(/[. ]+$/, "");
}
