/** The metrics of a member under the names that the user's patterns give them. */
import type { RecordBatch } from "../../../reader/record-batch.ts";
import { hashText } from "../../source/fingerprint.ts";
import { nameInGroup } from "../../source/group-names.ts";
import { madeName, madeTag } from "./made-tag.ts";
import { Renaming } from "./renaming.ts";
import type { RenameRule, RunMember } from "./rules.ts";

export class NewNames {
  readonly #renaming: Renaming;
  readonly #member: RunMember;
  /** By tag numbers of this table. */
  #ids: (number | undefined)[] = [];
  #table: RecordBatch["tagTable"] | undefined;

  constructor(rules: readonly RenameRule[], member: RunMember) {
    this.#renaming = new Renaming(rules);
    this.#member = member;
  }

  apply(batch: RecordBatch, firstScalar: number): void {
    if (batch.tagTable !== this.#table) this.#ids = [];
    this.#table = batch.tagTable;
    for (let i = firstScalar; i < batch.length; i++) {
      const id = batch.tag[i] as number;
      batch.tag[i] = this.#ids[id] ??= this.#newId(batch, id);
    }
  }

  #newId({ tags, tagTable }: RecordBatch, id: number): number {
    const tag = tags[id] as string;
    const name = this.#renaming.nameFor(madeName(tag) ?? nameInGroup(this.#member, tag));
    if (name === undefined) return id;
    const made = hashText(`rename\0${this.#member.path}\0${tag}`).slice(0, 8);
    return tagTable.ofName(madeTag(made, name));
  }
}
