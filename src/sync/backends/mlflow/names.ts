/**
 * Tags → MLflow's keys. A tag that MLflow allows is kept as it is; any other is made valid, readable and unique.
 *
 * Source: `_validate_metric_name`, `bad_path_message` in mlflow/utils/validation.py.
 */
import { createHash } from "node:crypto";

/** MLflow counts characters as Python does, by code point. */
const MAX_KEY = 250;
/** Leaves room for a suffix, and for the prefix of the run tag that keeps the original. */
const MAX_READABLE = 200;

// Python's \w, without the newline its `$` lets pass.
const ALLOWED = /^[\p{L}\p{N}_/.\- :]+$/u;
const NOT_ALLOWED = /[^\p{L}\p{N}_/.\- :]/gu;

/** Whether MLflow takes the text as the key of a metric, param or tag. */
export function isValidKey(key: string): boolean {
  if (!ALLOWED.test(key) || (key.length > MAX_KEY && [...key].length > MAX_KEY)) return false;
  return key.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/** The keys of one run: no two names ever share one. */
export class KeyNames {
  readonly #keys = new Map<string, string>();
  readonly #names = new Map<string, string>();

  /** @param known the names that already have a key, by key */
  constructor(known: Iterable<readonly [key: string, name: string]>) {
    for (const [key, name] of known) this.#bind(key, name);
  }

  /** The key of a name, the same on every call. */
  keyOf(name: string): string {
    return this.#keys.get(name) ?? this.#choose(name);
  }

  #choose(name: string): string {
    if (isValidKey(name) && !this.#names.has(name)) return this.#bind(name, name);
    const digest = createHash("sha256").update(name).digest("hex");
    for (let at = 0; ; at = (at + 8) % (digest.length - 8)) {
      const key = `${readable(name)}-${digest.slice(at, at + 8)}`;
      if (!this.#names.has(key)) return this.#bind(key, name);
    }
  }

  #bind(key: string, name: string): string {
    this.#keys.set(name, key);
    this.#names.set(key, name);
    return key;
  }
}

/** What can be kept of a name, as a valid beginning of a key. */
function readable(name: string): string {
  const parts = name.replace(NOT_ALLOWED, "_").split("/");
  const kept = parts.filter((part) => part !== "").map((part) => (part === "." || part === ".." ? "_" : part));
  return [...(kept.join("/") || "_")].slice(0, MAX_READABLE).join("").replace(/\/+$/, "");
}
