/**
 * Audio → the bytes as written under `media/audio`: a clip alone as `audio-file`, several of a step as `audio`.
 *
 * Source: wandb/sdk/data_types/audio.py.
 */
import { audioExtension } from "../../../encode/audio-extension.ts";
import type { AudioClip, AudioDatum } from "../../../reader/datum.ts";
import { type JsonValue, jsonText } from "../json.ts";
import { type Encoded, inLists, MAX_ITEMS } from "./encoded.ts";
import { fieldsOf, type MediaFile, mediaFile } from "./media-file.ts";

interface Item {
  readonly clip: AudioClip;
  readonly file: MediaFile;
  readonly caption: string;
}

/** All clips of one step. Those that do not fit into a value go on in the next row. */
export function encodeAudio(datum: AudioDatum): Encoded {
  const isPartial = datum.clips.length > MAX_ITEMS || datum.clips.includes(undefined);
  const items = datum.clips.flatMap((clip, index): Item[] => {
    if (clip === undefined) return [];
    const file = mediaFile("audio", datum, clip.bytes, audioExtension(clip));
    return [{ clip, file, caption: clip.label || (isPartial ? String(index) : "") }];
  });
  return { files: items.map(({ file }) => file), values: inLists(items).map(valueOf) };
}

function valueOf(items: readonly Item[]): string {
  const audio = items.map(({ file, caption }): { readonly [key: string]: JsonValue } => {
    return { _type: "audio-file", ...fieldsOf(file), ...(caption !== "" && { caption }) };
  });
  if (audio.length === 1) return jsonText(audio[0] as JsonValue);
  const rates = items.map(({ clip }) => (Number.isNaN(clip.sampleRate) ? null : clip.sampleRate));
  const captions = items.map(({ caption }) => caption);
  return jsonText({
    _type: "audio",
    count: audio.length,
    audio,
    sampleRates: rates,
    ...(captions.some((caption) => caption !== "") && { captions }),
  });
}
