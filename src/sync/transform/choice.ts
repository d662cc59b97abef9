/**
 * What the user wants of a run's values, as a text that is kept with what was sent under it: what a later choice lets in
 * beside it is then sent, and nothing else.
 */
import type { Kind } from "../../reader/datum.ts";
import { RESTART_POLICIES, type RestartPolicy } from "../../reader/restarts.ts";
import { DEFAULT_MAX_RECORD_BYTES } from "../../reader/tfrecord.ts";
import { hashText } from "../source/fingerprint.ts";
import type { LimitOptions } from "./limits.ts";
import { areMetricFields, fieldsOf, globsOf, type MetricFields, rulesOf, workOf } from "./metrics/rules.ts";
import type { TransformOptions } from "./transform.ts";

export interface Choice {
  readonly restarts: RestartPolicy;
  readonly transform: TransformOptions;
  readonly limits: LimitOptions;
  /** The largest file that is stored, bytes. */
  readonly maxFileBytes: number;
  /** The largest record that is read, bytes. */
  readonly maxRecordBytes: number;
}

/** Characters, and how many globs: of a text that somebody else may have written. */
const MAX_TEXT = 5000;
const MAX_GLOBS = 200;
/** Points that windows look at for one. */
const MAX_WORK = 1000;
/** Such a glob takes no time to speak of on any tag; anybody may have written it. */
const CHEAP_GLOB = /^(?:[^*()\\+@!|]*\*){0,4}[^*()\\+@!|]*$/;

/** The choice as JSON, the same for the same choice: only what is not the default is in it. */
export function choiceText({ restarts, transform, limits, maxFileBytes, maxRecordBytes }: Choice): string {
  const { excludeKinds, includeTags, excludeTags, nan, every, maxSteps, derive } = transform;
  const { maxImageBytes, maxAudioBytes, oversize } = limits;
  return JSON.stringify({
    excludeKinds: listed(excludeKinds ?? []),
    includeTags: listed(includeTags),
    excludeTags: listed(excludeTags),
    nan: nan === "skip" ? nan : undefined,
    every: every === 1 ? undefined : every,
    maxSteps,
    histogramMetrics: derive?.histogramMetrics || undefined,
    prMetrics: derive?.prMetrics || undefined,
    metrics: fieldsOf(transform.metrics),
    restarts: restarts === "explicit" ? undefined : restarts,
    maxImageBytes,
    maxAudioBytes,
    oversize: maxImageBytes !== undefined && oversize === "downscale" ? oversize : undefined,
    maxFileBytes: Number.isFinite(maxFileBytes) ? maxFileBytes : undefined,
    maxRecordBytes: maxRecordBytes === DEFAULT_MAX_RECORD_BYTES ? undefined : maxRecordBytes,
  } satisfies Record<keyof Fields, unknown>);
}

/** Everything that there is. */
export const DEFAULT_CHOICE: string = "{}";

/** A short name for a choice's text. */
export function choiceId(text: string): string {
  return hashText(text).slice(0, 8);
}

/** Whether a text from outside may be taken for a choice; its globs then cost next to nothing. */
export function isHarmless(text: string): boolean {
  const choice = text.length > MAX_TEXT ? undefined : choiceOf(text);
  if (choice === undefined) return false;
  const { includeTags, excludeTags, metrics } = choice.transform;
  const globs = [...includeTags, ...excludeTags, ...(metrics === undefined ? [] : globsOf(metrics))];
  if (metrics !== undefined && workOf(metrics) > MAX_WORK) return false;
  return globs.length <= MAX_GLOBS && globs.every((glob) => CHEAP_GLOB.test(glob));
}

/** The choice that a text stands for; undefined if it is none that this version knows. */
export function choiceOf(text: string): Choice | undefined {
  let fields: Fields;
  try {
    const value: unknown = JSON.parse(text);
    if (!isFields(value)) return undefined;
    fields = value;
  } catch {
    return undefined;
  }
  const { excludeKinds = [], includeTags = [], excludeTags = [], nan = "keep", every, maxSteps } = fields;
  const { histogramMetrics = false, prMetrics = false, restarts = "explicit", maxFileBytes = Infinity } = fields;
  const { maxRecordBytes = DEFAULT_MAX_RECORD_BYTES, metrics } = fields;
  const { maxImageBytes, maxAudioBytes, oversize } = fields;
  return {
    restarts,
    transform: {
      excludeKinds: new Set(excludeKinds),
      includeTags,
      excludeTags,
      nan,
      every,
      maxSteps,
      derive: { histogramMetrics, prMetrics },
      metrics: metrics && rulesOf(metrics),
    },
    limits: { maxImageBytes, maxAudioBytes, oversize },
    maxFileBytes,
    maxRecordBytes,
  };
}

interface Fields {
  readonly excludeKinds?: readonly Kind[];
  readonly includeTags?: readonly string[];
  readonly excludeTags?: readonly string[];
  readonly nan?: "skip";
  readonly every?: number;
  readonly maxSteps?: number;
  readonly histogramMetrics?: boolean;
  readonly prMetrics?: boolean;
  readonly metrics?: MetricFields;
  readonly restarts?: RestartPolicy;
  readonly maxImageBytes?: number;
  readonly maxAudioBytes?: number;
  readonly oversize?: "downscale";
  readonly maxFileBytes?: number;
  readonly maxRecordBytes?: number;
}

const isText = (value: unknown) => typeof value === "string";
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isListOf = (is: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(is);
const isFlag = (value: unknown) => value === true;

const CHECKS: Readonly<Record<keyof Fields, (value: unknown) => boolean>> = {
  excludeKinds: isListOf(isText),
  includeTags: isListOf(isText),
  excludeTags: isListOf(isText),
  nan: (value) => value === "skip",
  every: (value) => isCount(value) && (value as number) > 0,
  maxSteps: isCount,
  histogramMetrics: isFlag,
  prMetrics: isFlag,
  metrics: areMetricFields,
  restarts: (value) => RESTART_POLICIES.includes(value as RestartPolicy),
  maxImageBytes: isCount,
  maxAudioBytes: isCount,
  oversize: (value) => value === "downscale",
  maxFileBytes: isCount,
  maxRecordBytes: isCount,
};

/** A later version's choice may have fields that mean something else. */
function isFields(value: unknown): value is Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const checks = new Map<string, (field: unknown) => boolean>(Object.entries(CHECKS));
  return Object.entries(value).every(([name, field]) => checks.get(name)?.(field) === true);
}

function listed(values: Iterable<string>): string[] | undefined {
  const sorted = [...new Set(values)].sort();
  return sorted.length === 0 ? undefined : sorted;
}
