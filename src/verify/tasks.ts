/** What is looked at again where sums are not the same: as many items at a time as can be held. */

/** Points of a metric, or lines of a folder, whose sums are not the same. */
export interface Unsettled {
  readonly what: "points" | "lines";
  readonly name: string;
  /** How many items each side has; equal ones count as often as they are there. */
  readonly source: number;
  readonly there: number;
}

/** A series that is looked at again, or a part of one that is too long to be held whole. */
export interface Task<Check> extends Unsettled {
  readonly check: Check;
  readonly part: number;
  readonly parts: number;
  /** How many items of either side there will be, about. */
  readonly size: number;
}

/** @param held items of either side that may be held at once */
export function tasksOf<Check>(check: Check, unsettled: readonly Unsettled[], held: number): Task<Check>[] {
  return unsettled.flatMap((series) => {
    const all = Math.max(series.source, series.there);
    const parts = Math.ceil(all / held);
    return Array.from({ length: parts }, (_, part) => ({ ...series, check, part, parts, size: all / parts }));
  });
}

/** As many at a time as can be held. */
export function grouped<Check>(tasks: readonly Task<Check>[], held: number): Task<Check>[][] {
  const groups: Task<Check>[][] = [];
  let room = 0;
  for (const task of tasks) {
    if (task.size > room) {
      groups.push([]);
      room = held;
    }
    groups[groups.length - 1]?.push(task);
    room -= task.size;
  }
  return groups;
}
