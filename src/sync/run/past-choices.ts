/**
 * What each choice lets in of a run's files, told for those that some of it was sent under and for the one in force, from
 * the same records. All depends on nothing but the files and the choices, so that whoever asks comes to the same.
 */
import type { Datum, Kind } from "../../reader/datum.ts";
import type { RecordBatch } from "../../reader/record-batch.ts";
import type { Obsolete } from "../../reader/restarts.ts";
import { DEFAULT_MAX_RECORD_BYTES } from "../../reader/tfrecord.ts";
import type { Line } from "../backend.ts";
import { Tally } from "../report/tally.ts";
import type { Choice } from "../transform/choice.ts";
import { leftOf } from "../transform/limits.ts";
import type { FileMetrics } from "../transform/metrics/derivation.ts";
import { SeriesCounts } from "../transform/series-counts.ts";
import { Transform } from "../transform/transform.ts";

/** What is found out about a few records of a file. */
export interface Sifted {
  /** What the choice in force lets in and none of the earlier ones did. */
  readonly fresh: RecordBatch;
  /** The histograms and curves that any of them lets in. */
  readonly lines: readonly Line[];
  /** How many values only earlier choices let in. */
  readonly stale: number;
}

/** How large records may be, bytes. */
export interface RecordSizes {
  readonly maxRecordBytes: number;
  /** From here on their sizes are told with what is in them. */
  readonly tellsLarger: number;
}

/** Kinds whose files are named after tag and step, or after the tag alone, so that a later value takes its place. */
const BY_TAG: ReadonlySet<Kind> = new Set<Kind>(["graphs", "custom_scalars", "run_tags", "artifacts"]);

/** Reads files of a run, in their order, from where its `Obsolete`s begin. */
export class Sieve {
  readonly #now: Passing;
  /** By their ids; undefined for one that nobody remembers. */
  readonly #past: ReadonlyMap<string, Passing | undefined>;
  #file = 0;
  #until: ReadonlyMap<string, number> = new Map();
  /** Names of values that take the place of others there, of the members' files so far. */
  readonly #placed = new Set<string>();
  #member = "";

  /**
   * @param obsoleteOf what restarts make obsolete under a choice; of each its own, not asked before
   * @param metricsOf what is computed of the files' scalars under a choice, by the files' indices; of each its own
   */
  constructor(
    now: Choice,
    past: ReadonlyMap<string, Choice | undefined>,
    obsoleteOf: (choice: Choice) => Obsolete,
    metricsOf: (choice: Choice) => MetricsOf = () => () => undefined,
  ) {
    const passing = (choice: Choice) => new Passing(choice, obsoleteOf(choice), metricsOf(choice));
    this.#now = passing(now);
    this.#past = new Map(Array.from(past, ([id, choice]) => [id, choice && passing(choice)] as const));
  }

