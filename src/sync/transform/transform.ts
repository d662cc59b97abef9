/** Which values are passed on: the user's choice, applied between reader and destination. */
import type { Datum, Kind } from "../../reader/datum.ts";
import { TRACELET_PLUGIN } from "../../reader/plugins/tracelet.ts";
import type { RecordBatch, SessionStart } from "../../reader/record-batch.ts";
import { type Obsolete, type RestartPolicy, seriesOf } from "../../reader/restarts.ts";
import type { SkipReason } from "../report/skip-reason.ts";
import type { Tally } from "../report/tally.ts";
import { type DeriveOptions, derive } from "./derived-metrics.ts";
import { globFilter } from "./globs.ts";
import type { FileMetrics } from "./metrics/derivation.ts";
import { shownTag } from "./metrics/made-tag.ts";
import type { MetricRules } from "./metrics/rules.ts";
import type { PatternUse } from "./pattern-use.ts";
import type { SeriesCounts } from "./series-counts.ts";

export interface TransformOptions {
  /** Kinds that are skipped. */
  readonly excludeKinds?: ReadonlySet<Kind>;
  /** Globs over tags; `*` crosses `/`. Empty: all. */
  readonly includeTags: readonly string[];
  readonly excludeTags: readonly string[];
  /** What becomes of scalars that are not a number. */
  readonly nan: "keep" | "skip";
  /** Of each series of media, in each event file: the first step, then each so many'th. */
  readonly every?: number | undefined;
  /** How many steps of each series of media are kept in each event file: the first of those that `every` keeps. */
  readonly maxSteps?: number | undefined;
  /** Which scalars are computed from what is passed on; none by default. */
  readonly derive?: DeriveOptions;
  /** Which scalars are computed from scalars, and what they are called. */
  readonly metrics?: MetricRules | undefined;
  /** Told the tags that are read, and the metrics. */
  readonly use?: PatternUse | undefined;
}

/** Kinds whose values take a file each, or a place in one; the others are few or small. */
const MEDIA: ReadonlySet<Kind> = new Set<Kind>([
  "images",
  "audio",
  "text",
  "histograms",
  "pr_curves",
  "mesh",
  "tensors",
]);

/** Where a batch's newest values came from. */
export interface Origin {
  /** Index of the file in its run. */
  readonly file: number;
  /** The first scalar and the first datum that came from it. */
  readonly firstScalar: number;
  readonly firstDatum: number;
  /** The file's, as far as those values; they are counted on. */
  readonly counts: SeriesCounts;
  /** The file's, as far as those values; left out: no scalars are computed from scalars. */
  readonly metrics?: FileMetrics | undefined;
  /** What restarts replace of it, where it was sent before and is read once more. */
  readonly replaced?: Obsolete;
}

/** Removes from a batch what is not to be sent, and counts it. One for each run. */
export class Transform {
  readonly #options: TransformOptions;
  readonly #restarts: RestartPolicy;
  readonly #obsolete: Obsolete;
  readonly #wanted: (tag: string) => boolean;
  readonly #trace: ((line: string) => void) | undefined;
  /** How many of the table's tags were told. */
  #toldTags = 0;
  /** Whether each tag is wanted, by its number. */
  readonly #wantedIds: boolean[] = [];
  /** The first value that was skipped for holding nothing. */
  firstEmpty: Datum | undefined;

  /** @param trace told what is skipped */
  constructor(options: TransformOptions, restarts: RestartPolicy, obsolete: Obsolete, trace?: (line: string) => void) {
    this.#options = options;
    this.#restarts = restarts;
    this.#trace = trace;
    this.#obsolete = obsolete;
    this.#wanted = globFilter(options.includeTags, options.excludeTags);
  }

  apply(batch: RecordBatch, { file, firstScalar, firstDatum, counts, metrics, replaced }: Origin, tally: Tally): void {
    tally.read("scalars", batch.length - firstScalar);
    for (let i = firstDatum; i < batch.data.length; i++) tally.read((batch.data[i] as Datum).kind, 1);
    const starts = batch.sessionStarts.splice(0);
    const surplus = this.#surplus(batch, firstDatum, counts, starts);
    const obsolete = this.#obsolete;
    const isPast = obsolete.some ? obsoleteScalars(obsolete, batch, file, firstScalar) : undefined;
    if (metrics !== undefined) {
      const skipsNan = this.#options.nan === "skip";
      const isReplaced = replaced?.some === true ? obsoleteScalars(replaced, batch, file, firstScalar) : isPast;
      tally.derived("scalars", metrics.add({ batch, firstScalar, starts, skipsNan, isObsolete: isPast, isReplaced }));
    }
    this.#tellUse(batch, firstDatum);
    if (isPast !== undefined) {
      // A graph is no series of steps: a restart draws no new one, and TensorBoard keeps it too. Nor are tracelet's records.
      const isObsolete = (datum: Datum) =>
        datum.kind !== "graphs" &&
        datum.metadata.plugin !== TRACELET_PLUGIN &&
        obsolete.has(file, datum.offset, seriesOf(datum), datum.step);
      this.#filterScalars(batch, firstScalar, (i) => !isPast(i), "obsolete", tally);
      this.#filterData(batch, firstDatum, (datum) => (isObsolete(datum) ? "obsolete" : undefined), tally);
    }
    this.#filterData(batch, firstDatum, (datum) => this.#emptiness(datum), tally);
    const { includeTags, excludeTags, excludeKinds, nan } = this.#options;
    if (excludeKinds !== undefined && excludeKinds.size > 0) {
      if (excludeKinds.has("scalars")) this.#filterScalars(batch, firstScalar, () => false, "excluded", tally);
      const reason = ({ kind }: Datum) => (excludeKinds.has(kind) ? "excluded" : undefined);
      this.#filterData(batch, firstDatum, reason, tally);
    }
    if (includeTags.length > 0 || excludeTags.length > 0) {
      this.#filterScalars(batch, firstScalar, (i) => this.#wantsId(batch, batch.tag[i] as number), "excluded", tally);
      this.#filterData(batch, firstDatum, ({ tag }) => (this.#wanted(tag) ? undefined : "excluded"), tally);
    }
    const { derive: derived } = this.#options;
    if (derived !== undefined) tally.derived("scalars", derive(batch, firstDatum, derived));
    if (nan === "skip") {
      this.#filterScalars(batch, firstScalar, (i) => !Number.isNaN(batch.value[i]), "nan", tally);
    }
    if (surplus.size > 0) this.#filterData(batch, firstDatum, (datum) => surplus.get(datum), tally);
    metrics?.rewrite(batch, firstScalar, firstDatum, tally);
  }

