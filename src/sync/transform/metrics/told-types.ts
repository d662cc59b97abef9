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

  /**
   * Add the types of metrics that are new to the batch's data, in the order of the file: of what is told of a metric the last
   * counts, and what the training has logged says more.
   *
   * @returns how many
   */
  tell(batch: RecordBatch, firstScalar: number, firstDatum: number): number {
    if (batch.tagTable !== this.#table) this.#seen = [];
    this.#table = batch.tagTable;
    const before = batch.data.length;
    for (let i = firstScalar; i < batch.length; i++) {
      const id = batch.tag[i] as number;
      if (this.#seen[id] === true) continue;
      this.#seen[id] = true;
      const datum = this.#datum(batch, i, batch.tags[id] as string);
      if (datum !== undefined) insert(batch.data, datum, firstDatum);
    }
    return batch.data.length - before;
  }

  #datum({ step, wallTime, offset }: RecordBatch, i: number, metric: string): Datum | undefined {
    if (this.#told.has(metric)) return undefined;
    this.#told.add(metric);
    const made = madeName(metric);
    const name = made ?? nameInGroup(this.#member, metric);
    const told = this.#typeOf(name);
    // Of a best value, its step measures nothing.
    if (told === undefined || (made !== undefined && BEST_STEP.test(made))) return undefined;
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

/** @param from where the file's data begin, which are in its order */
function insert(data: Datum[], datum: Datum, from: number): void {
  const at = data.findIndex(({ offset }, i) => i >= from && offset > datum.offset);
  data.splice(at < 0 ? data.length : at, 0, datum);
}

const BEST_STEP = /^best\/.*\/step$/s;

const NO_METADATA: TagMetadata = {
  plugin: "",
  displayName: "",
  description: "",
  dataClass: 0,
  content: new Uint8Array(),
};