  /**
   * Go on with another file.
   *
   * @param index of the file in its run
   * @param member path of the member that it is of
   * @param until by the choices' ids: what each lets in before this offset has been sent; without one, nothing has
   */
  begin(index: number, member: string, until: ReadonlyMap<string, number>): void {
    this.#file = index;
    this.#member = member;
    this.#until = until;
    for (const passing of [this.#now, ...this.#past.values()]) passing?.begin(index);
  }

  /** What has to be read, and told of, that each choice can be told what it lets in. */
  get sizes(): RecordSizes {
    const all = [this.#now, ...this.#past.values()].flatMap((passing) => passing?.choice.maxRecordBytes ?? []);
    // What a destination says is no reason to hold more in memory than anybody would.
    const most = Math.max(this.#now.choice.maxRecordBytes, DEFAULT_MAX_RECORD_BYTES);
    return { maxRecordBytes: Math.min(most, Math.max(...all)), tellsLarger: Math.min(...all) };
  }

  /** How many steps the file's series have had so far, under the choice in force. */
  get counts(): SeriesCounts {
    return this.#now.counts;
  }

  /** @param batch records of the file, in their order; the batch stays as it is */
  sift(batch: RecordBatch): Sifted {
    const fresh = this.#now.pass(batch, this.#file);
    const wanted = new Set(fresh.data);
    const scalars = new Set<string>();
    const had = new Map<Datum, (readonly number[])[]>();
    const lines = new Set<Datum>(wanted);
    const now = this.#now.choice;
    for (const [id, passing] of this.#past) {
      const until = this.#until.get(id) ?? 0;
      if (passing === undefined) {
        // What it let in cannot be told; a line that is not written again would be lost.
        for (const datum of batch.data) if (datum.offset < until) lines.add(datum);
        continue;
      }
      const passed = passing.pass(batch, this.#file);
      for (let i = 0; i < passed.length; i++) {
        if ((passed.offset[i] as number) < until) scalars.add(nameOfScalar(passed, i));
      }
      // Which values had files that were too large is not known: those that have any are sent again.
      const mayLack = now.maxFileBytes > passing.choice.maxFileBytes;
      for (const datum of passed.data) {
        if (datum.offset >= until) continue;
        lines.add(datum);
        if (mayLack) continue;
        const left = leftOf(datum, passing.choice.limits);
        const before = had.get(datum);
        if (before === undefined) had.set(datum, [left]);
        else before.push(left);
      }
    }
    const seen = new Set<string>();
    fresh.filterScalars(0, (i) => {
      const name = nameOfScalar(fresh, i);
      seen.add(name);
      return !scalars.has(name);
    });
    const stale =
      [...scalars].filter((name) => !seen.has(name)).length +
      // What is told of metrics is told anew.
      [...had.keys()].filter((datum) => datum.kind !== "metric_info" && !wanted.has(datum)).length;
    const kept = fresh.data.filter((datum) => this.#isFresh(datum, had.get(datum)));
    fresh.data.splice(0, fresh.data.length, ...kept);
    return { fresh, lines: batch.data.filter((datum): datum is Line => isLine(datum) && lines.has(datum)), stale };
  }

  #isFresh(datum: Datum, before: readonly (readonly number[])[] | undefined): boolean {
    const left = leftOf(datum, this.#now.choice.limits);
    const hasMore =
      before === undefined || left.some((bytes, i) => before.every((each) => bytes > (each[i] as number)));
    // An earlier value that is sent late takes the place of a later one, which has to be sent once more.
    const name = `${this.#member}\0${datum.kind}\0${datum.tag}\0${BY_TAG.has(datum.kind) ? "" : datum.step}`;
    if (hasMore) this.#placed.add(name);
    return hasMore || (!isLine(datum) && this.#placed.has(name));
  }
}

export function isLine(datum: Datum): datum is Line {
  return datum.kind === "histograms" || datum.kind === "pr_curves";
}

/** What is computed of the scalars of the file with this index. */
export type MetricsOf = (index: number) => FileMetrics | undefined;

/** One choice, and what it has counted so far. */
class Passing {
  readonly choice: Choice;
  readonly #transform: Transform;
  readonly #metricsOf: MetricsOf;
  #metrics: FileMetrics | undefined;
  counts = new SeriesCounts();

  constructor(choice: Choice, obsolete: Obsolete, metricsOf: MetricsOf) {
    this.choice = choice;
    this.#metricsOf = metricsOf;
    this.#transform = new Transform(choice.transform, choice.restarts, obsolete);
  }

  /** Each file is counted from its start. */
  begin(index: number): void {
    this.counts = new SeriesCounts();
    this.#metrics = this.#metricsOf(index);
  }

  pass(batch: RecordBatch, file: number): RecordBatch {
    const copy = batch.copy();
    if (batch.large.size > 0) {
      const isRead = (offset: number) => (batch.large.get(offset) ?? 0) <= this.choice.maxRecordBytes;
      copy.filterScalars(0, (i) => isRead(copy.offset[i] as number));
      copy.data.splice(0, copy.data.length, ...copy.data.filter(({ offset }) => isRead(offset)));
    }
    const origin = { file, firstScalar: 0, firstDatum: 0, counts: this.counts, metrics: this.#metrics };
    this.#transform.apply(copy, origin, new Tally());
    return copy;
  }
}

/** Two with the same name are the same point. */
function nameOfScalar({ tag, offset, stepWords, value }: RecordBatch, i: number): string {
  return `${tag[i]} ${offset[i]} ${stepWords[2 * i]} ${stepWords[2 * i + 1]} ${value[i]}`;
}
