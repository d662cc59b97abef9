/** What the backend says of a run ↔ the records of W&B's transaction log. */
import type Long from "long";
import { type JsonValue, objectOf } from "../json.ts";
import { fieldsOf } from "./json-fields.ts";
import { wandb_internal } from "./proto/wandb.js";

export type RunRecord = wandb_internal.RunRecord.$Properties;
type Properties = wandb_internal.Record.$Properties;
export type Item = wandb_internal.Item.$Properties;
type Timestamp = wandb_internal.Timestamp.$Properties;

/** One record, without its number. */
export type LogRecord = Omit<Properties, "num">;

export function encoded(record: LogRecord, num: number): Uint8Array {
  return wandb_internal.Record.encode({ num, ...record }).finish();
}

export function decoded(data: Uint8Array): LogRecord {
  return wandb_internal.Record.decode(data);
}

/** Field number 2 of `Record`, with the wire type of a message. */
const HISTORY_TAG = 0x12;

/** Told without decoding it. */
export function isHistory(data: Uint8Array): boolean {
  let at = 0;
  // Its number comes first, as 7 bits a byte.
  if (data[0] === 0x08) {
    at++;
    while ((data[at] as number) >= 0x80) at++;
    at++;
  }
  return data[at] === HISTORY_TAG;
}

/** A line of the history. @param number of the line */
export function historyOf(line: string, number: number): LogRecord {
  return { history: { item: fieldsOf(line).map(itemOf), step: { num: number } } };
}

/** The line again. */
export function lineOf({ item }: wandb_internal.HistoryRecord.$Properties): string {
  const fields = (item ?? []).map(({ key, valueJson }) => `${JSON.stringify(key)}:${valueJson}`);
  return `{${fields.join(",")}}`;
}

/** A line of system metrics. */
export function statsOf(line: string): LogRecord {
  const item: Item[] = [];
  let timestamp: Timestamp = {};
  for (const [key, value] of fieldsOf(line)) {
    if (key === "_timestamp") timestamp = timestampOf(Number(value));
    else if (key.startsWith(STATS_PREFIX)) item.push({ key: key.slice(STATS_PREFIX.length), valueJson: value });
  }
  return { stats: { timestamp, item } };
}

/** W&B's client puts it before each name when it sends them. */
const STATS_PREFIX = "system.";

export function itemOf([key, valueJson]: readonly [key: string, value: string]): Item {
  return { key, valueJson };
}

/** @param seconds since the Unix epoch */
export function timestampOf(seconds: number): Timestamp {
  if (!Number.isFinite(seconds)) return {};
  const whole = Math.floor(seconds);
  return { seconds: whole, nanos: Math.round((seconds - whole) * 1e9) };
}

export function numberOf(value: number | Long | null | undefined): number {
  return typeof value === "number" ? value : (value?.toNumber() ?? 0);
}

/** Files of a run that are to be uploaded. @param paths below its directory of files */
export function filesOf(paths: readonly string[]): LogRecord {
  return { files: { files: paths.map((path) => ({ path, policy: 0, type: path.startsWith("media/") ? MEDIA : 0 })) } };
}

const MEDIA = 2;

/**
 * What a metric is defined to be: `MetricRecord` by field numbers, as a run's config has it (`_wandb.value.m`), but with the
 * name of its step metric instead of that one's place in the list.
 */
export interface Metric {
  readonly name: string;
  readonly glob: string;
  readonly axis: string;
  readonly options: readonly number[];
  readonly summary: readonly number[];
  readonly goal: number;
}

export function metricsOf(list: JsonValue | undefined): Metric[] {
  const all = Array.isArray(list) ? (list as readonly JsonValue[]).map(objectOf) : [];
  return all.map((each) => ({
    name: textOf(each["1"]),
    glob: textOf(each["2"]),
    axis: typeof each["5"] === "number" ? textOf(all[each["5"] - 1]?.["1"]) : "",
    options: numbersOf(each["6"]),
    summary: numbersOf(each["7"]),
    goal: typeof each["8"] === "number" ? each["8"] : 0,
  }));
}

export function listOfMetrics(metrics: readonly Metric[]): JsonValue {
  return metrics.map(({ name, glob, axis, options, summary, goal }) => ({
    ...(name !== "" && { "1": name }),
    ...(glob !== "" && { "2": glob }),
    ...(axis !== "" && { "5": metrics.findIndex((each) => each.name === axis) + 1 }),
    "6": [...options],
    "7": [...summary],
    ...(goal !== 0 && { "8": goal }),
  }));
}

const OPTIONS = ["stepSync", "hidden", "defined"] as const;
const SUMMARY = ["min", "max", "mean", "best", "last", "none", "copy", "first"] as const;

export function metricRecordOf({ name, glob, axis, options, summary, goal }: Metric): LogRecord {
  return {
    metric: {
      ...(name !== "" && { name }),
      ...(glob !== "" && { globName: glob }),
      ...(axis !== "" && { stepMetric: axis }),
      options: flagsOf(OPTIONS, options),
      ...(summary.length > 0 && { summary: flagsOf(SUMMARY, summary) }),
      ...(goal !== 0 && { goal }),
      _control: { overwrite: true },
    },
  };
}

export function metricOf(record: wandb_internal.MetricRecord.$Properties): Metric {
  return {
    name: record.name ?? "",
    glob: record.globName ?? "",
    axis: record.stepMetric ?? "",
    options: numbersIn(OPTIONS, record.options ?? {}),
    summary: numbersIn(SUMMARY, record.summary ?? {}),
    goal: record.goal ?? 0,
  };
}

function flagsOf<Name extends string>(
  names: readonly Name[],
  numbers: readonly number[],
): { [name in Name]?: boolean } {
  const set = names.filter((_name, i) => numbers.includes(i + 1));
  return Object.fromEntries(set.map((name) => [name, true])) as { [name in Name]?: boolean };
}

function numbersIn<Name extends string>(
  names: readonly Name[],
  flags: { readonly [name in Name]?: boolean | null },
): number[] {
  return names.flatMap((name, i) => (flags[name] === true ? [i + 1] : []));
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function numbersOf(value: JsonValue | undefined): number[] {
  return Array.isArray(value) ? (value as readonly JsonValue[]).filter((each) => typeof each === "number") : [];
}
