/** Values → the bytes of one record of an event file: an `Event`, framed as a TFRecord. */
import Long from "long";
import { TraceletError } from "../errors.ts";
import { maskedCrc } from "../reader/masked-crc.ts";
import { tensorboard } from "../reader/proto/tensorboard.js";

/** A value of a summary, as protobuf has it. */
export type SummaryValue = tensorboard.Summary.Value.$Properties;

/** A global step: any int64. A number has to be a whole one that is exact, up to 2^53. */
export type WriteStep = number | bigint;

const MIN_STEP = -(2n ** 63n);
const MAX_STEP = 2n ** 63n - 1n;

/**
 * The values of one step as one record.
 *
 * @param wallTime seconds since the Unix epoch
 * @throws TraceletError `usage` if the step is no int64
 */
export function eventRecord(values: readonly SummaryValue[], step: WriteStep, wallTime: number): Buffer {
  return record({ wallTime, step: int64(step), summary: { value: [...values] } });
}

/** What an event file begins with. @param wallTime seconds since the Unix epoch */
export function versionRecord(wallTime: number): Buffer {
  return record({ wallTime, fileVersion: "brain.Event:2" });
}

/** @see https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details */
function record(event: tensorboard.Event.$Properties): Buffer {
  const payload = tensorboard.Event.encode(event).finish();
  const bytes = Buffer.alloc(payload.length + 16);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  view.setBigUint64(0, BigInt(payload.length), true);
  view.setUint32(8, maskedCrc(view, 0, 8), true);
  bytes.set(payload, 12);
  view.setUint32(12 + payload.length, maskedCrc(view, 12, 12 + payload.length), true);
  return bytes;
}

function int64(step: WriteStep): Long {
  const exact = typeof step === "bigint" ? step : Number.isSafeInteger(step) ? BigInt(step) : undefined;
  if (exact === undefined || exact < MIN_STEP || exact > MAX_STEP) {
    throw new TraceletError("usage", `a step is a whole number, and ${step} is none`, {
      hint: "beyond 2^53 give a bigint, up to 2^63 - 1",
    });
  }
  return Long.fromBits(Number(BigInt.asIntN(32, exact)), Number(BigInt.asIntN(32, exact >> 32n)));
}
