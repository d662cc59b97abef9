/** Images and audio clips that are too large: skipped, or made smaller, before a batch is written. */
import type { Sharp } from "sharp";
import { encoded, loadSharp, type OpenPicture } from "../../encode/pictures.ts";
import type { AudioClip, AudioDatum, Datum, EncodedImage, ImageFormat, ImagesDatum } from "../../reader/datum.ts";
import type { Note } from "../report/note.ts";
import type { Tally } from "../report/tally.ts";
import { describeDatum } from "./transform.ts";

export interface LimitOptions {
  /** Of one image as it is written, bytes. */
  readonly maxImageBytes?: number | undefined;
  /** Of one clip as it is written, bytes. */
  readonly maxAudioBytes?: number | undefined;
  /** What becomes of an image that is larger; a clip is always skipped. */
  readonly oversize?: "skip" | "downscale" | undefined;
}

/** How each format is written again; the others cannot be. */
const ENCODE: ReadonlyMap<ImageFormat, (picture: Sharp) => Sharp> = new Map<ImageFormat, (picture: Sharp) => Sharp>([
  ["png", (picture) => picture.png()],
  ["jpeg", (picture) => picture.jpeg()],
  ["webp", (picture) => picture.webp()],
  ["gif", (picture) => picture.gif()],
]);
/** Formats that may move. */
const MOVING: ReadonlySet<ImageFormat> = new Set<ImageFormat>(["webp", "gif"]);
/** Bytes do not shrink quite as pixels do. */
const MARGIN = 0.9;

/** Keeps a batch's media within the limits. One for each run. */
export class Limits {
  readonly #options: LimitOptions;
  readonly #trace: ((line: string) => void) | undefined;
  readonly #noted = new Set<string>();
  /** Why an image is not made smaller. */
  #cannot = "they cannot be made smaller";

  /** @param trace told what is skipped or made smaller */
  constructor(options: LimitOptions, trace?: (line: string) => void) {
    this.#options = options;
    this.#trace = trace;
  }

  /**
   * Skip, or make smaller, what is too large. Of several images or clips of one step those that fit keep their
   * places; a value that has none left is skipped and counted.
   *
   * @param notes given one a tag
   */
  async apply(batch: { readonly data: Datum[] }, tally: Tally, notes: Note[]): Promise<void> {
    const { maxImageBytes, maxAudioBytes } = this.#options;
    if (maxImageBytes === undefined && maxAudioBytes === undefined) return;
    const kept: Datum[] = [];
    for (const datum of batch.data) {
      let fitting: Datum | undefined = datum;
      if (datum.kind === "images") fitting = await this.#fitImages(datum, maxImageBytes ?? Infinity, notes);
      if (datum.kind === "audio") fitting = this.#fitAudio(datum, maxAudioBytes ?? Infinity, notes);
      if (fitting !== undefined) kept.push(fitting);
      else tally.skipped(datum.kind, LIMIT[datum.kind as "images" | "audio"], 1);
    }
    batch.data.splice(0, batch.data.length, ...kept);
  }

