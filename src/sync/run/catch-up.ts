/**
 * What was read before, read once more under the choice in force: for what it lets in and no earlier one did, and for the
 * segments that have got more lines by it.
 */
import type { Datum, TagMetadata } from "../../reader/datum.ts";
import type { RecordBatch } from "../../reader/record-batch.ts";
import type { Obsolete } from "../../reader/restarts.ts";
import type { Line, Segment } from "../backend.ts";
import type { Member } from "../source/run-group.ts";
import type { Choice } from "../transform/choice.ts";
import { isLine, type MetricsOf, Sieve } from "./past-choices.ts";
import type { RunChoices } from "./run-choices.ts";
import { derivationOf } from "./run-metrics.ts";
import { startOf } from "./segments.ts";
import type { SourceFile } from "./source-file.ts";

/** What is needed of the run whose files they are. */
export interface PastFiles {
  readonly choices: RunChoices;
  /** In the order they are read. */
  files(): readonly SourceFile[];
  /** @param first where reading begins in each file, bytes */
  findObsolete(policy: Choice["restarts"], first: (file: SourceFile) => number): Promise<Obsolete>;
  /** What is known of a member's tags. */
  metadata(member: Member): ReadonlyMap<string, TagMetadata>;
}

/** Where what is found goes to. */
export interface CatchUpTarget {
  newBatch(): RecordBatch;
  /** @throws TraceletError; `interrupted`, too */
  send(file: SourceFile, batch: RecordBatch, segments: readonly Segment[]): Promise<void>;
  /** A file could not be read. @throws the error if it is another one */
  failed(file: SourceFile, error: unknown): void;
}

/** Send what the choice in force lets in beside what was sent. @returns how many values it would not let in */
export async function catchUp(past: PastFiles, target: CatchUpTarget): Promise<number> {
  const { choices } = past;
  const sieve = await sieveOf(
    past,
    () => 0,
    (choice) => {
      const files = past.files();
      const derivation = derivationOf(choice, files);
      return (index) => derivation?.of(files[index] as SourceFile);
    },
  );
  let stale = 0;
  for (const [index, file] of past.files().entries()) {
    const isBehind = file.choice !== choices.id;
    sieve.begin(index, file.member.path, choices.until(file));
    const rewriting = new Rewriting(file, choices.id);
    const batch = target.newBatch();
    const send = async ({ segments, fresh }: Rewritten) => {
      for (const line of fresh) batch.data.push(line);
      if (batch.empty) return;
      await target.send(file, batch, segments);
      batch.clear();
    };
    try {
      // One that lacks nothing is read, too: what restarts make obsolete is told by the run's values one after the other.
      const { records } = await file.readAgain(
        new Map(past.metadata(file.member)),
        { start: 0, end: file.start },
        async (read) => {
          const sifted = sieve.sift(read);
          if (!isBehind) return;
          stale += sifted.stale;
          const { fresh } = sifted;
          for (let i = 0; i < fresh.length; i++) batch.pushFrom(fresh, i);
          for (const datum of fresh.data) if (!isLine(datum)) batch.data.push(datum);
          const rewritten = rewriting.add(sifted.lines, new Set<Datum>(fresh.data));
          if (batch.full || batch.data.length > 0 || rewritten.segments.length > 0) await send(rewritten);
        },
        batch.tagTable,
        sieve.sizes,
      );
      await send(rewriting.end());
      if (!isBehind) continue;
      // What was counted under another choice says nothing of this one.
      file.recounted(sieve.counts);
      file.passedOver(records.losses);
      file.caughtUp(choices.id);
    } catch (error) {
      target.failed(file, error);
    }
  }
  return stale;
}

/** The lines of a stretch of a file that any choice has let in, or lets in now. @throws the system's error */
export async function linesOf(past: PastFiles, file: SourceFile, start: number, end: number): Promise<Line[]> {
  const { choices } = past;
  const all = [choices.now, ...choices.past([file]).values()];
  // Steps are counted from the file's start.
  const counts = all.some(
    (choice) => choice?.transform.every !== undefined || choice?.transform.maxSteps !== undefined,
  );
  const first = counts ? 0 : start;
  const index = past.files().indexOf(file);
  const sieve = await sieveOf(past, (each) => {
    if (each === file) return first;
    return past.files().indexOf(each) < index ? each.entry.size : 0;
  });
  sieve.begin(past.files().indexOf(file), file.member.path, choices.until(file));
  const lines: Line[] = [];
  const take = (read: RecordBatch) => {
    for (const line of sieve.sift(read).lines) if (line.offset >= start) lines.push(line);
  };
  const metadata = new Map(past.metadata(file.member));
  await file.readAgain(metadata, { start: first, end }, take, undefined, sieve.sizes);
  return lines;
}

async function sieveOf(
  past: PastFiles,
  first: (file: SourceFile) => number,
  metricsOf?: (choice: Choice) => MetricsOf,
): Promise<Sieve> {
  const { choices } = past;
  const all = choices.past(past.files());
  const obsolete = new Map<Choice, Obsolete>();
  for (const choice of [choices.now, ...all.values()]) {
    if (choice !== undefined) obsolete.set(choice, await past.findObsolete(choice.restarts, first));
  }
  return new Sieve(choices.now, all, (choice) => obsolete.get(choice) as Obsolete, metricsOf);
}

/** Segments that are to be written, and which of their lines are new. */
interface Rewritten {
  readonly segments: readonly Segment[];
  readonly fresh: readonly Line[];
}

/** Gathers the lines of a file that is read once more, and hands on the segments that have got more of them. */
class Rewriting {
  readonly #file: SourceFile;
  readonly #choice: string;
  #start = -1;
  #isOld = false;
  #lines: Line[] = [];
  #fresh: Line[] = [];

  /** @param choice id of the one that lets in more */
  constructor(file: SourceFile, choice: string) {
    this.#file = file;
    this.#choice = choice;
  }

  /** @returns what the lines, which are in the file's order, have completed */
  add(lines: readonly Line[], fresh: ReadonlySet<Datum>): Rewritten {
    const done: Rewritten[] = [];
    for (const line of lines) {
      const isOld = line.offset < this.#file.base;
      const start = isOld ? startOf({ base: 0 }, line.offset) : startOf(this.#file, line.offset);
      if (start !== this.#start || isOld !== this.#isOld) done.push(this.end());
      this.#start = start;
      this.#isOld = isOld;
      this.#lines.push(line);
      if (fresh.has(line)) this.#fresh.push(line);
    }
    return { segments: done.flatMap(({ segments }) => segments), fresh: done.flatMap((each) => each.fresh) };
  }

  /** @returns the last of them */
  end(): Rewritten {
    const [lines, fresh] = [this.#lines, this.#fresh];
    this.#lines = [];
    this.#fresh = [];
    const { key } = this.#file;
    if (fresh.length === 0 || key === undefined) return { segments: [], fresh: [] };
    const start = this.#start;
    // What earlier versions have sent lies in segments of other bounds, which stay as they are.
    const segment: Segment = this.#isOld
      ? { key, start, part: this.#choice, data: fresh }
      : { key, start, part: "", data: lines };
    return { segments: [segment], fresh };
  }
}
