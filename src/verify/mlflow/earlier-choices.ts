/**
 * Under which other choices a run was sent before: what those let in stays at the destination, and is no difference.
 *
 * Only what the run's marks say counts: each names the choice of the last sync, and for earlier ones how far they were sent.
 */

import { choicesOfTags } from "../../backends/mlflow/choices.ts";
import { marksOfTags } from "../../backends/mlflow/marks.ts";
import { type Choice, choiceId, choiceOf, DEFAULT_CHOICE, isHarmless } from "../../sync/transform/choice.ts";

/**
 * @param tags of the run; somebody else may have written them
 * @param now id of the choice that is verified; files that were last sent under another one are held against it alone
 * @returns by their ids; without those whose text is not there
 */
export function earlierChoices(tags: ReadonlyMap<string, string>, now: string): ReadonlyMap<string, Choice> {
  const ids = new Set<string>();
  for (const { choice, until = {} } of marksOfTags(tags)) {
    if (choice === now) for (const id of Object.keys(until)) ids.add(id);
  }
  const texts = new Map([...choicesOfTags(tags).choices, [choiceId(DEFAULT_CHOICE), DEFAULT_CHOICE]]);
  const choices = new Map<string, Choice>();
  for (const id of ids) {
    const text = texts.get(id);
    const choice = text !== undefined && choiceId(text) === id && isHarmless(text) ? choiceOf(text) : undefined;
    if (id !== now && choice !== undefined) choices.set(id, choice);
  }
  return choices;
}

/** Those of several runs. */
export function choicesOf(runs: Iterable<{ readonly earlier: ReadonlyMap<string, Choice> }>): Map<string, Choice> {
  return new Map(Array.from(runs).flatMap(({ earlier }) => [...earlier]));
}
