/** Keys of a configuration file → options: in camel, kebab or snake case, by a flag's name, or by the Python library's. */
import type { OptionTable } from "../../sync/option.ts";
import { flagName } from "../environment.ts";
import { SEED_NAMES, WITHOUT_MEANING } from "./seed-names.ts";

export interface KeyMeaning {
  /** Of the table; undefined for one that means nothing here. */
  readonly option: string | undefined;
  /** Whether it says the opposite: `noImages: true` is `images: false`. */
  readonly isNegated: boolean;
}

/** @returns each way to write each option of the table */
export function keysOf(table: OptionTable): ReadonlyMap<string, KeyMeaning> {
  const keys = new Map<string, KeyMeaning>();
  const add = (camel: string, meaning: KeyMeaning) => {
    for (const spelling of spellings(camel)) if (!keys.has(spelling)) keys.set(spelling, meaning);
  };
  for (const option of Object.keys(table)) add(option, { option, isNegated: false });
  for (const [option, { form }] of Object.entries(table))
    if (form === "switch") add(`no${option.charAt(0).toUpperCase()}${option.slice(1)}`, { option, isNegated: true });
  for (const [name, option] of Object.entries(SEED_NAMES))
    add(name, { option: Object.hasOwn(table, option) ? option : undefined, isNegated: false });
  for (const name of WITHOUT_MEANING) add(name, { option: undefined, isNegated: false });
  return keys;
}

function spellings(camel: string): readonly string[] {
  const kebab = flagName(camel);
  return [camel, kebab, kebab.replaceAll("-", "_")];
}

/** The known key that is most like one that is not; undefined if none is. */
export function suggestionFor(key: string, known: Iterable<string>): string | undefined {
  const wanted = plain(key);
  let best: string | undefined;
  let least = Math.max(1, Math.floor(wanted.length / 3)) + 1;
  const style = key.includes("_") ? "_" : key.includes("-") ? "-" : "";
  // Of those that are alike, the one that is written as the unknown one is.
  for (const each of [...known].sort((a, b) => Number(b.includes(style)) - Number(a.includes(style)))) {
    const distance = edits(wanted, plain(each));
    if (distance >= least) continue;
    least = distance;
    best = each;
  }
  return best;
}

function plain(key: string): string {
  return key.replace(/[-_]/g, "").toLowerCase();
}

/** How many letters must be put in, taken out, changed, or exchanged with their neighbour. */
function edits(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const at = (k: number, l: number) => rows[k]?.[l] ?? Infinity;
      const same = a[i - 1] === b[j - 1];
      row[j] = Math.min(at(i - 1, j) + 1, (row[j - 1] ?? Infinity) + 1, at(i - 1, j - 1) + (same ? 0 : 1));
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) row[j] = Math.min(row[j] ?? Infinity, at(i - 2, j - 2) + 1);
    }
    rows.push(row);
  }
  return rows[a.length]?.[b.length] ?? Infinity;
}
