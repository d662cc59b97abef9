/** What a program logs → values of a summary, in the form in which torch's `SummaryWriter` writes them. */
import { TraceletError } from "../errors.ts";
import { imageSize } from "../reader/image-size.ts";
import { imageFormat } from "../reader/plugins/images.ts";
import { tensorboard } from "../reader/proto/tensorboard.js";
import type { SummaryValue } from "./event-record.ts";
import type { Histogram } from "./histogram.ts";
import { encodePng, type Pixels } from "./png.ts";
import { encodeWav } from "./wav.ts";

const { DT_DOUBLE, DT_STRING } = tensorboard.DataType;

/** A float32, the form that every reader knows. */
export function scalarValue(tag: string, value: number): SummaryValue {
  return { tag, simpleValue: value };
}

/** A double, exactly; TensorBoard's fast reader (`--load_fast`) does not show it. */
export function doubleValue(tag: string, value: number): SummaryValue {
  const metadata = { pluginData: { pluginName: "scalars" } };
  return { tag, metadata, tensor: { dtype: DT_DOUBLE, tensorShape: {}, doubleVal: [value] } };
}

/** Markdown. */
export function textValue(tag: string, text: string): SummaryValue {
  return { tag, metadata: { pluginData: { pluginName: "text" } }, tensor: stringTensor(text) };
}

/** A tensor of one string. */
export function stringTensor(content: string | Uint8Array): tensorboard.TensorProto.$Properties {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return { dtype: DT_STRING, tensorShape: { dim: [{ size: 1 }] }, stringVal: [bytes] };
}

/**
 * A picture.
 *
 * @param image an encoded one, as it is, or pixels, which become a PNG
 * @throws TraceletError `usage` if it is neither
 */
export function imageValue(tag: string, image: Uint8Array | Pixels): SummaryValue {
  if (!(image instanceof Uint8Array)) {
    const { width, height, channels } = image;
    return { tag, image: { width, height, colorspace: channels, encodedImageString: encodePng(image) } };
  }
  if (imageFormat(image) === "unknown") {
    throw new TraceletError("usage", `the image ${JSON.stringify(tag)} is in no format that TensorBoard shows`, {
      hint: "give the bytes of a PNG, JPEG or GIF file, or { width, height, channels, data } for pixels",
    });
  }
  const { width, height, channels } = imageSize(image);
  return { tag, image: { width, height, colorspace: channels, encodedImageString: image } };
}

/**
 * A sound, as a WAV file of 16 bits, mono.
 *
 * @param samples from -1 to 1; what lies beyond is cut
 * @param sampleRate Hz
 */
export function audioValue(tag: string, samples: ArrayLike<number>, sampleRate: number): SummaryValue {
  const encodedAudioString = encodeWav(samples, sampleRate);
  const contentType = "audio/wav";
  return { tag, audio: { sampleRate, numChannels: 1, lengthFrames: samples.length, encodedAudioString, contentType } };
}

export function histogramValue(tag: string, histogram: Histogram): SummaryValue {
  const { min, max, num, sum, sumSquares, bucketLimits, bucketCounts } = histogram;
  return { tag, histo: { min, max, num, sum, sumSquares, bucketLimit: [...bucketLimits], bucket: [...bucketCounts] } };
}
