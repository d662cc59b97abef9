/** A run's config: hyperparameters, which tag is drawn over which axis, and tracelet's own state. */
import { PythonObject, type PythonValue } from "../../reader/python-text.ts";
import { VERSION } from "../../version.ts";
import { type JsonValue, jsonText, objectOf, parseJson } from "./json.ts";
import { jsonOfStored, STATE_KEY, type StoredState, storedOfJson } from "./run-state.ts";

/** W&B's own key. */
const OWN_KEY = "_wandb";
/** What the steps of TensorBoard are called, also by W&B's own sync: each tag is drawn over its own. */
export const STEP_AXIS = "global_step";
/** Its number in the list of metrics, from 1 on. */
const STEP_AXIS_NUMBER = 1;
/** `MetricRecord` of wandb_internal.proto by field numbers: 1 name, 5 step metric, 6 options, 7 summary. */
const OPTIONS = { synced: 1, defined: 3 } as const;

export class RunConfig {
  /** As it came, entry by entry: others may have written some of them. */
  readonly #entries: Map<string, JsonValue>;
  readonly #metrics = new Set<string>();

  /** @throws SyntaxError */
  constructor(text = "{}") {
    this.#entries = new Map(Object.entries(objectOf(parseJson(text))));
    const { m } = objectOf(this.#valueOf(OWN_KEY));
    for (const metric of Array.isArray(m) ? (m as readonly JsonValue[]) : []) {
      const name = objectOf(metric)["1"];
      if (typeof name === "string" && name !== STEP_AXIS) this.#metrics.add(name);
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
    this.#metrics.add(tag);
  }

  /** @returns the name it was given */
  setParam(name: string, value: PythonValue): string {
    const key = name === OWN_KEY || name === STATE_KEY ? `hparams/${name}` : name;
    this.#set(key, jsonOf(value));
    return key;
  }

  /** As it is sent. */
  text(): string {
    const metrics: JsonValue[] = [
      { "1": STEP_AXIS, "6": [OPTIONS.defined], "7": [] },
      ...Array.from(this.#metrics, (name) => ({
        "1": name,
        "5": STEP_AXIS_NUMBER,
        "6": [OPTIONS.synced, OPTIONS.defined],
        "7": [],
      })),
    ];
    // W&B's client goes on with no run that lacks `t`.
    const own = { t: {}, cli_version: `tracelet-${VERSION}`, ...objectOf(this.#valueOf(OWN_KEY)), m: metrics };
    this.#set(OWN_KEY, own);
    return jsonText(Object.fromEntries(this.#entries));
  }

  #valueOf(key: string): JsonValue | undefined {
    return objectOf(this.#entries.get(key))["value"];
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

/** A config has no numbers that JSON lacks: the web page could not show it. */
function jsonOf(value: PythonValue): JsonValue {
  if (value instanceof PythonObject) return value.text;
  if (typeof value === "number") return Number.isFinite(value) ? value : String(value);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return (value as readonly PythonValue[]).map(jsonOf);
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, jsonOf(each as PythonValue)]));
}
