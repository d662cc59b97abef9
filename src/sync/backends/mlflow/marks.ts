/**
 * How far a run has come, kept in the run itself: one run tag for each event file. MLflow stores a batch's metrics
 * before its tags, so that a mark may lag behind the metrics but never lead.
 */
import type { FileMark } from "../../fingerprint.ts";

const PREFIX = "tracelet.file.";

export function tagOfMark(mark: FileMark): [key: string, value: string] {
  const { key, name, head, offset, from, tail } = mark;
  return [PREFIX + key, JSON.stringify({ v: 1, name, head, offset, from, tail })];
}

/** Whether a run tag is a mark, or was meant to be one. */
export function isMarkTag(tag: string): boolean {
  return tag.startsWith(PREFIX);
}

/** The marks among a run's tags; what is no mark of ours is passed over. */
export function marksOfTags(tags: ReadonlyMap<string, string>): FileMark[] {
  const marks: FileMark[] = [];
  for (const [tag, value] of tags) {
    if (!isMarkTag(tag)) continue;
    const mark = parse(value);
    if (mark !== undefined) marks.push({ key: tag.slice(PREFIX.length), ...mark });
  }
  return marks;
}

function parse(value: string): Omit<FileMark, "key"> | undefined {
  try {
    const { v, name, head, offset, from, tail } = JSON.parse(value) as Record<string, unknown>;
    if (v !== 1 || typeof name !== "string" || typeof tail !== "string") return undefined;
    if (!isOffset(head) || !isOffset(offset) || !isOffset(from)) return undefined;
    return { name, head, offset, from, tail };
  } catch {
    return undefined;
  }
}

function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
