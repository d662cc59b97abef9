/**
 * Values of a plugin that tracelet has no better file for → `tensors/<tag>/<step>.npy` for `numpy.load`, and
 * `tensors/<tag>/<step>.json`, which the artifact viewer shows: what the writer said of the tag, and the values
 * themselves where they are strings.
 */

import { type Json, readableJson } from "../../encode/json.ts";
import { encodeNpy } from "../../encode/npy.ts";
import type { TensorDatum } from "../../reader/datum.ts";
import type { Artifact } from "./artifact.ts";
import type { MediaContext } from "./context.ts";

/** The files of one value. */
export function encodeTensor(datum: TensorDatum, { paths }: MediaContext): Artifact[] {
  const { tag, step, wallTime, metadata, tensor } = datum;
  const stem = `${paths.directory("tensors", tag)}/${step}`;
  const description = readableJson({
    tag,
    step,
    wall_time: wallTime,
    plugin: metadata.plugin,
    display_name: metadata.displayName,
    description: metadata.description,
    data_class: metadata.dataClass,
    content: base64(metadata.content),
    dtype: tensor?.dtype ?? null,
    shape: tensor?.shape ?? null,
    strings: tensor?.dtype === "string" ? tensor.data.map(stringOrBytes) : undefined,
  });
  const json = { path: `${stem}.json`, bytes: description };
  if (tensor === null || tensor.dtype === "string") return [json];
  return [{ path: `${stem}.npy`, bytes: encodeNpy(tensor) }, json];
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function stringOrBytes(bytes: Uint8Array): Json {
  try {
    return utf8.decode(bytes);
  } catch {
    return base64(bytes);
  }
}

function base64(bytes: Uint8Array): Json {
  return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64") };
}
