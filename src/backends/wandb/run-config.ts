/** A run's config: hyperparameters, which tag is drawn over which axis, and tracelet's own state. */
import type { Goal } from "../../reader/datum.ts";
import { PythonObject, type PythonValue } from "../../reader/python-text.ts";
import { VERSION } from "../../version.ts";
import { type JsonValue, jsonText, objectOf, parseJson } from "./json.ts";
import { OWN_KEY, STEP_AXIS } from "./names.ts";
import { setNested } from "./nesting.ts";
import { jsonOfStored, STATE_KEY, type StoredState, storedOfJson } from "./run-state.ts";

/** Labels of the run: W&B's tags have no values. */
const LABELS_KEY = "tracelet_tags";
/** What is known of metrics, by their names. */
const METRICS_KEY = "tracelet_metrics";
/** Tags, by paths of files that are not made of them as they are. */
const FILES_KEY = "tracelet_files";
/** Entries that are no hyperparameters. */
export const OWN_ENTRIES: ReadonlySet<string> = new Set([OWN_KEY, STATE_KEY, LABELS_KEY, METRICS_KEY, FILES_KEY]);
/** Its number in the list of metrics, from 1 on. */
const STEP_AXIS_NUMBER = 1;
/** `MetricRecord` of wandb_internal.proto by field numbers: 1 name, 5 step metric, 6 options, 7 summary, 8 goal. */
const OPTIONS = { synced: 1, defined: 3 } as const;
/** What the summary holds of a metric: of one that is given none, its last value alone. */
const SUMMARY = { min: 1, max: 2, last: 5 } as const;
const GOALS = { min: 1, max: 2 } as const;

interface Metric {
  readonly goal?: Goal | undefined;
  /** Whether its summary has its best value beside the last one. */
  readonly hasBest?: boolean;
}

/** What is known of a metric. */
export interface MetricDescription extends Metric {
  /** `loss`, `accuracy`, …; undefined where nobody knows. */
  readonly type: string | undefined;
  readonly info: { readonly [name: string]: PythonValue };
}

/** Where the run was made, as W&B's client tells it; a part that is undefined is not known. */
export interface RunEnvironment {
  readonly os?: string | undefined;
  readonly python?: string | undefined;
  readonly host?: string | undefined;
  readonly git?: { readonly remote?: string | undefined; readonly commit?: string | undefined } | undefined;
}

export class RunConfig {
  /** As it came, entry by entry: others may have written some of them. */
  readonly #entries: Map<string, JsonValue>;
  readonly #metrics = new Map<string, Metric>();
  /** Entries that grow key by key, as far as they were asked for: a copy for each key would take too long. */
  readonly #growing = new Map<string, Map<string, JsonValue>>();
  #charts: Map<string, JsonValue> | undefined;