  async #fitImages(datum: ImagesDatum, limit: number, notes: Note[]): Promise<ImagesDatum | undefined> {
    if (datum.images.every((image) => fits(image, limit))) return datum;
    const images: (EncodedImage | undefined)[] = [];
    for (const [index, image] of datum.images.entries()) {
      const fitting = image === undefined || fits(image, limit) ? image : await this.#smaller(image, limit);
      images.push(fitting);
      if (image !== undefined && fitting !== image) this.#say(datum, index, image, fitting, notes);
    }
    return images.some((image) => image !== undefined) ? { ...datum, images } : undefined;
  }

  #fitAudio(datum: AudioDatum, limit: number, notes: Note[]): AudioDatum | undefined {
    if (datum.clips.every((clip) => fits(clip, limit))) return datum;
    const clips = datum.clips.map((clip) => (fits(clip, limit) ? clip : undefined));
    for (const [index, clip] of datum.clips.entries()) {
      if (clip !== undefined && clips[index] === undefined) this.#say(datum, index, clip, undefined, notes);
    }
    return clips.some((clip) => clip !== undefined) ? { ...datum, clips } : undefined;
  }

  async #smaller({ bytes, format }: EncodedImage, limit: number): Promise<EncodedImage | undefined> {
    if (this.#options.oversize !== "downscale") return undefined;
    const open = await loadSharp();
    if (open === undefined) this.#cannot = "the package sharp, which makes them smaller, is not installed";
    const smaller = open && (await downscale(open, bytes, format, limit));
    return smaller && { bytes: smaller, format };
  }

  #say(
    datum: ImagesDatum | AudioDatum,
    index: number,
    before: EncodedImage | AudioClip,
    after: EncodedImage | undefined,
    notes: Note[],
  ): void {
    const { kind, tag, step } = datum;
    const became = after === undefined ? "skipped" : "made smaller";
    const size = `${before.bytes.length} bytes${after === undefined ? "" : ` to ${after.bytes.length}`}`;
    this.#trace?.(`${describeDatum(datum)}: number ${index} ${became} (${size})`);
    if (this.#noted.has(`${became} ${kind} ${tag}`)) return;
    this.#noted.add(`${became} ${kind} ${tag}`);
    const cannot = kind === "images" && after === undefined && this.#options.oversize === "downscale";
    const why = cannot ? `, since ${this.#cannot}` : "";
    const message = `${kind} ${JSON.stringify(tag)}: those larger than --${LIMIT[kind]} are ${became}${why} (the first: step ${step}, ${size})`;
    notes.push({ code: "oversize", message });
  }
}

/** How much of each image or clip of a value the limits leave: all of it, so many bytes, or nothing. */
export function leftOf(datum: Datum, { maxImageBytes, maxAudioBytes, oversize }: LimitOptions): readonly number[] {
  if (datum.kind !== "images" && datum.kind !== "audio") return [];
  const limit = (datum.kind === "images" ? maxImageBytes : maxAudioBytes) ?? Infinity;
  const less = datum.kind === "images" && oversize === "downscale" ? limit : -1;
  const parts = datum.kind === "images" ? datum.images : datum.clips;
  return parts.map((part) => (fits(part, limit) ? Infinity : less));
}

/** The option that sets each limit, which is also the reason. */
const LIMIT = { images: "max-image-size", audio: "max-audio-size" } as const;

function fits(part: { readonly bytes: Uint8Array } | undefined, limit: number): boolean {
  return part === undefined || part.bytes.length <= limit;
}

/**
 * The picture in its own format with sides so small that it takes at most `limit` bytes; the same for the same bytes.
 *
 * @returns undefined if it cannot be decoded, or stays too large at any size
 */
async function downscale(
  open: OpenPicture,
  bytes: Uint8Array,
  format: ImageFormat,
  limit: number,
): Promise<Uint8Array | undefined> {
  const encode = ENCODE.get(format);
  if (encode === undefined) return undefined;
  const options = { animated: MOVING.has(format) };
  let side = await longerSide(open, bytes);
  for (let size = bytes.length; side > 1; ) {
    side = Math.max(1, Math.min(side - 1, Math.floor(side * Math.sqrt(limit / size) * MARGIN)));
    const box = { width: side, height: side, fit: "inside" } as const;
    const smaller = await encoded(() => encode(open(bytes, options).autoOrient().resize(box)));
    if (smaller === undefined || smaller.length <= limit) return smaller;
    size = smaller.length;
  }
  return undefined;
}

/** In pixels; 0 if it cannot be told. */
async function longerSide(open: OpenPicture, bytes: Uint8Array): Promise<number> {
  try {
    // Of the first frame; those of a moving picture are all alike.
    const { width, height } = await open(bytes).metadata();
    return Math.max(width, height);
  } catch {
    return 0;
  }
}