  #tellUse(batch: RecordBatch, firstDatum: number): void {
    const { use } = this.#options;
    if (use === undefined) return;
    for (; this.#toldTags < batch.tags.length; this.#toldTags++)
      use.tag(shownTag(batch.tags[this.#toldTags] as string));
    for (let i = firstDatum; i < batch.data.length; i++) use.tag((batch.data[i] as Datum).tag);
  }

  #emptiness(datum: Datum): SkipReason | undefined {
    if (datum.kind !== "unreadable" || !datum.isEmpty) return undefined;
    this.firstEmpty ??= datum;
    return "empty";
  }

  /**
   * The media that `every` and `maxSteps` skip. Decided by what stands before a value alone: what comes behind it may not be
   * written yet, and whoever reads the file later has to come to the same.
   */
  #surplus(
    batch: RecordBatch,
    firstDatum: number,
    counts: SeriesCounts,
    sessionStarts: readonly SessionStart[],
  ): ReadonlyMap<Datum, SkipReason> {
    const surplus = new Map<Datum, SkipReason>();
    const { every, maxSteps = Infinity } = this.#options;
    if (every === undefined && maxSteps === Infinity) return surplus;
    const starts = this.#restarts === "explicit" ? [...sessionStarts] : [];
    const restartBefore = (offset: number) => {
      while (starts.length > 0 && (starts[0] as SessionStart).offset < offset) {
        starts.shift();
        counts.restart();
      }
    };
    for (let i = firstDatum; i < batch.data.length; i++) {
      const datum = batch.data[i] as Datum;
      restartBefore(datum.offset);
      if (!MEDIA.has(datum.kind)) continue;
      const number = counts.number(datum, this.#restarts === "any");
      if (number % (every ?? 1) !== 0) surplus.set(datum, "every");
      else if (number / (every ?? 1) >= maxSteps) surplus.set(datum, "max-steps");
    }
    restartBefore(Infinity);
    return surplus;
  }

  #wantsId(batch: RecordBatch, id: number): boolean {
    return (this.#wantedIds[id] ??= this.#wanted(shownTag(batch.tags[id] as string)));
  }

  #filterScalars(
    batch: RecordBatch,
    from: number,
    keep: (i: number) => boolean,
    reason: SkipReason,
    tally: Tally,
  ): void {
    const before = batch.length;
    const trace = this.#trace;
    batch.filterScalars(from, (i) => {
      const kept = keep(i);
      if (!kept && trace !== undefined) trace(`${describeScalar(batch, i)}: skipped (${reason})`);
      return kept;
    });
    tally.skipped("scalars", reason, before - batch.length);
  }

  /** @param reasonOf why a datum is skipped; undefined if it is kept */
  #filterData(
    batch: RecordBatch,
    from: number,
    reasonOf: (datum: Datum) => SkipReason | undefined,
    tally: Tally,
  ): void {
    const kept = batch.data.slice(from).filter((datum) => {
      const reason = reasonOf(datum);
      if (reason === undefined) return true;
      tally.skipped(datum.kind, reason, 1);
      this.#trace?.(`${describeDatum(datum)}: skipped (${reason})`);
      return false;
    });
    batch.data.splice(from, batch.data.length - from, ...kept);
  }
}

/** One scalar of a batch, for a log line. */
export function describeScalar(batch: RecordBatch, i: number): string {
  return `@${batch.offset[i]} scalars ${shownTag(batch.tags[batch.tag[i] as number] as string)} step ${batch.step[i]}`;
}

/** One datum, for a log line. */
export function describeDatum({ kind, tag, step, offset }: Datum): string {
  return `@${offset} ${kind} ${tag} step ${step}`;
}

/** Which of the newest scalars are obsolete. Each is asked for once. */
function obsoleteScalars(
  obsolete: Obsolete,
  { offset, tags, tag, step, length }: RecordBatch,
  file: number,
  firstScalar: number,
): (i: number) => boolean {
  const are = new Uint8Array(length - firstScalar);
  for (let i = firstScalar; i < length; i++) {
    const name = tags[tag[i] as number] as string;
    if (obsolete.has(file, offset[i] as number, name, step[i] as bigint)) are[i - firstScalar] = 1;
  }
  return (i) => are[i - firstScalar] === 1;
}
