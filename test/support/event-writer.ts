/**
 * Event files as tests write them, and a source whose content changes under the reader's hands. Nothing here uses what
 * is tested: messages are encoded by protobufjs' reflection, checksums come from crc-32 itself.
 */
import path from "node:path";
import crc32c from "crc-32/crc32c.js";
import Long from "long";
import protobuf from "protobufjs";
import type { ByteSource } from "../../src/reader/byte-source.ts";

const PROTO = path.resolve(import.meta.dirname, "../../proto");
const root = new protobuf.Root();
root.resolvePath = (_, target) => (target.startsWith("google/") ? target : path.join(PROTO, target));
root.loadSync(["tensorboard/compat/proto/event.proto", "tensorboard/plugins/hparams/plugin_data.proto"]);
const Event = root.lookupType("tensorboard.Event");
const HParamsPluginData = root.lookupType("tensorboard.hparams.HParamsPluginData");

/** A message's fields by their names in camel case. */
export interface Fields {
  readonly [field: string]: unknown;
}

export interface EventFields extends Fields {
  readonly wallTime?: number;
  readonly step?: bigint | number;
  readonly summary?: { readonly value: readonly Fields[] };
}

/** Wall time of events of which the test does not say one. */
export const WALL_TIME: number = 1_700_000_000.25;

/** An `Event`, serialized. */
export function event({ step, ...fields }: EventFields): Uint8Array {
  const message = Event.fromObject({ ...fields, ...(step !== undefined && { step: Long.fromString(String(step)) }) });
  return new Uint8Array(Event.encode(message).finish());
}

export function versionEvent(fileVersion = "brain.Event:2"): Uint8Array {
  return event({ wallTime: WALL_TIME, fileVersion });
}

export function scalarEvent(
  tag: string,
  step: bigint | number,
  value: number,
  wallTime: number = WALL_TIME,
): Uint8Array {
  return event({ wallTime, step, summary: { value: [{ tag, simpleValue: value }] } });
}

export function textEvent(tag: string, step: bigint | number, text: string): Uint8Array {
  const metadata = { pluginData: { pluginName: "text" } };
  const tensor = { dtype: "DT_STRING", tensorShape: {}, stringVal: [Buffer.from(text)] };
  return event({ wallTime: WALL_TIME, step, summary: { value: [{ tag, metadata, tensor }] } });
}

export function imageEvent(tag: string, step: bigint | number, bytes: Uint8Array): Uint8Array {
  const image = { height: 1, width: 1, colorspace: 3, encodedImageString: bytes };
  return event({ wallTime: WALL_TIME, step, summary: { value: [{ tag, image }] } });
}

/** The beginning of a session of the hparams plugin. */
export function hparamsEvent(hparams: Readonly<Record<string, number | string | boolean>>): Uint8Array {
  const fields = { number: "numberValue", string: "stringValue", boolean: "boolValue" } as const;
  const values = Object.entries(hparams).map(([name, value]) => [
    name,
    { [fields[typeof value as keyof typeof fields]]: value },
  ]);
  const data = HParamsPluginData.fromObject({ sessionStartInfo: { hparams: Object.fromEntries(values) } });
  const content = HParamsPluginData.encode(data).finish();
  const metadata = { pluginData: { pluginName: "hparams", content } };
  return event({
    step: 0,
    wallTime: WALL_TIME,
    summary: { value: [{ tag: "_hparams_/session_start_info", metadata }] },
  });
}

/** The description of an experiment, as torch's `add_hparams` writes it before the hyperparameters. */
export function experimentEvent(): Uint8Array {
  const content = HParamsPluginData.encode(HParamsPluginData.fromObject({ experiment: {} })).finish();
  const metadata = { pluginData: { pluginName: "hparams", content } };
  return event({ step: 0, wallTime: WALL_TIME, summary: { value: [{ tag: "_hparams_/experiment", metadata }] } });
}

/** A record of tracelet's own. @param content fields of its metadata beside `v` and `kind` */
export function ownRecord(
  kind: string,
  payload: Uint8Array | string,
  { tag = `tracelet/${kind}`, ...content }: { readonly tag?: string; readonly [field: string]: unknown } = {},
): Uint8Array {
  const json = Buffer.from(JSON.stringify({ v: 1, kind, ...content }));
  const metadata = { pluginData: { pluginName: "tracelet", content: json } };
  const tensor = {
    dtype: "DT_STRING",
    tensorShape: { dim: [{ size: 1 }] },
    stringVal: [typeof payload === "string" ? Buffer.from(payload) : payload],
  };
  return event({ wallTime: WALL_TIME, step: 0, summary: { value: [{ tag, metadata, tensor }] } });
}

/** What a restarted writer says first: everything at steps >= `step` is obsolete. */
export function sessionStart(step: bigint | number): Uint8Array {
  return event({ wallTime: WALL_TIME, step, sessionLog: { status: "START" } });
}

/** The payload as a record. */
export function record(payload: Uint8Array): Buffer {
  return Buffer.concat([header(payload.length), payload, uint32(maskedCrcOf(payload))]);
}

/** Twelve bytes that announce a payload of this length, right by their checksum. */
export function header(length: bigint | number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(length));
  return Buffer.concat([bytes, uint32(maskedCrcOf(bytes))]);
}

/** All payloads as records, one behind the other. */
export function eventFile(...payloads: readonly Uint8Array[]): Buffer {
  return Buffer.concat(payloads.map(record));
}

/** A copy with one bit turned over; bits are counted from the first byte's lowest. */
export function withBitFlipped(bytes: Uint8Array, bit: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[bit >>> 3] = (copy[bit >>> 3] as number) ^ (1 << (bit & 7));
  return copy;
}

function maskedCrcOf(bytes: Uint8Array): number {
  const crc = BigInt(crc32c.buf(bytes) >>> 0);
  const rotated = (crc >> 15n) | ((crc << 17n) & 0xffffffffn);
  return Number((rotated + 0xa282ead8n) & 0xffffffffn);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A file in memory whose content can change between two reads, and which tells what reading it cost. */
export class ScriptedSource implements ByteSource {
  content: Buffer;
  reads = 0;
  bytesRead = 0;
  /** The most bytes that were asked for at once. */
  largestRead = 0;
  /** What the next read throws. */
  failure: Error | undefined;

  constructor(content: Uint8Array = Buffer.alloc(0)) {
    this.content = Buffer.from(content);
  }

  get size(): number {
    return this.content.length;
  }

  append(...parts: readonly Uint8Array[]): this {
    this.content = Buffer.concat([this.content, ...parts]);
    return this;
  }

  truncate(length: number): this {
    this.content = Buffer.from(this.content.subarray(0, length));
    return this;
  }

  write(position: number, bytes: Uint8Array): this {
    this.content.set(bytes, position);
    return this;
  }

  flip(bit: number): this {
    this.content = withBitFlipped(this.content, bit);
    return this;
  }

  async read(into: Uint8Array, at: number, length: number, position: number): Promise<number> {
    const { failure } = this;
    if (failure !== undefined) {
      this.failure = undefined;
      throw failure;
    }
    this.reads++;
    this.largestRead = Math.max(this.largestRead, length);
    const part = this.content.subarray(position, position + length);
    into.set(part, at);
    this.bytesRead += part.length;
    return part.length;
  }
}
