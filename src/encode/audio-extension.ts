/** What a file of a clip ends in, without the dot: told by its content, else by its declared type. */
import type { AudioClip } from "../reader/datum.ts";

/** Beginnings of files. */
const SIGNATURES: readonly (readonly [pattern: RegExp, extension: string])[] = [
  [/^RIFF[^]{4}WAVE/, "wav"],
  [/^ID3/, "mp3"],
  [/^OggS/, "ogg"],
  [/^fLaC/, "flac"],
  [/^[^]{4}ftyp/, "m4a"],
  // Frames without a head of the file: 12 bits set, then version and layer, which AAC leaves 0.
  [/^\xff[\xf0\xf1\xf8\xf9]/, "aac"],
  [/^\xff[\xe2-\xe7\xf2-\xf7\xfa-\xff]/, "mp3"],
];
/** By RFC 2045 type, for content that tells nothing. */
const TYPES: ReadonlyMap<string, string> = new Map([
  ["audio/wav", "wav"],
  ["audio/wave", "wav"],
  ["audio/x-wav", "wav"],
  ["audio/mpeg", "mp3"],
  ["audio/mp3", "mp3"],
  ["audio/ogg", "ogg"],
  ["audio/flac", "flac"],
  ["audio/x-flac", "flac"],
  ["audio/mp4", "m4a"],
  ["audio/aac", "aac"],
]);

/** `bin`, which no player takes, for what nothing tells. */
export function audioExtension({ bytes, contentType }: AudioClip): string {
  const head = String.fromCharCode(...bytes.subarray(0, 12));
  const known = SIGNATURES.find(([pattern]) => pattern.test(head))?.[1];
  return known ?? TYPES.get(contentType.replace(/;.*/s, "").trim().toLowerCase()) ?? "bin";
}
