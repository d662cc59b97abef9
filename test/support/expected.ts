/** `expected.json` of a case: what TensorBoard's own Python reads; its format is told at the head of fixtures/oracle.py. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import type { AudioClip, Datum, EncodedImage } from "../../src/reader/datum.ts";
import type { Tensor } from "../../src/reader/tensor.ts";
import type { ScalarValue } from "./read-values.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface ExpectedTag {
  readonly plugin: string | null;
  readonly display_name: string;
  readonly description: string;
  readonly n: number;
  readonly points: readonly (readonly [step: number | string, wall: string, value: Json])[];
}

export interface ExpectedRun {
  readonly files: readonly {
    readonly name: string;
    readonly records: number;
    readonly end: string;
    readonly bad_offset?: number;
  }[];
  readonly tags: { readonly [tag: string]: ExpectedTag };
  readonly hparams?: { readonly [kind: string]: readonly Json[] };
  readonly restarts?: { readonly [policy: string]: { readonly [tag: string]: readonly (number | string)[] } };
}

export interface Case {
  readonly name: string;
  readonly logdir: string;
  readonly runs: { readonly [run: string]: ExpectedRun };
  /** For damaged cases: the tags with what stands behind the damage too. */
  readonly resync: { readonly [run: string]: { readonly [tag: string]: ExpectedTag } };
}

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

/** The bundled cases, and those of a folder that TRACELET_CORPUS names. */
export function cases(): Case[] {
  const roots = [FIXTURES, ...(process.env["TRACELET_CORPUS"] ? [process.env["TRACELET_CORPUS"]] : [])];
  return roots.flatMap((root) =>
    readdirSync(root).flatMap((name) => {
      const folder = path.join(root, name);
      const file = ["expected.json", "truth.json"].map((base) => path.join(folder, base)).find(existsSync);
      if (file === undefined) return [];
      const { runs, resync = {} } = JSON.parse(readFileSync(file, "utf8")) as Pick<Case, "runs"> & Partial<Case>;
      return [{ name, logdir: path.join(folder, "runs"), runs, resync }];
    }),
  );
}

export function stepText(step: number | string | bigint): string {
  return String(step);
}

/** A wall time as text that only equal doubles share. */
export function wallText(wall: number | string): string {
  if (typeof wall === "number") return String(wall);
  return String(wall === "nan" ? Number.NaN : wall === "inf" ? Infinity : wall === "-inf" ? -Infinity : Number(wall));
}

/** A value in the form that `expected.json` has it in; what that form cannot tell is left out of both. */
export function valueJson(value: ScalarValue | Datum): Json {
  switch (value.kind) {
    case "scalars":
      return number(value.value);
    case "histograms": {
      const rows: Json[] = [];
      for (let i = 0; i < value.buckets.length; i += 3) rows.push([...value.buckets.subarray(i, i + 3)].map(number));
      return rows;
    }
    case "images":
      return { items: value.images.map((image) => blob((image as EncodedImage).bytes)) };
    case "audio":
      return { items: value.clips.map((clip) => blob((clip as AudioClip).bytes)) };
    case "text":
      return { shape: [...value.shape], strings: [...value.strings] };
    case "hparams":
      return null;
    case "graphs":
      return { items: value.blobs.map(blob) };
    case "pr_curves": {
      const { truePositives, falsePositives, trueNegatives, falseNegatives, precision, recall, numThresholds } = value;
      const rows = [truePositives, falsePositives, trueNegatives, falseNegatives, precision, recall];
      const floats = Float32Array.from(rows.flatMap((row) => [...row]));
      return { shape: [6, numThresholds], sha256: sha256(new Uint8Array(floats.buffer)) };
    }
    case "mesh":
      return tensorJson(value.tensor);
    case "custom_scalars":
      return { charts: value.categories.flatMap(({ charts }) => charts.map(({ title }) => title)) };
    case "tensors":
      return value.tensor === null ? NOTHING : tensorJson(value.tensor);
    case "run_tags":
    case "artifacts":
    case "metric_info":
    case "unreadable":
      return NOTHING;
  }
}

/** What `valueJson` would have made of a value of `expected.json`. */
export function comparable(value: Json): Json {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return value;
  if ("error" in value || "no_tensor" in value) return NOTHING;
  if ("items" in value) {
    const items = value["items"] as { [key: string]: Json }[];
    return { items: items.map(({ sha256: hash, bytes }) => ({ sha256: hash, bytes }) as Json) };
  }
  if ("layout" in value) {
    const { category = [] } = value["layout"] as { category?: { chart?: { title?: string }[] }[] };
    return { charts: category.flatMap(({ chart = [] }) => chart.map(({ title = "" }) => title)) };
  }
  if ("strings" in value) {
    const strings = (value["strings"] as (string | { base64: string })[]).map((item) =>
      typeof item === "string" ? item : Buffer.from(item.base64, "base64").toString(),
    );
    return { shape: value["shape"] as Json, strings };
  }
  // Halves are widened to float32, so their bytes differ; all of the corpus are small enough to be listed.
  if (isHalf(value["dtype"])) return { shape: value["shape"] as Json, values: value["values"] as Json };
  return { shape: value["shape"] as Json, sha256: value["sha256"] as Json };
}

/** A value that says nothing, or that nobody can decode. */
const NOTHING: Json = { nothing: true };

function isHalf(dtype: Json | undefined): boolean {
  return dtype === "float16" || dtype === "bfloat16";
}

function tensorJson(tensor: Tensor): Json {
  const { shape } = tensor;
  if (tensor.dtype === "string")
    return { shape: [...shape], strings: tensor.data.map((item) => Buffer.from(item).toString()) };
  if (tensor.dtype === "float16" || tensor.dtype === "bfloat16")
    return { shape: [...shape], values: [...tensor.data].map(number) };
  const { buffer, byteOffset, byteLength } = tensor.data;
  return { shape: [...shape], sha256: sha256(new Uint8Array(buffer, byteOffset, byteLength)) };
}

function number(value: number): Json {
  return Number.isFinite(value) ? value : String(value);
}

function blob(bytes: Uint8Array): Json {
  return { sha256: sha256(bytes), bytes: bytes.length };
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
