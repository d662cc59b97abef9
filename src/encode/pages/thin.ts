/** Less of what is too much to draw. */

/** At most `limit` of the items, evenly spread, the first and the last always among them. */
export function thinned<T>(items: readonly T[], limit: number): readonly T[] {
  if (items.length <= limit) return items;
  if (limit < 2) return items.slice(items.length - limit);
  return Array.from({ length: limit }, (_, i) => items[Math.round((i * (items.length - 1)) / (limit - 1))] as T);
}

/** What the page says of it; empty where nothing was left out. */
export function thinnedNote(shown: number, all: number): string {
  return shown < all ? `${shown} of ${all} steps shown, evenly spread.` : "";
}

/** A number with the digits a screen can show: less to carry. Numbers JSON has no word for become null. */
export function rounded(value: number, digits = 7): number | null {
  return Number.isFinite(value) ? Number(value.toPrecision(digits)) : null;
}

/** What every page says of its steps. Steps are text, since JSON's numbers do not hold an int64. */
export interface StepColumns {
  readonly steps: readonly string[];
  /** Seconds since the Unix epoch; null where the writer gave none that is a number. */
  readonly wallTimes: readonly (number | null)[];
}

export function stepColumns(series: readonly { readonly step: bigint; readonly wallTime: number }[]): StepColumns {
  return {
    steps: series.map(({ step }) => step.toString()),
    wallTimes: series.map(({ wallTime }) => rounded(wallTime, 13)),
  };
}

/** By step, then by time. */
export function inOrder<T extends { readonly step: bigint; readonly wallTime: number }>(series: readonly T[]): T[] {
  return [...series].sort((a, b) => {
    if (a.step !== b.step) return a.step < b.step ? -1 : 1;
    return a.wallTime - b.wallTime || 0;
  });
}
