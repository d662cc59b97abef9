/** Images: encoded, never looked into beyond their first bytes. */
import type { ImageFormat, ImagesDatum } from "../datum.ts";
import type { tensorboard } from "../proto/tensorboard.js";
import { type Body, type PluginValue, stringsOf, UnreadableError } from "./plugin.ts";

/**
 * V2 images of one step: a row of strings, of which the first two are width and height in decimal and each other one an
 * encoded image. There may be none.
 *
 * Source: tensorboard/plugins/image/summary_v2.py.
 *
 * @throws UnreadableError if there is no width and height or the tensor is no row of strings; TensorError if it cannot
 *   be decoded
 */
export function imagesOfTensor(value: PluginValue): Body<ImagesDatum> {
  const { shape, data } = stringsOf(value);
  const [width, height, ...images] = data;
  if (shape.length !== 1 || width === undefined || height === undefined) {
    throw new UnreadableError(`the images have the shape [${shape}]; possible is [k] with width and height first`);
  }
  return { kind: "images", width: pixels(width), height: pixels(height), images: images.map(imageOf) };
}

/** A V1 image. Source: `_migrate_image_value` of tensorboard/data_compat.py. */
export function imageOfMessage(image: tensorboard.Summary.Image.$Properties): Body<ImagesDatum> {
  const bytes = image.encodedImageString ?? new Uint8Array();
  return { kind: "images", width: image.width ?? 0, height: image.height ?? 0, images: [imageOf(bytes)] };
}

/** Lengths of the second header of a BMP, one a version of the format, as 32-bit integers at byte 14. */
const BMP_HEADER_LENGTHS = [12, 16, 40, 52, 56, 64, 108, 124];

/** How an image is encoded, told by its first bytes. */
export function imageFormat(bytes: Uint8Array): ImageFormat {
  const head = latin1(bytes.subarray(0, 26));
  if (head.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (head.startsWith("\xff\xd8\xff")) return "jpeg";
  if (/^GIF8[79]a/.test(head)) return "gif";
  if (/^RIFF[^]{4}WEBP/.test(head)) return "webp";
  // "BM" alone would also begin a text: of the header behind it only the length tells one from the other.
  if (head.startsWith("BM") && BMP_HEADER_LENGTHS.includes(bytes[14] ?? 0) && head.slice(15, 18) === "\0\0\0")
    return "bmp";
  return isSvg(bytes) ? "svg" : "unknown";
}

/** An `<svg` element, behind whatever XML may put before it within the first 4 KiB. */
function isSvg(bytes: Uint8Array): boolean {
  const head = latin1(bytes.subarray(0, 4096))
    .replace(/^\xef\xbb\xbf/, "")
    .trimStart();
  return /^<svg[\s>/]/.test(head) || (/^<(\?xml|!--|!DOCTYPE svg)/i.test(head) && /<svg[\s>/]/.test(head));
}

function imageOf(bytes: Uint8Array): ImagesDatum["images"][number] {
  return { bytes, format: imageFormat(bytes) };
}

function pixels(text: Uint8Array): number {
  const digits = latin1(text.subarray(0, 16));
  return /^[0-9]+$/.test(digits) ? Number(digits) : Number.NaN;
}

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
