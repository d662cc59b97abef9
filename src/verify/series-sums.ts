/** The values of one side of a run, series by series, of which only sums are kept. */
import type { Findings } from "./findings.ts";
import { Sum } from "./items.ts";
import type { Unsettled } from "./tasks.ts";

/** Takes an item: a scalar of a tag, or another value, of which the name tells the kind and the tag. */
export type TakeItem = (what: Unsettled["what"], name: string, words: Int32Array) => void;

export class SeriesSums {
  readonly #sums: Readonly<Record<Unsettled["what"], Map<string, Sum>>> = { points: new Map(), lines: new Map() };

  readonly add: TakeItem = (what, name, words) => {
    const sums = this.#sums[what];
    let sum = sums.get(name);
    if (sum === undefined) {
      sum = new Sum();
      sums.set(name, sum);
    }
    sum.add(words);
  };

  get isEmpty(): boolean {
    return this.#sums.points.size + this.#sums.lines.size === 0;
  }

  /** Compare what is expected with what is there. @returns the series that have to be read again to know */
  compare(there: SeriesSums, findings: Findings): Unsettled[] {
    const unsettled: Unsettled[] = [];
    for (const what of ["points", "lines"] as const) {
      const [expected, found] = [this.#sums[what], there.#sums[what]];
      for (const name of new Set([...expected.keys(), ...found.keys()])) {
        const [a, b] = [expected.get(name) ?? new Sum(), found.get(name) ?? new Sum()];
        findings.compared(what, a.count);
        if (a.equals(b)) continue;
        if (b.count === 0) findings.addWhole(what, name, "missing", a.count);
        else if (a.count === 0) findings.addWhole(what, name, "extra", b.count);
        else unsettled.push({ what, name, source: a.count, there: b.count });
      }
    }
    return unsettled;
  }

  clear(): void {
    this.#sums.points.clear();
    this.#sums.lines.clear();
  }
}
