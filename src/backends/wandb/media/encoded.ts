/** What a value becomes: files, and values of rows that name them. */
import type { Note } from "../../../sync/report/note.ts";
import type { JsonValue } from "../json.ts";
import type { MediaFile } from "./media-file.ts";

export interface Encoded {
  readonly files: readonly MediaFile[];
  /** JSON texts, each for a row of its own. */
  readonly values: readonly string[];
  /** How W&B's page draws the values of the key. */
  readonly chart?: JsonValue;
  /** What of the value is shown otherwise than the source has it. */
  readonly note?: Note;
}

/** Why W&B has no place for a value. */
export interface Unstorable {
  readonly refused: string;
}

/** Items of a list in one value: W&B's client cuts longer lists of images, since the page cannot show more. */
export const MAX_ITEMS = 108;

/** Lists that are short enough; what follows in a list goes on in the next row. */
export function inLists<T>(items: readonly T[]): T[][] {
  const lists: T[][] = [];
  for (let first = 0; first < items.length; first += MAX_ITEMS) lists.push(items.slice(first, first + MAX_ITEMS));
  return lists;
}
