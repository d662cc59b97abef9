/**
 * Pixels → a PNG file. The container is a dozen lines around zlib, which Node has; a library would bring its own.
 *
 * Source: https://www.w3.org/TR/png-3/.
 */
import { crc32, deflateSync } from "node:zlib";
import { TraceletError } from "../errors.ts";

/** A picture, row by row from the top, the channels of a pixel together. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  /** 1: grey, 2: grey and alpha, 3: RGB, 4: RGB and alpha. */
  readonly channels: 1 | 2 | 3 | 4;
  /** 0 to 255; from 0 to 1 in an array of floats. */
  readonly data: Uint8Array | Uint8ClampedArray | Float32Array | Float64Array | readonly number[];
}

const SIGNATURE = Buffer.from("89504e470d0a1a0a", "hex");
/** Of PNG, by the number of channels. */
const COLOUR_TYPES = { 1: 0, 2: 4, 3: 2, 4: 6 } as const;

/** @throws TraceletError `usage` if there are not as many numbers as the size needs */
export function encodePng(pixels: Pixels): Buffer {
  const { width, height, channels, data } = pixels;
  const isSize = (side: number) => Number.isInteger(side) && side > 0;
  if (!isSize(width) || !isSize(height) || !(channels in COLOUR_TYPES) || data.length !== width * height * channels) {
    throw new TraceletError("usage", `${data.length} numbers are no image of ${width} × ${height} × ${channels}`, {
      hint: "data has width * height * channels numbers, with channels from 1 to 4",
    });
  }
  const row = width * channels;
  // Each row begins with its filter: 0, none.
  const raw = Buffer.alloc((row + 1) * height);
  const isFloat = data instanceof Float32Array || data instanceof Float64Array;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < row; x++) {
      const value = data[y * row + x] as number;
      raw[y * (row + 1) + 1 + x] = Math.min(255, Math.max(0, Math.trunc(isFloat ? value * 255 : value)));
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = 8;
  header[9] = COLOUR_TYPES[channels];
  return Buffer.concat([
    SIGNATURE,
    chunk("IHDR", header),
    chunk("IDAT", deflateSync(raw)),
    chunk("IEND", Buffer.alloc(0)),
  ]);
}

function chunk(type: string, content: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), content]);
  const bytes = Buffer.alloc(body.length + 8);
  bytes.writeUInt32BE(content.length, 0);
  bytes.set(body, 4);
  bytes.writeUInt32BE(crc32(body), body.length + 4);
  return bytes;
}
