/** What of a run's files counts, as its state file tells it. */
import { isOffset } from "../../run-state.ts";
import { jsonOfParts, type Part, partsOfJson } from "./part-files.ts";

export const TABLES = ["scalars", "histograms"] as const;
export type Table = (typeof TABLES)[number];
export type OfTables<T> = Readonly<Record<Table, T>>;

/** Parts that are being made one. */
interface Merge {
  readonly table: Table;
  readonly parts: readonly Part[];
  readonly by: Part;
}

export interface Content {
  readonly parts: OfTables<readonly Part[]>;
  /** Number of the first part of each table that has the run's name of now. */
  readonly since: OfTables<number>;
  /** Of the lines, bytes. */
  readonly length: number;
  readonly merge: Merge | undefined;
}

export const EMPTY: Content = {
  parts: { scalars: [], histograms: [] },
  since: { scalars: 0, histograms: 0 },
  length: 0,
  merge: undefined,
};

export function jsonOfContent({ parts, since, length, merge }: Content): Readonly<Record<string, unknown>> {
  return {
    length,
    parts: { scalars: jsonOfParts(parts.scalars), histograms: jsonOfParts(parts.histograms) },
    since,
    ...(merge !== undefined && {
      merge: { table: merge.table, parts: jsonOfParts(merge.parts), by: jsonOfParts([merge.by]) },
    }),
  };
}

/** Anybody may have changed it. */
export function contentOf(fields: Readonly<Record<string, unknown>>): Content {
  const of = (json: unknown) => (typeof json === "object" && json !== null ? (json as Record<string, unknown>) : {});
  const { length } = fields;
  const [parts, since, merge] = [of(fields["parts"]), of(fields["since"]), of(fields["merge"])];
  const number = (json: unknown) => (isOffset(json) ? json : 0);
  const table = TABLES.find((each) => each === merge["table"]);
  const [by] = partsOfJson(merge["by"]);
  return {
    parts: { scalars: partsOfJson(parts["scalars"]), histograms: partsOfJson(parts["histograms"]) },
    since: { scalars: number(since["scalars"]), histograms: number(since["histograms"]) },
    length: number(length),
    merge: table && by && { table, parts: partsOfJson(merge["parts"]), by },
  };
}