  /** @throws SyntaxError */
  constructor(text = "{}") {
    this.#entries = new Map(Object.entries(objectOf(parseJson(text))));
    const { m } = objectOf(this.#valueOf(OWN_KEY));
    for (const metric of Array.isArray(m) ? (m as readonly JsonValue[]) : []) {
      const { 1: name, 7: summary, 8: goal } = objectOf(metric);
      if (typeof name === "string" && name !== STEP_AXIS) this.#metrics.set(name, metricOf(summary, goal));
    }
  }

  get stored(): StoredState | undefined {
    return storedOfJson(this.#valueOf(STATE_KEY));
  }

  set stored(stored: StoredState) {
    this.#set(STATE_KEY, jsonOfStored(stored));
  }

  /** Draw the tag over its own steps. */
  define(tag: string): void {
    if (!this.#metrics.has(tag)) this.#metrics.set(tag, {});
  }

  /** Have W&B's page draw the values of a key in a chart of its own. */
  draw(key: string, chart: JsonValue): void {
    this.#charts ??= new Map(Object.entries(objectOf(objectOf(this.#valueOf(OWN_KEY))["visualize"])));
    this.#charts.set(key, chart);
  }

  /** The goal of a metric whose summary has its best value. */
  bestOf(name: string): Goal | undefined {
    const { goal, hasBest = false } = this.#metrics.get(name) ?? {};
    return hasBest ? goal : undefined;
  }

  /** Goals of the metrics whose summary has their best value. */
  get best(): ReadonlyMap<string, Goal> {
    return new Map(
      [...this.#metrics].flatMap(([name, { goal, hasBest }]) => (hasBest && goal !== undefined ? [[name, goal]] : [])),
    );
  }

  /** Tell what is known of a metric. */
  describe(tag: string, { type, goal, hasBest, info }: MetricDescription): void {
    this.#metrics.set(tag, { goal, hasBest: (hasBest ?? false) && goal !== undefined });
    const metadata = Object.keys(info).length === 0 ? undefined : jsonOf(info as PythonValue);
    const told = withoutUndefined({ type, goal, metadata });
    this.#entryOf(METRICS_KEY).set(tag, told);
  }

  setParams(params: ReadonlyMap<string, PythonValue>): void {
    if (params.size === 0) return;
    const others = [...this.#entries].filter(([key]) => !OWN_ENTRIES.has(key));
    const before = new Map(others.map(([key, entry]) => [key, objectOf(entry)["value"] ?? null]));
    const values = new Map(before);
    const fresh = new WeakSet<object>();
    for (const [name, value] of params) {
      if (isReserved(name)) this.#set(`hparams/${name}`, jsonOf(value));
      else setNested(values, name, jsonOf(value), fresh);
    }
    for (const [key, value] of values) if (value !== before.get(key)) this.#set(key, value);
  }

  setLabels(labels: ReadonlyMap<string, string>): void {
    for (const [name, value] of labels) this.#entryOf(LABELS_KEY).set(name, value);
  }

  /** @returns whether any is new */
  nameFiles(tags: ReadonlyMap<string, string>): boolean {
    const fresh = [...tags].filter(([path, tag]) => this.#entryOf(FILES_KEY).get(path) !== tag);
    for (const [path, tag] of fresh) this.#entryOf(FILES_KEY).set(path, tag);
    return fresh.length > 0;
  }

  /** The same object as long as it stays as it is. */
  get environment(): RunEnvironment {
    return (objectOf(objectOf(this.#valueOf(OWN_KEY))["e"])[WRITER] ?? NO_ENVIRONMENT) as RunEnvironment;
  }

  /** Source: core/internal/runconfig/runconfig.go, `EnvironmentRecord` of wandb_internal.proto. */
  set environment(environment: RunEnvironment) {
    const own = objectOf(this.#valueOf(OWN_KEY));
    const { python } = environment;
    const git = environment.git && withoutUndefined(environment.git);
    this.#set(OWN_KEY, {
      ...own,
      ...(python !== undefined && { python_version: python }),
      e: { ...objectOf(own["e"]), [WRITER]: withoutUndefined({ ...environment, git }) },
    });
  }

  /** As it is sent. */
  text(): string {
    const metrics: JsonValue[] = [
      { "1": STEP_AXIS, "6": [OPTIONS.defined], "7": [] },
      ...Array.from(this.#metrics, ([name, { goal, hasBest }]) => ({
        "1": name,
        "5": STEP_AXIS_NUMBER,
        "6": [OPTIONS.synced, OPTIONS.defined],
        "7": hasBest && goal !== undefined ? [SUMMARY[goal], SUMMARY.last] : [],
        ...(goal !== undefined && { "8": GOALS[goal] }),
      })),
    ];
    // W&B's client goes on with no run that lacks `t`.
    const own = { t: {}, cli_version: `tracelet-${VERSION}`, ...objectOf(this.#valueOf(OWN_KEY)), m: metrics };
    this.#set(OWN_KEY, this.#charts === undefined ? own : { ...own, visualize: Object.fromEntries(this.#charts) });
    for (const [key, entry] of this.#growing) if (entry.size > 0) this.#set(key, Object.fromEntries(entry));
    return jsonText(Object.fromEntries(this.#entries));
  }

  #valueOf(key: string): JsonValue | undefined {
    return objectOf(this.#entries.get(key))["value"];
  }

  #entryOf(key: string): Map<string, JsonValue> {
    let entry = this.#growing.get(key);
    if (entry === undefined) {
      entry = new Map(Object.entries(objectOf(this.#valueOf(key))));
      this.#growing.set(key, entry);
    }
    return entry;
  }

  #set(key: string, value: JsonValue): void {
    this.#entries.set(key, { ...objectOf(this.#entries.get(key)), value });
  }
}

/** What a config says of tracelet's; undefined if that is nothing that can be read. Most of other people's are not parsed. */
export function storedIn(config: string): StoredState | undefined {
  if (!config.includes(`"${STATE_KEY}"`)) return undefined;
  try {
    return new RunConfig(config).stored;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

const NO_ENVIRONMENT: RunEnvironment = {};

/** The key of what it says of where the run was made: each writer of a run has one. */
const WRITER = "tracelet";

function metricOf(summary: JsonValue | undefined, goal: JsonValue | undefined): Metric {
  const known = goal === GOALS.min ? "min" : goal === GOALS.max ? "max" : undefined;
  if (known === undefined) return {};
  return { goal: known, hasBest: Array.isArray(summary) && summary.includes(SUMMARY[known]) };
}

function withoutUndefined(fields: { readonly [key: string]: JsonValue | undefined }): {
  readonly [key: string]: JsonValue;
} {
  const known = Object.entries(fields).filter((entry): entry is [string, JsonValue] => entry[1] !== undefined);
  return Object.fromEntries(known);
}

/** A config has no numbers that JSON lacks: the web page could not show it. */
export function jsonOf(value: PythonValue): JsonValue {
  if (value instanceof PythonObject) return value.text;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return (value as readonly PythonValue[]).map(jsonOf);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, jsonOf(each as PythonValue)]));
}

/** Whether a hyperparameter would be one of the entries that are none, or is what such a one is renamed to. */
function isReserved(name: string): boolean {
  return OWN_ENTRIES.has(name.replace(/^(hparams\/)*/, "").split("/", 1)[0] as string);
}
