/** Protobuf messages as trees of fields, whatever their schema: to change real ones in ways that stay messages. */

export interface WireField {
  readonly number: number;
  /** Varint, 64 bits, 32 bits, bytes, or what reads as a message. */
  readonly value: bigint | Uint8Array | readonly WireField[];
  readonly wire: 0 | 1 | 2 | 5;
}

/** The bytes as a message; undefined if they are none. */
export function parseWire(bytes: Uint8Array, depth = 0): readonly WireField[] | undefined {
  const fields: WireField[] = [];
  let at = 0;
  const varint = (): bigint | undefined => {
    let value = 0n;
    for (let shift = 0n; shift < 70n && at < bytes.length; shift += 7n) {
      const byte = bytes[at++] as number;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
    return undefined;
  };
  while (at < bytes.length) {
    const key = varint();
    if (key === undefined || key >> 3n === 0n || key >> 3n > 10_000n) return undefined;
    const [number, wire] = [Number(key >> 3n), Number(key & 7n)];
    if (wire === 0) {
      const value = varint();
      if (value === undefined) return undefined;
      fields.push({ number, wire, value });
    } else if (wire === 1 || wire === 5 || wire === 2) {
      const length = wire === 1 ? 8n : wire === 5 ? 4n : varint();
      if (length === undefined || BigInt(at) + length > BigInt(bytes.length)) return undefined;
      const value = bytes.subarray(at, (at += Number(length)));
      const inner = wire === 2 && value.length > 1 && depth < 12 ? parseWire(value, depth + 1) : undefined;
      fields.push({ number, wire, value: inner ?? value });
    } else return undefined;
  }
  return fields;
}

export function wireBytes(fields: readonly WireField[]): Buffer {
  return Buffer.concat(
    fields.flatMap(({ number, wire, value }) => {
      const key = varintBytes(BigInt(number * 8 + wire));
      if (typeof value === "bigint") return [key, varintBytes(value)];
      const body = value instanceof Uint8Array ? value : wireBytes(value);
      return wire === 2 ? [key, varintBytes(BigInt(body.length)), body] : [key, body];
    }),
  );
}

function varintBytes(value: bigint): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  return Buffer.from([...bytes, Number(rest)]);
}
