/**
 * Tags → MLflow's keys. A tag that MLflow allows is kept as it is; any other is made valid and readable, with a digest
 * only if that key is taken. Who takes a key depends on the order of the tags; so each changed key stands in a run tag
 * with the name it is for, stored before its values, and whoever opens the run again goes by those.
 *
 * Source: `_validate_metric_name`, `bad_path_message` in mlflow/utils/validation.py.
 */

import { asciiName, isAscii, sha256, storableName, wellFormed } from "../storable-text.ts";
import { folded } from "./collation.ts";

/** MLflow counts characters as Python does, by code point. */
const MAX_KEY = 250;
/** The longest run tag that every MLflow stores whole. */
const MAX_RECORDED = 5000;
const RECORDED = /(?:…|\.\.\.) sha256:[0-9a-f]{64}$/;
/** Leaves room for a suffix, and for the prefix of the run tag that keeps the original. */
const MAX_READABLE = 200;

// Python's \w, without the newline its `$` lets pass.
const ALLOWED = /^[\p{L}\p{N}_/.\- :]+$/u;
const NOT_ALLOWED = /[^\p{L}\p{N}_/.\- :]/gu;

/** Whether MLflow takes the text as the key of a metric, param or tag. */
export function isValidKey(key: string): boolean {
  if (!ALLOWED.test(key) || key.startsWith("..") || (key.length > MAX_KEY && [...key].length > MAX_KEY)) return false;
  return key.split("/").every((part) => part !== "" && part !== "." && part !== "..");
}

/**
 * The run tag that a label of the user's is kept in: its own name, unless MLflow refuses that or tracelet keeps something of
 * its own there. Depends on nothing else, so that a label that is set again replaces itself.
 */
export function labelKey(name: string): string {
  const text = wellFormed(name);
  if (isValidKey(text) && !RESERVED_LABEL.test(text)) return text;
  return `${readable(text.replace(/^(tracelet|mlflow)\./, "$1_"))}-${sha256(text).slice(0, 8)}`;
}

/** The run tag that tells what is known of a metric. Depends on nothing but its name. */
export function metricLabelKey(metric: string): string {
  const key = `tracelet.metric.${labelKey(metric)}`;
  return isValidKey(key) ? key : `tracelet.metric.${sha256(metric)}`;
}

/** Run tags that say what a run is, and what it is a part of. */
const RESERVED_LABEL = /^(?:tracelet\.|mlflow\.(?:runName|parentRunId|loggedImages)$)/;

/** The keys of one run: no two names, as `recordedName` calls them, ever share one. */
export class KeyNames {
  /** Whether keys have to differ by more than a collation may pass over; what had its key before keeps it. */
  folds = false;
  readonly #keys = new Map<string, string>();
  readonly #names = new Map<string, string>();
  readonly #folded = new Set<string>();

  /** @param known the names that already have a key, by key */
  constructor(known: Iterable<readonly [key: string, name: string]>) {
    for (const [key, name] of known) this.#bind(key, name);
  }

  /**
   * Names that are to get their keys next: those that MLflow allows as they are take theirs first, so that of a batch
   * `loss` stays `loss` though `/loss` stands before it.
   */
  expect(names: Iterable<string>): void {
    for (const name of names) {
      if (this.#known(name) === undefined && isValidKey(name) && this.#isFree(name)) this.#bind(name, name);
    }
  }

  /** The key of a name, the same on every call. */
  keyOf(name: string): string {
    return this.#known(name) ?? this.#choose(name);
  }

  /** Whether one of the names gets a key that a database may take for that of another. */
  mayClash(names: Iterable<string>): boolean {
    const fresh = new Map<string, string>();
    for (const name of names) {
      if (this.#known(name) !== undefined) continue;
      const key = folded(isValidKey(name) ? name : readable(name));
      if (this.#folded.has(key) || (fresh.get(key) ?? name) !== name) return true;
      fresh.set(key, name);
    }
    return false;
  }

  #known(name: string): string | undefined {
    const key = this.#keys.get(name);
    if (key !== undefined || isAscii(name)) return key;
    const found = this.#keys.get(asciiRecorded(name));
    return found === undefined ? undefined : this.#bind(found, name);
  }

  #choose(name: string): string {
    for (let attempt = 0; ; attempt++) {
      const key = candidate(name, attempt);
      if (isValidKey(key) && this.#isFree(key)) return this.#bind(key, name);
    }
  }

  #isFree(key: string): boolean {
    return !this.#names.has(key) && !(this.folds && this.#folded.has(folded(key)));
  }

  #bind(key: string, name: string): string {
    this.#keys.set(name, key);
    this.#names.set(key, name);
    this.#folded.add(folded(key));
    return key;
  }
}

/**
 * What a name is called in a run tag, where it can be found again: the name itself, or where it is too long for a tag or
 * holds what no database should be given, what can be stored of its beginning, and its digest. No two names are called
 * the same.
 */
export function recordedName(name: string): string {
  const text = wellFormed(name);
  const storable = storableName(text);
  if (storable === text && text.length <= MAX_RECORDED && !RECORDED.test(text)) return text;
  return `${beginningOf(storable)}… sha256:${sha256(text)}`;
}

/** Whether a run tag may hold the text as what `recordedName` calls something. */
export function isRecordedName(text: string): boolean {
  return text.length <= MAX_RECORDED;
}

/** What a name is called in a run tag of a database that does not store all of its letters. */
export function asciiRecorded(name: string): string {
  return isAscii(name) ? name : `${beginningOf(asciiName(name))}... sha256:${sha256(name)}`;
}

/** What a name is called today that a run tag may hold as older versions wrote it, with control characters. */
export function nameRecorded(found: string): string {
  if (storableName(found) === found) return found;
  const digest = RECORDED.exec(found);
  return digest ? beginningOf(storableName(found.slice(0, digest.index))) + digest[0] : recordedName(found);
}

/** Whether a run tag holds a name, in one of the forms in which it may. */
export function isNameRecorded(name: string, found: string): boolean {
  return nameRecorded(found) === name || found === asciiRecorded(name);
}

function beginningOf(storable: string): string {
  return wellFormed(storable.slice(0, MAX_RECORDED - 100));
}

/** The key that a name gets if it is valid and free: first the name itself, then what is readable of it, then with a digest. */
function candidate(name: string, attempt: number): string {
  if (attempt === 0) return name;
  const text = readable(name);
  if (attempt === 1) return text;
  // Another name may stand in the way, by chance or because somebody wants it to.
  return `${text}-${sha256(attempt === 2 ? name : `${name}\0${attempt - 2}`).slice(0, 8)}`;
}

/** What can be kept of a name: a valid key, but for a cut that leaves a dot of its own at the end. */
function readable(name: string): string {
  const parts = name.replace(RECORDED, "").replace(NOT_ALLOWED, "_").split("/");
  const kept = parts.filter((part) => part !== "").map((part) => (part === "." || part === ".." ? "_" : part));
  const joined = kept.join("/").replace(/^\.(?=\.)/, "_") || "_";
  return [...joined].slice(0, MAX_READABLE).join("").replace(/\/+$/, "");
}
