/**
 * Which choices a run was sent under, kept in its tags: the last one where a person finds it, and each under its id, which
 * the marks of the files name.
 */
import type { Batch } from "../../sync/backend.ts";
import { isChoiceId } from "../../sync/source/fingerprint.ts";
import { inAsciiJson } from "./marks.ts";

/** The last choice. */
const CHOICE_TAG = "tracelet.choice";
const PREFIX = `${CHOICE_TAG}.`;
/** The longest tag that every MLflow stores. Characters. */
const MAX_VALUE = 5000;

/** Whether a run tag tells of a choice. */
export function isChoiceTag(tag: string): boolean {
  return tag === CHOICE_TAG || tag.startsWith(PREFIX);
}

/** A choice that is too long for a tag is known by its id alone: what another machine cannot tell is sent again. */
export function tagsOfChoice(choice: Batch["choice"]): (readonly [string, string])[] {
  if (choice === undefined) return [];
  const value = inAsciiJson(choice.text);
  const tags = [CHOICE_TAG, PREFIX + choice.id] as const;
  return value.length > MAX_VALUE ? [] : tags.map((tag) => [tag, value] as const);
}

/** The choices among a run's tags. Whoever may write to the experiment may have written them. */
export function choicesOfTags(tags: ReadonlyMap<string, string>): {
  readonly choice: string | undefined;
  readonly choices: ReadonlyMap<string, string>;
} {
  const choices = new Map<string, string>();
  for (const [tag, value] of tags) {
    const id = tag.startsWith(PREFIX) ? tag.slice(PREFIX.length) : undefined;
    if (isChoiceId(id) && value.length <= MAX_VALUE) choices.set(id, plain(value));
  }
  const last = tags.get(CHOICE_TAG);
  return { choice: last && plain(last), choices };
}

/** The text before its characters were escaped for the database. */
function plain(value: string): string {
  try {
    return JSON.stringify(JSON.parse(value));
  } catch {
    return value;
  }
}
