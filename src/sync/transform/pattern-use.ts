/** Which of the user's patterns have matched anything: one that has not may be mistyped. */
import { globFilter } from "./globs.ts";
import { Renaming } from "./metrics/renaming.ts";
import type { MetricRules } from "./metrics/rules.ts";

interface Pattern {
  /** As it is named to the user. */
  readonly text: string;
  readonly matches: (name: string) => boolean;
}

export interface UserPatterns {
  readonly includeTags: readonly string[];
  readonly excludeTags: readonly string[];
  readonly metrics: MetricRules | undefined;
}

/** Of all runs that are sent, to whatever destinations. */
export class PatternUse {
  readonly #tags: Names;
  readonly #metrics: Names;

  constructor({ includeTags, excludeTags, metrics }: UserPatterns) {
    const globs = (option: string, patterns: readonly string[]) =>
      patterns.map((glob) => ({ text: `${option} ${JSON.stringify(glob)}`, matches: globFilter([glob], []) }));
    this.#tags = new Names([...globs("--include-tags", includeTags), ...globs("--exclude-tags", excludeTags)], "tag");
    this.#metrics = new Names(
      [
        ...(metrics?.derive ?? []).flatMap(({ name, operation, match }) => {
          const text = `derive ${JSON.stringify(name)}`;
          if (operation.kind !== "expr") return globs(`${text}: match`, match);
          const { tags } = operation.expression;
          return [{ text, matches: (metric: string) => tags.includes(metric) }];
        }),
        ...(metrics?.rename ?? []).map((rule) => {
          const { from, to } = rule;
          const renaming = new Renaming([rule]);
          return {
            text: `--rename ${JSON.stringify(`${from}=${to}`)}`,
            matches: (name: string) => renaming.matches(name),
          };
        }),
        ...globs("--best", metrics?.best ?? []),
        ...globs(
          "metricTypes",
          (metrics?.types ?? []).map(({ match }) => match),
        ),
      ],
      "metric",
    );
  }

  /** @param tag as it stands in an event file */
  tag(tag: string): void {
    this.#tags.saw(tag);
  }

  /** @param name of a metric in its run */
  metric(name: string): void {
    this.#metrics.saw(name);
  }

  /** What to tell the user of patterns that have matched nothing of what was read; nothing if nothing was. */
  unmatched(): string[] {
    return [...this.#tags.unmatched(), ...this.#metrics.unmatched()];
  }
}

class Names {
  #left: Pattern[];
  readonly #what: string;
  readonly #seen = new Set<string>();

  constructor(patterns: readonly Pattern[], what: string) {
    this.#left = [...patterns];
    this.#what = what;
  }

  saw(name: string): void {
    if (this.#left.length === 0 || this.#seen.has(name)) return;
    this.#seen.add(name);
    this.#left = this.#left.filter(({ matches }) => !matches(name));
  }

  unmatched(): string[] {
    const { size } = this.#seen;
    if (size === 0) return [];
    const read = size === 1 ? `the ${this.#what} that was read` : `any of the ${size} ${this.#what}s that were read`;
    return this.#left.map(({ text }) => `${text} does not match ${read}`);
  }
}
