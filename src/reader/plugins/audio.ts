/** Audio clips: encoded, looked into for the sample rate only. */
import type { AudioClip, AudioDatum } from "../datum.ts";
import type { tensorboard } from "../proto/tensorboard.js";
import { type Body, type PluginValue, stringsOf } from "./plugin.ts";

/**
 * V2 clips of one step: `[k]` encoded clips, or `[k, 2]` pairs of a clip and its label, which old writers made. As in
 * TensorBoard, of a longer row only the first is a clip.
 *
 * Source: tensorboard/plugins/audio/summary_v2.py; `_migrate_audio_value` of tensorboard/dataclass_compat.py.
 *
 * @throws UnreadableError if the tensor holds no strings; TensorError if it cannot be decoded
 */
export function audioOfTensor(value: PluginValue): Body<AudioDatum> {
  const { shape, data } = stringsOf(value);
  const stride = shape.slice(1).reduce((product, size) => product * size, 1);
  const clips: AudioClip[] = [];
  for (let i = 0; i < data.length; i += stride) {
    const label = stride > 1 ? utf8.decode(data[i + 1]) : "";
    clips.push(clipOf(data[i] as Uint8Array, "", Number.NaN, label));
  }
  return { kind: "audio", clips };
}

/** A V1 clip. Source: `_migrate_audio_value` of tensorboard/data_compat.py. */
export function audioOfMessage(audio: tensorboard.Summary.Audio.$Properties): Body<AudioDatum> {
  const bytes = audio.encodedAudioString ?? new Uint8Array();
  return { kind: "audio", clips: [clipOf(bytes, audio.contentType ?? "", audio.sampleRate ?? 0, "")] };
}

/**
 * The sample rate of a WAV file, in Hz: 0 if its header does not tell, undefined if it is none.
 *
 * Source: "Multimedia Programming Interface and Data Specifications 1.0", IBM and Microsoft 1991: `RIFF`, a length,
 * `WAVE`, then chunks, of which `fmt ` has the rate 4 bytes into its data and need not be the first.
 */
export function wavSampleRate(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (!["RIFF", "RF64"].includes(name(0)) || name(8) !== "WAVE") return undefined;
  for (let at = 12; at + 16 <= bytes.length; ) {
    if (name(at) === "fmt ") return view.getUint32(at + 12, true);
    const length = view.getUint32(at + 4, true);
    at += 8 + length + (length % 2);
  }
  return 0;
}

/** @param declaredRate the rate of the message; a rate must be positive to mean something */
function clipOf(bytes: Uint8Array, contentType: string, declaredRate: number, label: string): AudioClip {
  const headerRate = wavSampleRate(bytes);
  const rate = declaredRate > 0 ? declaredRate : (headerRate ?? 0);
  return {
    bytes,
    contentType: contentType || (headerRate === undefined ? "" : "audio/wav"),
    sampleRate: rate > 0 ? rate : Number.NaN,
    label,
  };
}

// ignoreBOM: a label that begins with U+FEFF keeps it.
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
