/** The metrics of a member under the names that the user's patterns give them. */
import type { Datum } from "../../../reader/datum.ts";
import type { RecordBatch } from "../../../reader/record-batch.ts";
import { hashText } from "../../source/fingerprint.ts";
import { nameInGroup } from "../../source/group-names.ts";
import { madeName, madeTag } from "./made-tag.ts";
import { Renaming } from "./renaming.ts";
import type { MetricRules, RunMember } from "./rules.ts";

export class NewNames {
  readonly #renaming: Renaming;
  readonly #member: RunMember;
  readonly #onMetric: MetricRules["onMetric"];
  /** By tag numbers of this table. */
  #ids: (number | undefined)[] = [];
  #table: RecordBatch["tagTable"] | undefined;

  constructor({ rename, onMetric }: Pick<MetricRules, "rename" | "onMetric">, member: RunMember) {
    this.#renaming = new Renaming(rename);
    this.#onMetric = onMetric;
    this.#member = member;
  }

  apply(batch: RecordBatch, firstScalar: number, firstDatum: number): void {
    if (batch.tagTable !== this.#table) this.#ids = [];
    this.#table = batch.tagTable;
    for (let i = firstScalar; i < batch.length; i++) {
      const id = batch.tag[i] as number;
      batch.tag[i] = this.#ids[id] ??= batch.tagTable.ofName(this.#newTag(batch.tags[id] as string));
    }
    for (let i = firstDatum; i < batch.data.length; i++) {
      const datum = batch.data[i] as Datum;
      if (datum.kind === "metric_info") batch.data[i] = { ...datum, metric: this.#newTag(datum.metric) };
    }
  }

  #newTag(tag: string): string {
    const before = madeName(tag) ?? nameInGroup(this.#member, tag);
    this.#onMetric?.(before);
    const name = this.#renaming.nameFor(before);
    if (name === undefined) return tag;
    const made = hashText(`rename\0${this.#member.path}\0${tag}`).slice(0, 8);
    return madeTag(made, name);
  }
}
