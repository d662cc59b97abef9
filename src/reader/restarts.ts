/**
 * A job that crashed at step 1200 and went on from its checkpoint at 1000 has points twice. What the restart makes
 * obsolete has to be known before anything that comes ahead of it is passed on, so it is looked for first.
 *
 * Source: `purge_step` of torch.utils.tensorboard.SummaryWriter; `_Purge` in TensorBoard's event_accumulator.py;
 * `StageReservoir::offer` in tensorboard/data/server/reservoir.rs.
 */
import type { Datum } from "./datum.ts";
import { decodeEvent, type EventFileReader, sessionStartStep } from "./event-file.ts";
import { RecordBatch } from "./record-batch.ts";
import { TagTable } from "./tag-table.ts";
import type { RecordReader } from "./tfrecord.ts";

/**
 * What of a restarted run counts.
 *
 * `explicit`: a `SessionLog START` at step T makes all that the run has before it at steps >= T obsolete. `any`: of each
 * tag only strictly increasing steps stay, a later value displacing earlier ones at steps >= its own. `keep`: everything.
 */
export type RestartPolicy = "explicit" | "any" | "keep";

export const RESTART_POLICIES: readonly RestartPolicy[] = ["explicit", "any", "keep"];

/** Steps at places of a sequence; tells the least step that stands behind a place. */
class StepFloor {
  readonly #places: number[] = [];
  readonly #steps: bigint[] = [];

  /** Places must not decrease from call to call. */
  add(place: number, step: bigint): void {
    // Behind any earlier place the new step is the least if it is not above the last one, which then says nothing more.
    while (this.#steps.length > 0 && (this.#steps[this.#steps.length - 1] as bigint) >= step) {
      this.#places.pop();
      this.#steps.pop();
    }
    this.#places.push(place);
    this.#steps.push(step);
  }

  /** The least step at any place greater than `place`; undefined if there is none. */
  behind(place: number): bigint | undefined {
    let low = 0;
    let high = this.#places.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#places[middle] as number) > place) high = middle;
      else low = middle + 1;
    }
    // Steps increase along the list, so the first one behind the place is the least.
    return this.#steps[low];
  }
}

/** What restarts make obsolete in the part of a run that is about to be read. */
export interface Obsolete {
  /** False where nothing can be obsolete, so that nothing need be asked. */
  readonly some: boolean;
  /**
   * Whether the value is displaced by something behind it. Must be asked for the run's values one by one in order.
   *
   * @param file index of its file in the run's order
   * @param offset byte offset of its record
   * @param series a scalar's tag, or `seriesOf` a datum
   */
  has(file: number, offset: number, series: string, step: bigint): boolean;
}

/** Nothing is obsolete. */
export const NOTHING_OBSOLETE: Obsolete = { some: false, has: () => false };

/** A file as it is scanned for restarts. */
export interface RestartScan {
  /** Open it at the place where reading will begin. */
  open(): Promise<{ readonly reader: EventFileReader; close(): Promise<void> }>;
  /** Byte offset where reading will begin. */
  readonly start: number;
  /** Bytes. */
  readonly size: number;
  /** The least step of a `SessionLog START` before `start`, if there was one. */
  readonly restartStep: bigint | undefined;
}

/**
 * Read the files of a run, in their order, for what restarts make obsolete.
 *
 * @throws the system's error if a file cannot be read
 */
export async function findObsolete(files: readonly RestartScan[], policy: RestartPolicy): Promise<Obsolete> {
  if (policy === "keep") return NOTHING_OBSOLETE;
  return policy === "explicit" ? findSessionStarts(files) : findSteppingBack(files);
}

async function findSessionStarts(files: readonly RestartScan[]): Promise<Obsolete> {
  const floor = new StepFloor();
  const bases: number[] = [];
  let base = 0;
  let some = false;
  for (const file of files) {
    bases.push(base);
    if (file.restartStep !== undefined) {
      floor.add(base + file.start, file.restartStep);
      some = true;
    }
    await scan(file, async ({ records }) => {
      do {
        while (records.next()) {
          const step = sessionStart(records);
          if (step === undefined) continue;
          floor.add(base + records.recordOffset, step);
          some = true;
        }
      } while (await records.load());
    });
    base += file.size;
  }
  if (!some) return NOTHING_OBSOLETE;
  return {
    some,
    has(file, offset, _series, step) {
      const least = floor.behind((bases[file] as number) + offset);
      return least !== undefined && step >= least;
    },
  };
}

async function findSteppingBack(files: readonly RestartScan[]): Promise<Obsolete> {
  // A value's place is its number within its series: several may stand in one record.
  const seen = new Map<string, Series>();
  let some = false;
  const see = (name: string, step: bigint) => {
    const series = seen.get(name);
    if (series === undefined) {
      seen.set(name, { floor: new StepFloor(), count: 1, greatest: step, previous: step, back: false });
      return;
    }
    const place = series.count++;
    const wasBack = series.back;
    series.back = step <= series.greatest;
    if (series.back) {
      some = true;
      // Climbing again after a step back displaces nothing that the step back has not displaced.
      if (!wasBack || step <= series.previous) series.floor.add(place, step);
    } else {
      series.greatest = step;
    }
    series.previous = step;
  };
  const batch = new RecordBatch(4096, new TagTable());
  for (const file of files) {
    await scan(file, async (reader) => {
      for (let more = true; more; ) {
        more = await reader.read(batch);
        for (let i = 0; i < batch.length; i++)
          see(batch.tags[batch.tag[i] as number] as string, batch.step[i] as bigint);
        for (const datum of batch.data) see(seriesOf(datum), datum.step);
        batch.clear();
      }
    });
  }
  if (!some) return NOTHING_OBSOLETE;
  const asked = new Map<string, number>();
  return {
    some,
    has(_file, _offset, series, step) {
      const place = asked.get(series) ?? 0;
      asked.set(series, place + 1);
      const least = seen.get(series)?.floor.behind(place);
      return least !== undefined && step >= least;
    },
  };
}

/** Read a file, unless there is nothing of it to be read: of thousands, one grows. */
async function scan(file: RestartScan, read: (reader: EventFileReader) => Promise<void>): Promise<void> {
  if (file.start >= file.size) return;
  const { reader, close } = await file.open();
  try {
    await read(reader);
  } finally {
    await close();
  }
}

interface Series {
  readonly floor: StepFloor;
  count: number;
  greatest: bigint;
  previous: bigint;
  /** Whether the previous value stepped back. */
  back: boolean;
}

/** Name of a datum's series for `Obsolete.has`; a scalar's is its tag. */
export function seriesOf(datum: Datum): string {
  return `${datum.kind}\0${datum.tag}`;
}

/** The step of the current record if it is a `SessionLog START`. */
function sessionStart(records: RecordReader): bigint | undefined {
  if (!mayBeSessionLog(records.bytes, records.payloadStart, records.payloadEnd)) return undefined;
  const event = decodeEvent(records);
  return typeof event === "string" ? undefined : sessionStartStep(event);
}

/** False where the event's first field behind wall time and step is a summary, as it is in nearly every record. */
function mayBeSessionLog(bytes: Uint8Array, start: number, end: number): boolean {
  let at = start;
  if (bytes[at] === 0x09) at += 9;
  if (bytes[at] === 0x10) {
    at++;
    while (at < end && (bytes[at] as number) >= 0x80) at++;
    at++;
  }
  return at < end && bytes[at] !== 0x2a;
}
