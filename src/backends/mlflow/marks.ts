/**
 * How far a run has come, kept in the run itself: one run tag for each event file. MLflow stores a batch's metrics
 * before its tags, so that a mark may lag behind the metrics but never lead.
 */
import {
  apartOf,
  type FileMark,
  isChoiceId,
  isHeadLength,
  MAX_CHOICES,
  waypointCount,
} from "../../sync/source/fingerprint.ts";

const PREFIX = "tracelet.file.";
/** A hash, and the number of a file among those that begin alike. */
const KEY = /^[0-9a-f]{32}(\.\d{1,7})?$/;
/** Empty where the file ended before its offset. */
const TAIL = /^([0-9a-f]{32})?$/;
/** As many as any file has. */
const WAYPOINTS = /^[0-9a-f]{8}( [0-9a-f]{8}){0,63}$/;
/** The longest tag that MLflow stores. Characters. */
const MAX_VALUE = 8000;
/** A file's name has 255 bytes at most; each that is not UTF-8 is written as four characters. */
const MAX_NAME = 4 * 255;
/** More event files than any run has; each may be compared with each of the source's. */
const MAX_MARKS = 100_000;

export function tagOfMark(mark: FileMark): [key: string, value: string] {
  const { key, name, head, offset, from, tail, waypoints, base, choice, until, apart } = mark;
  const at = waypoints?.join(" ");
  return [markTag(key), asciiJson({ v: 1, name, head, offset, from, tail, waypoints: at, base, choice, until, apart })];
}

/** The run tag that a file's mark is kept in. @param key of the mark */
export function markTag(key: string): string {
  return PREFIX + key;
}

/** JSON that every database stores, whatever its character set: a mark that is refused would hold up all values. */
function asciiJson(value: unknown): string {
  return inAsciiJson(JSON.stringify(value));
}

/** The same of what is JSON already. */
export function inAsciiJson(text: string): string {
  return text.replace(/[^ -~]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** Whether a run tag is a mark, or was meant to be one. */
export function isMarkTag(tag: string): boolean {
  return tag.startsWith(PREFIX);
}

/**
 * The marks among a run's tags. Whoever may write to the experiment may have written them, so what tracelet would not have
 * written is passed over.
 */
export function marksOfTags(tags: ReadonlyMap<string, string>): FileMark[] {
  const marks: FileMark[] = [];
  for (const [tag, value] of tags) {
    if (!isMarkTag(tag)) continue;
    const key = tag.slice(PREFIX.length);
    const mark = KEY.test(key) ? parse(value) : undefined;
    if (mark !== undefined) marks.push({ key, ...mark });
    if (marks.length === MAX_MARKS) break;
  }
  return marks;
}

function parse(value: string): Omit<FileMark, "key"> | undefined {
  if (value.length > MAX_VALUE) return undefined;
  try {
    const { v, name, head, offset, from, tail, ...rest } = JSON.parse(value) as Record<string, unknown>;
    const { waypoints, base, choice, until, apart } = rest;
    if (v !== 1 || typeof name !== "string" || name.length > MAX_NAME) return undefined;
    if (typeof tail !== "string" || !TAIL.test(tail)) return undefined;
    if (!isHeadLength(head) || !isOffset(offset) || !isOffset(from) || from > offset) return undefined;
    const places = typeof waypoints === "string" && WAYPOINTS.test(waypoints) ? waypoints.split(" ") : [];
    const known = {
      name,
      head,
      offset,
      from,
      tail,
      ...(places.length > 0 && places.length === waypointCount(offset) && { waypoints: places }),
    };
    // Versions before 0.2 write none of these.
    if (!isOffset(base) || base > offset) return known;
    return { ...known, base, ...choicesOf(choice, until), ...apartOf(apart) };
  } catch {
    return undefined;
  }
}

/** Which choices a file was sent under; nothing of what tracelet would not have written. */
function choicesOf(choice: unknown, until: unknown): Pick<FileMark, "choice" | "until"> {
  const earlier = Object.entries(typeof until === "object" ? (until ?? {}) : {})
    .filter((entry): entry is [string, number] => isChoiceId(entry[0]) && isOffset(entry[1]))
    .slice(0, MAX_CHOICES);
  return {
    ...(isChoiceId(choice) && { choice }),
    ...(earlier.length > 0 && { until: Object.fromEntries(earlier) }),
  };
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
