/** What a run's files hold, and what a batch would become in them, item by item: a module a format. */
import type { Batch } from "../../sync/backend.ts";
import { pointWords } from "../point-words.ts";
import type { TakeItem } from "../series-sums.ts";

/** Takes the path of a file below the output directory, and how many bytes of a value it holds. */
export type TakeMedium = (file: string, bytes: number) => void;

export interface Contents {
  /** @param run its name */
  expected(run: string, batch: Batch, take: TakeItem, takeMedium: TakeMedium): void;
  /**
   * Read all that is there, whatever tracelet remembers of it.
   *
   * @param id of the run's files, as their backend has it
   * @returns how the run ended, where the values themselves say so; undefined: ask its state
   * @throws the system's error
   */
  stored(id: string, take: TakeItem): Promise<string | undefined>;
}

/** The scalars of a batch. */
export function takeScalars({ scalars }: Batch, take: TakeItem): void {
  const { length, tags, tag, step, wallTime, value } = scalars;
  for (let i = 0; i < length; i++) {
    const words = pointWords(step[i] as bigint, wallTime[i] as number, value[i] as number);
    take("points", tags[tag[i] as number] as string, words);
  }
}

/** What a value other than a scalar is called. */
export function nameOf(kind: string, tag: string | undefined): string {
  return tag === undefined ? kind : `${kind} ${tag}`;
}
