/** Records → values: one event file, from any offset. */
import Long from "long";
import { BoundedReader, DecodedTooLargeError } from "./bounded-reader.ts";
import type { Datum, TagMetadata, ValueSink } from "./datum.ts";
import { tensorboard } from "./proto/tensorboard.js";
import type { RecordBatch } from "./record-batch.ts";
import { ScalarEvent } from "./scalar-event.ts";
import { SummaryDecoder } from "./summary.ts";
import type { RecordReader } from "./tfrecord.ts";

/** What an event file holds beside values; TensorBoard shows none of it. */
export interface EventCounts {
  /** Records that were intact events. */
  events: number;
  sessionLogs: number;
  logMessages: number;
}

/** Reads the values of one event file into batches. */
export class EventFileReader {
  readonly records: RecordReader;
  readonly counts: EventCounts = { events: 0, sessionLogs: 0, logMessages: 0 };
  /** Greatest finite wall time seen, in seconds since the Unix epoch; -Infinity before the first. */
  lastWallTime: number = -Infinity;
  /** Wall time of the first event, in seconds since the Unix epoch; undefined before it. */
  firstWallTime: number | undefined;
  /** The least step of a `SessionLog START` so far. */
  restartStep: bigint | undefined;
  readonly #metadata: ReadonlyMap<string, TagMetadata>;
  readonly #summaries: SummaryDecoder;
  readonly #scalar = new ScalarEvent();

  /**
   * @param metadata what earlier values of the run said of their tags; what is learnt is added to it
   */
  constructor(records: RecordReader, metadata: Map<string, TagMetadata>) {
    this.records = records;
    this.#metadata = metadata;
    this.#summaries = new SummaryDecoder(metadata);
  }

  /**
   * Read until the batch is full or the file ends. Values of one event are never split over two batches, so that
   * `records.position` is always a place to go on from.
   *
   * @returns true if the batch is full, false at the end of the file
   * @throws the source's error
   */
  async read(batch: RecordBatch): Promise<boolean> {
    const { records } = this;
    const sink = sinkOf(batch, records);
    try {
      do {
        while (!batch.full) {
          if (!records.next()) break;
          this.#decode(batch, sink);
        }
        if (batch.full) return true;
      } while (await records.load());
      return false;
    } finally {
      batch.began = this.firstWallTime;
    }
  }

  #decode(batch: RecordBatch, sink: ValueSink): void {
    const { records } = this;
    const bytes = records.payloadEnd - records.payloadStart;
    if (bytes > batch.tellsLarger) batch.large.set(records.recordOffset, bytes);
    const scalar = this.#scalar;
    if (scalar.decode(records.view, records.payloadStart, records.payloadEnd)) {
      const tag = this.#tagOfScalar(batch);
      if (tag >= 0) {
        batch.push(tag, scalar.stepLow, scalar.stepHigh, scalar.wallTime, scalar.value, records.recordOffset);
        this.#count(scalar.wallTime);
        return;
      }
    }
    const event = decodeEvent(records);
    if (typeof event === "string") {
      records.rejectPayload(event);
      return;
    }
    this.#count(event.wallTime);
    if (event.sessionLog) {
      this.counts.sessionLogs++;
      const start = sessionStartStep(event);
      if (start !== undefined) {
        batch.sessionStarts.push({ offset: records.recordOffset, step: start, wallTime: event.wallTime });
        if (this.restartStep === undefined || start < this.restartStep) this.restartStep = start;
      }
    }
    if (event.logMessage) this.counts.logMessages++;
    this.#summaries.decode(event, records.recordOffset, sink);
  }

  /** The number of the tag, in the batch, of what the fast path has decoded; -1 if it is for the other decoder. */
  #tagOfScalar({ tagTable }: RecordBatch): number {
    const { view } = this.records;
    const { form, tagStart, tagEnd } = this.#scalar;
    if (form === "v1") return tagTable.ofBytes(view, tagStart, tagEnd);
    // The first value of a tag tells what the tag is; that is for the other decoder to remember.
    const tag = tagTable.knownBytes(view, tagStart, tagEnd);
    const metadata = tag < 0 ? undefined : this.#metadata.get(tagTable.names[tag] as string);
    return metadata !== undefined && (form === "v2-scalars" || metadata.plugin === "scalars") ? tag : -1;
  }

  #count(wallTime: number): void {
    this.counts.events++;
    this.firstWallTime ??= wallTime;
    if (wallTime > this.lastWallTime && wallTime !== Infinity) this.lastWallTime = wallTime;
  }
}

/** The current record as an `Event`, or why it is none. */
export function decodeEvent(records: RecordReader): tensorboard.Event | "not-an-event" | "too-large" {
  try {
    // A copy: what is decoded keeps views of it, and the buffer is read into again.
    const reader = new BoundedReader(records.bytes.slice(records.payloadStart, records.payloadEnd));
    return tensorboard.Event.decode(reader);
  } catch (error) {
    return error instanceof DecodedTooLargeError ? "too-large" : "not-an-event";
  }
}

/** The step of a `SessionLog START`; undefined for any other event. */
export function sessionStartStep(event: tensorboard.Event): bigint | undefined {
  return event.sessionLog?.status === tensorboard.SessionLog.SessionStatus.START ? stepOf(event) : undefined;
}

/** The event's global step, exact. */
function stepOf(event: tensorboard.Event): bigint {
  const { low, high } = Long.fromValue(event.step);
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function sinkOf(batch: RecordBatch, records: RecordReader): ValueSink {
  return {
    scalar(tag, stepLow, stepHigh, wallTime, value, offset) {
      batch.push(batch.tagTable.ofName(tag), stepLow, stepHigh, wallTime, value, offset);
    },
    datum(datum) {
      batch.pushDatum(datum, Math.max(records.payloadEnd - records.payloadStart, decodedBytes(datum)));
    },
  };
}

/** Bytes of what a datum decodes to, which may be far more than its record: a tensor's value is written once for many. */
function decodedBytes(datum: Datum): number {
  if (datum.kind === "histograms") return datum.buckets.byteLength;
  if (datum.kind !== "tensors" && datum.kind !== "mesh") return 0;
  return datum.tensor !== null && datum.tensor.dtype !== "string" ? datum.tensor.data.byteLength : 0;
}
