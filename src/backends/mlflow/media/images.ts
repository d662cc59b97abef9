/**
 * Images → the image grid with step slider on the run's page, two files each, and as they are for the artifact viewer
 * where the grid cannot show them. A moving GIF also plays in the viewer.
 *
 * The grid reads all it knows out of the names in `images/`; one that it cannot parse hides every image of the run. Of
 * endings it takes `.png` and `.webp` alone, but a browser tells the format by the content: Chromium shows JPEG, GIF and
 * BMP that are called PNG (not SVG), so the original bytes need no conversion.
 *
 * Source: `log_image` in mlflow/tracking/client.py; `imagesByRunUuid` of the page's script.
 */
import { createHash } from "node:crypto";
import { hasFrames } from "../../../encode/gif.ts";
import { MAX_PIXELS } from "../../../encode/pictures.ts";
import type { ImageFormat, ImagesDatum } from "../../../reader/datum.ts";
import type { Artifact } from "../../artifacts/artifact.ts";
import { type MediaContext, stepName } from "../../artifacts/context.ts";
import { loadPainter, type Painter } from "./thumbnails.ts";

const EXTENSIONS: Readonly<Record<ImageFormat, string>> = {
  png: "png",
  jpeg: "jpg",
  gif: "gif",
  webp: "webp",
  bmp: "bmp",
  svg: "svg",
  unknown: "bin",
};
/** The ending in the grid, for what it can show. */
const GRID_ENDINGS: ReadonlyMap<ImageFormat, "png" | "webp"> = new Map([
  ["png", "png"],
  ["jpeg", "png"],
  ["gif", "png"],
  ["bmp", "png"],
  ["webp", "webp"],
]);
/** Bytes; what is at most as large may be its own thumbnail. */
const MAX_OWN_THUMBNAIL = 1024 * 1024;
const NAMESPACE = "tracelet/image\0";

/**
 * All files of one step's images.
 *
 * @param painter left out: sharp, where it is installed
 */
export async function encodeImages(
  datum: ImagesDatum,
  context: MediaContext,
  painter?: Painter | null,
): Promise<Artifact[]> {
  const artist = painter === undefined ? await loadPainter() : painter;
  const artifacts: Artifact[] = [];
  for (const [index, image] of datum.images.entries()) {
    if (image === undefined) continue;
    const { bytes, format } = image;
    const moving = format === "gif" && hasFrames(bytes);
    const shown = moving ? await artist?.firstFrame(bytes) : bytes;
    const ending = GRID_ENDINGS.get(format);
    const small = shown && ending && (await thumbnailOf(shown, moving ? "png" : format, artist ?? undefined));
    if (small) {
      const stem = gridStem(datum, index, context);
      artifacts.push({ path: `${stem}.${ending}`, bytes: shown, derived: moving });
      artifacts.push({ path: `${stem}+compressed.${small.ending}`, bytes: small.bytes, derived: true });
    }
    const root = moving ? "videos" : small ? undefined : "media";
    if (root === undefined) continue;
    const file = `${stepName(datum, index)}.${EXTENSIONS[format]}`;
    artifacts.push({ path: `${context.paths.directory(root, datum.tag)}/${file}`, bytes });
  }
  return artifacts;
}

async function thumbnailOf(
  bytes: Uint8Array,
  format: ImageFormat,
  painter: Painter | undefined,
): Promise<{ readonly bytes: Uint8Array; readonly ending: "png" | "webp" } | undefined> {
  const small = await painter?.thumbnail(bytes);
  if (small) return { bytes: small, ending: "webp" };
  return bytes.length <= MAX_OWN_THUMBNAIL && looksWhole(bytes, format) ? { bytes, ending: "png" } : undefined;
}

/** `images/<key>+step+<step>+timestamp+<ms>+<uuid>` */
function gridStem(datum: ImagesDatum, index: number, { source, paths, timestamp }: MediaContext): string {
  const key = paths.imageKey(datum.tag, index, datum.images.length).replaceAll("/", "~");
  const uuid = uuidOf([source, datum.tag, String(datum.step), String(index)]);
  return `images/${key}+step+${datum.step}+timestamp+${timestamp(datum.wallTime)}+${uuid}`;
}

/** A version 5 UUID: the same for the same names, so that an image sent again replaces itself. */
function uuidOf(names: readonly string[]): string {
  const bytes = createHash("sha1").update(NAMESPACE).update(JSON.stringify(names)).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x50;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

/** Whether a browser will most likely show the image, told without decoding it. */
function looksWhole(bytes: Uint8Array, format: ImageFormat): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (format === "png" && bytes.length >= 57) {
    const text = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
    return text(12) === "IHDR" && text(bytes.length - 8) === "IEND" && isSize(view.getUint32(16), view.getUint32(20));
  }
  if (format === "bmp" && bytes.length >= 54) {
    const size = isSize(Math.abs(view.getInt32(18, true)), Math.abs(view.getInt32(22, true)));
    return view.getUint32(14, true) >= 40 && view.getUint32(2, true) === bytes.length && size;
  }
  return false;
}

function isSize(width: number, height: number): boolean {
  return width > 0 && height > 0 && width * height <= MAX_PIXELS;
}
