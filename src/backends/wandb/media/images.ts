/**
 * Images → the original bytes under `media/images`: one alone as `image-file`, several of a step as `images/separated`. A GIF
 * that moves is a video, which W&B's page plays.
 *
 * Source: wandb/sdk/data_types/{image,video}.py.
 */
import { hasFrames } from "../../../encode/gif.ts";
import type { EncodedImage, ImageFormat, ImagesDatum } from "../../../reader/datum.ts";
import { imageSize } from "../../../reader/image-size.ts";
import { type JsonValue, jsonText } from "../json.ts";
import { type Encoded, inLists, MAX_ITEMS } from "./encoded.ts";
import { fieldsOf, type MediaFile, mediaFile } from "./media-file.ts";

/** As W&B's own sync calls them; the file's ending, and the value's `format`. */
const FORMATS: Readonly<Record<ImageFormat, string>> = {
  png: "png",
  jpeg: "jpeg",
  gif: "gif",
  webp: "webp",
  bmp: "bmp",
  svg: "svg",
  unknown: "bin",
};

interface Item {
  readonly file: MediaFile;
  readonly format: string;
  /** Pixels; nothing where nobody tells. */
  readonly size: { readonly width?: number; readonly height?: number };
  readonly index: number;
}

/** All images of one step. Those that do not fit into a value go on in the next row. */
export function encodeImages(datum: ImagesDatum): Encoded {
  const stills: Item[] = [];
  const videos: Item[] = [];
  for (const [index, image] of datum.images.entries()) {
    if (image === undefined) continue;
    const isMoving = image.format === "gif" && hasFrames(image.bytes);
    const format = FORMATS[image.format];
    const file = mediaFile(isMoving ? "videos" : "images", datum, image.bytes, format);
    (isMoving ? videos : stills).push({ file, format, size: sizeOf(image, datum), index });
  }
  // By its place an image is known as long as all of them are in one list.
  const isPartial = datum.images.length > MAX_ITEMS || datum.images.length > Math.max(stills.length, videos.length);
  const captionOf = ({ index }: Item) => (isPartial ? String(index) : undefined);
  const values = [
    ...inLists(stills).map((items) => imagesValue(items, captionOf)),
    ...inLists(videos).map((items) => videosValue(items, captionOf)),
  ];
  const files = [...stills, ...videos].map(({ file }) => file);
  const unknown = stills.find(({ format }) => format === FORMATS.unknown);
  if (unknown === undefined) return { files, values };
  const message = `image ${JSON.stringify(datum.tag)}: stored as it is, in a format that browsers may not show (the first: step ${datum.step})`;
  return { files, values, note: { code: "renamed", message } };
}

function imagesValue(items: readonly Item[], captionOf: (item: Item) => string | undefined): string {
  const [first] = items as [Item];
  const captions = items.map(captionOf);
  if (items.length === 1) {
    const caption = captions[0] === undefined ? {} : { caption: captions[0] };
    return jsonText({ _type: "image-file", ...fieldsOf(first.file), format: first.format, ...first.size, ...caption });
  }
  return jsonText({
    _type: "images/separated",
    // As W&B's client has it: those of the first one, also where the others are not like it.
    ...first.size,
    format: first.format,
    count: items.length,
    filenames: items.map(({ file }) => file.path),
    ...captionsOf(captions),
  });
}

function videosValue(items: readonly Item[], captionOf: (item: Item) => string | undefined): string {
  const videos = items.map((item): { readonly [key: string]: JsonValue } => {
    const caption = captionOf(item);
    return { _type: "video-file", ...fieldsOf(item.file), ...item.size, ...(caption !== undefined && { caption }) };
  });
  if (videos.length === 1) return jsonText(videos[0] as JsonValue);
  const captions = captionsOf(items.map(captionOf)).captions ?? false;
  return jsonText({ _type: "videos", count: videos.length, videos, captions });
}

function captionsOf(captions: readonly (string | undefined)[]): { readonly captions?: readonly string[] } {
  return captions.includes(undefined) ? {} : { captions: captions as readonly string[] };
}

/** What the image's own header says, else the writer. */
function sizeOf({ bytes }: EncodedImage, declared: ImagesDatum): Item["size"] {
  const own = imageSize(bytes);
  const { width, height } = own.width > 0 && own.height > 0 ? own : declared;
  return width > 0 && height > 0 ? { width, height } : {};
}
