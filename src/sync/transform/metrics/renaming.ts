/** Other names for metrics, by patterns. */
import type { RenameRule } from "./rules.ts";

export class Renaming {
  readonly #rules: readonly { readonly from: readonly string[]; readonly to: readonly string[] }[];

  constructor(rules: readonly RenameRule[]) {
    this.#rules = rules.map(({ from, to }) => ({ from: from.split("*"), to: to.split("*") }));
  }

  matches(tag: string): boolean {
    return this.#rules.some(({ from }) => matchStars(tag, from) !== undefined);
  }

  /** What it is called by the first rule that matches; undefined if none does. */
  nameFor(tag: string): string | undefined {
    for (const { from, to } of this.#rules) {
      const starred = matchStars(tag, from);
      if (starred === undefined) continue;
      const name = to.map((part, i) => (i === 0 ? part : `${starred[i - 1]}${part}`)).join("");
      return name === "" || name === tag ? undefined : name;
    }
    return undefined;
  }
}

/** What each star between the parts matches, all but the last as little as possible; undefined if they do not match. */
function matchStars(tag: string, parts: readonly string[]): string[] | undefined {
  const [first, last] = [parts[0] as string, parts.at(-1) as string];
  if (parts.length === 1) return tag === first ? [] : undefined;
  if (!tag.startsWith(first) || !tag.endsWith(last)) return undefined;
  const starred: string[] = [];
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = tag.indexOf(part, at);
    if (found < 0) return undefined;
    starred.push(tag.slice(at, found));
    at = found + part.length;
  }
  const end = tag.length - last.length;
  return at <= end ? [...starred, tag.slice(at, end)] : undefined;
}
