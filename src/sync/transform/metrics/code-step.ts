/** Scalars through code of the user's. */
import { TraceletError } from "../../../errors.ts";
import { RecordBatch } from "../../../reader/record-batch.ts";
import type { Tally } from "../../report/tally.ts";
import { hashText } from "../../source/fingerprint.ts";
import { nameInGroup } from "../../source/group-names.ts";
import { madeName, madeTag } from "./made-tag.ts";
import type { MetricRecord, RunMember, TransformFunction } from "./rules.ts";

export class CodeStep {
  readonly #code: TransformFunction;
  readonly #member: RunMember;

  constructor(code: TransformFunction, member: RunMember) {
    this.#code = code;
    this.#member = member;
  }

  /** @throws TraceletError `usage` if the code throws, or returns what is no scalar */
  apply(batch: RecordBatch, firstScalar: number, tally: Tally): void {
    const made = new RecordBatch(batch.length, batch.tagTable);
    for (let i = firstScalar; i < batch.length; i++) {
      const before = made.length;
      this.#each(batch, i, made);
      if (made.length === before) tally.skipped("scalars", "excluded", 1);
      else tally.derived("scalars", made.length - before - 1);
    }
    batch.truncate(firstScalar, batch.data.length);
    for (let i = 0; i < made.length; i++) batch.pushFrom(made, i);
  }

  #each(batch: RecordBatch, i: number, made: RecordBatch): void {
    const id = batch.tag[i] as number;
    const source = batch.tags[id] as string;
    const tag = madeName(source) ?? nameInGroup(this.#member, source);
    const exact = batch.step[i] as bigint;
    const step = Number(exact);
    const record: MetricRecord = {
      tag,
      step: Number.isSafeInteger(step) ? step : exact,
      wallTime: batch.wallTime[i] as number,
      value: batch.value[i] as number,
    };
    const refuse = (what: string, cause?: unknown) =>
      new TraceletError("usage", `transform, given ${JSON.stringify(tag)} of step ${exact}: ${what}`, {
        cause,
        hint: "transform(record, { run }) returns a record, a list of records, or nothing to skip it; a record has tag, step, wallTime and value",
      });
    let result: ReturnType<TransformFunction>;
    try {
      result = this.#code(record, { run: this.#member.run.name });
    } catch (error) {
      throw refuse(`it threw ${error instanceof Error ? error.message : String(error)}`, error);
    }
    const results = Array.isArray(result) ? result : [result ?? []].flat();
    for (const each of results) {
      const { tag: name, step: at, wallTime, value } = { ...record, ...each };
      if (typeof name !== "string" || name === "") throw refuse(`${JSON.stringify(name)} is no tag`);
      if (typeof value !== "number" || typeof wallTime !== "number") throw refuse("value and wallTime must be numbers");
      if (typeof at !== "bigint" && !Number.isSafeInteger(at)) throw refuse("step must be a whole number");
      const wanted = BigInt(at);
      // Two metrics that are given one name stay two.
      const origin = hashText(`transform\0${this.#member.path}\0${source}`).slice(0, 8);
      const number = name === tag ? id : batch.tagTable.ofName(madeTag(origin, name));
      const words = [Number(BigInt.asIntN(32, wanted)), Number(BigInt.asIntN(32, wanted >> 32n))] as const;
      made.push(number, ...words, wallTime, value, batch.offset[i] as number);
    }
  }
}
