/** The user's rules for what metrics measure. */
import { guessType, type MetricType, ofType, type TypeRule } from "../../source/metric-types.ts";
import { globFilter } from "../globs.ts";

/** The type of a metric by the user's rules, or guessed. */
export function typesBy(rules: readonly TypeRule[]): (name: string) => MetricType | undefined {
  const tests = rules.map((rule) => ({ rule, matches: globFilter([rule.match], []) }));
  return (name) => {
    const told = tests.find(({ matches }) => matches(name))?.rule;
    return told === undefined ? guessType(name) : ofType(told.type, told.goal);
  };
}
