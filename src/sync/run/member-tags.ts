/** What the tags of a group's members are called in the one run that they become. */
import type { Datum } from "../../reader/datum.ts";
import type { RecordBatch } from "../../reader/record-batch.ts";
import type { TagTable } from "../../reader/tag-table.ts";
import type { Note } from "../report/note.ts";
import { hashText } from "../source/fingerprint.ts";
import { nameInGroup } from "../source/group-names.ts";
import type { Member } from "../source/run-group.ts";
import { madeName } from "../transform/metrics/made-tag.ts";
import type { Origin } from "../transform/transform.ts";

function hashOf(tag: string): string {
  return hashText(tag).slice(0, 8);
}

/** Renames what was read of members, so that no two of them ever share a name. One for each run. */
export class MemberTags {
  /** Whose each name is. */
  readonly #claims: Map<string, string>;
  readonly #notes: Note[];
  /** By member: hashes of its tags that have other names than they would have, with a `+` of those that have neither of two. */
  readonly #apart = new Map<string, Set<string>>();
  /** By member: one more than the name's number, by tag numbers of this table. */
  readonly #ids = new Map<string, Int32Array>();
  #table: TagTable | undefined;
  /** Whether there are derived or renamed metrics among what it is given. */
  namesMade = false;

  /** @param claims whose each name is already; what is decided is added to it */
  constructor(claims: Map<string, string>, notes: Note[]) {
    this.#claims = claims;
    this.#notes = notes;
  }

  /** Give a batch's newest values, all of one member, their names. */
  apply(
    batch: RecordBatch,
    { firstScalar, firstDatum }: Pick<Origin, "firstScalar" | "firstDatum">,
    from: Member,
  ): void {
    const ids = this.#idsOf(from, batch);
    if (this.namesMade) this.#nameMade(batch, firstScalar, from, ids);
    for (let i = firstScalar; i < batch.length; i++) {
      const tag = batch.tag[i] as number;
      if (ids[tag] === 0) ids[tag] = batch.tagTable.ofName(this.nameOf(from, batch.tags[tag] as string)) + 1;
      batch.tag[i] = (ids[tag] as number) - 1;
    }
    for (let i = firstDatum; i < batch.data.length; i++) batch.data[i] = this.rename(batch.data[i] as Datum, from);
  }

  /**
   * Names go to who comes first in the file, and made metrics stand behind all others of the batch: where one of them is new,
   * the new names are given in the order of the file, so that they do not depend on where batches end.
   */
  #nameMade(batch: RecordBatch, firstScalar: number, from: Member, ids: Int32Array): void {
    const { tag, tags, offset } = batch;
    const first = new Map<number, number>();
    let anyMade = false;
    for (let i = firstScalar; i < batch.length; i++) {
      const id = tag[i] as number;
      if (ids[id] !== 0 || first.has(id)) continue;
      first.set(id, offset[i] as number);
      anyMade ||= madeName(tags[id] as string) !== undefined;
    }
    if (!anyMade) return;
    // Sorting keeps the order of the batch where offsets are equal: a file's own tag comes first.
    for (const [id] of [...first].sort(([, a], [, b]) => a - b)) this.nameOf(from, tags[id] as string);
  }

  /** The name of a member's tag: the same on every call. */
  nameOf(from: Member, tag: string): string {
    const made = madeName(tag);
    // A made tag says by itself what it is made of.
    const owner = made === undefined ? `${from.path}\0${tag}` : tag;
    const wanted = made ?? nameInGroup(from, tag);
    const own = `${wanted} ${hashText(owner).slice(0, 8)}`;
    const names = made === undefined ? [wanted, `${from.path || "."}/${tag}`, own] : [wanted, own];
    const known = made === undefined ? this.#levelOf(from, tag) : 0;
    const isFree = (name: string) => (this.#claims.get(name) ?? owner) === owner;
    const level = names.findIndex((name, i) => i >= known && (name === own || isFree(name)));
    const name = names[level] as string;
    this.#claim(name, owner, wanted);
    if (made === undefined && level > 0) this.adopt(from, [hashOf(tag) + (level > 1 ? "+" : "")]);
    return name;
  }

  /** What the marks of a member's files are to tell: see `FileMark`. */
  apart({ path }: Member): readonly string[] {
    return [...(this.#apart.get(path) ?? [])];
  }

  /** Take over what a mark of a member's file tells. */
  adopt({ path }: Member, apart: readonly string[]): void {
    const known = this.#apart.get(path);
    if (known === undefined) this.#apart.set(path, new Set(apart));
    else for (const each of apart) known.add(each);
  }

  /** How many of its names a tag is known not to have. */
  #levelOf({ path }: Member, tag: string): 0 | 1 | 2 {
    const apart = this.#apart.get(path);
    if (apart === undefined) return 0;
    const hash = hashOf(tag);
    return apart.has(`${hash}+`) ? 2 : apart.has(hash) ? 1 : 0;
  }

  #claim(name: string, owner: string, wanted: string): void {
    if (this.#claims.has(name)) return;
    this.#claims.set(name, owner);
    if (name === wanted) return;
    const whose =
      madeName(owner) === undefined ? `that of ${owner.split("\0", 1)[0] || "the run itself"}` : "the derived metric";
    const message = `${JSON.stringify(wanted)} is already used; ${whose} is stored as ${JSON.stringify(name)}`;
    this.#notes.push({ code: "renamed", message });
  }

  #idsOf({ path }: Member, batch: RecordBatch): Int32Array {
    if (batch.tagTable !== this.#table) this.#ids.clear();
    this.#table = batch.tagTable;
    const known = this.#ids.get(path);
    if (known !== undefined && known.length >= batch.tags.length) return known;
    const ids = new Int32Array(Math.max(64, batch.tags.length * 2));
    if (known !== undefined) ids.set(known);
    this.#ids.set(path, ids);
    return ids;
  }

  /** A member's value under its name. */
  rename<D extends Datum>(datum: D, from: Member): D {
    // Hyperparameters and labels are the run's, whichever member's file they stand in.
    if (datum.kind === "hparams" || datum.kind === "run_tags") return datum;
    const tag = this.nameOf(from, datum.tag);
    if (datum.kind === "metric_info") return { ...datum, tag, metric: this.nameOf(from, datum.metric) };
    if (datum.kind === "artifacts") return { ...datum, tag, path: from.prefix + datum.path };
    if (tag === datum.tag) return datum;
    if (datum.kind !== "mesh") return { ...datum, tag };
    // Its parts have tags of their own, and it has one name.
    return { ...datum, tag, mesh: this.nameOf(from, datum.mesh) };
  }
}
