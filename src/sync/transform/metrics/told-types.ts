/** What each metric of a file measures, told once with its first value. */
import type { Datum, TagMetadata } from "../../../reader/datum.ts";
import type { RecordBatch } from "../../../reader/record-batch.ts";
import { nameInGroup } from "../../source/group-names.ts";
import type { MetricType, TypeRule } from "../../source/metric-types.ts";
import { madeName } from "./made-tag.ts";
import type { RunMember } from "./rules.ts";
import { typesBy } from "./types-by-rules.ts";

export class ToldTypes {
  readonly #typeOf: (name: string) => MetricType | undefined;
  readonly #member: RunMember;
  readonly #told = new Set<string>();
  /** By tag numbers of this table. */
  #seen: boolean[] = [];
  #table: RecordBatch["tagTable"] | undefined;

  constructor(rules: readonly TypeRule[], member: RunMember) {
    this.#typeOf = typesBy(rules);
    this.#member = member;
  }

  /** Add the types of metrics that are new to the batch's data. @returns how many */
  tell(batch: RecordBatch, firstScalar: number): number {
    if (batch.tagTable !== this.#table) this.#seen = [];
    this.#table = batch.tagTable;
    const before = batch.data.length;
    for (let i = firstScalar; i < batch.length; i++) {
      const id = batch.tag[i] as number;
      if (this.#seen[id] === true) continue;
      this.#seen[id] = true;
      const datum = this.#datum(batch, i, batch.tags[id] as string);
      if (datum !== undefined) batch.data.push(datum);
    }
    return batch.data.length - before;
  }

  #datum({ step, wallTime, offset }: RecordBatch, i: number, metric: string): Datum | undefined {
    if (this.#told.has(metric)) return undefined;
    this.#told.add(metric);
    const name = madeName(metric) ?? nameInGroup(this.#member, metric);
    const told = this.#typeOf(name);
    if (told === undefined) return undefined;
    return {
      kind: "metric_info",
      tag: `tracelet/metric/${name}`,
      step: step[i] as bigint,
      wallTime: wallTime[i] as number,
      offset: offset[i] as number,
      metadata: NO_METADATA,
      metric,
      ...told,
      info: {},
    };
  }
}

const NO_METADATA: TagMetadata = {
  plugin: "",
  displayName: "",
  description: "",
  dataClass: 0,
  content: new Uint8Array(),
};
