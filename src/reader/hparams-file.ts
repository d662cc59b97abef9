/** `hparams.yaml`, which Lightning writes beside its event files with the exact types of what the user gave. */
import { readFile } from "node:fs/promises";
import { parseDocument } from "yaml";
import type { HparamValue } from "./datum.ts";
import { displayPath, type EventFileEntry } from "./discover.ts";

const MAX_BYTES = 10 * 1024 * 1024;

/**
 * Read it, nested mappings flattened with `/` as Lightning's own logger flattens them.
 *
 * @throws Error, with the path in its message, if it cannot be read or is no YAML mapping
 */
export async function readHparamsFile(entry: EventFileEntry): Promise<Map<string, HparamValue>> {
  if (entry.size > MAX_BYTES) throw new Error(`${displayPath(entry.path)} is larger than ${MAX_BYTES} bytes`);
  const text = await readFile(entry.path, "utf8");
  // Tags of Python objects are not resolved: what they hold is taken as plain data, and nothing is ever constructed.
  const document = parseDocument(text, { intAsBigInt: true, logLevel: "silent" });
  const [error] = document.errors;
  if (error !== undefined) throw new Error(`${displayPath(entry.path)} is not YAML: ${error.message}`);
  const flat = new Map<string, HparamValue>();
  const content: unknown = document.toJS({ mapAsMap: true, maxAliasCount: 100 });
  if (content instanceof Map) flatten(content, "", flat);
  else if (content !== null) throw new Error(`${displayPath(entry.path)} holds no mapping`);
  return flat;
}

function flatten(mapping: ReadonlyMap<unknown, unknown>, prefix: string, into: Map<string, HparamValue>): void {
  for (const [key, value] of mapping) {
    const name = prefix + String(key);
    if (value instanceof Map) flatten(value, `${name}/`, into);
    else into.set(name, plain(value));
  }
}

function plain(value: unknown): HparamValue {
  if (value === null || value === undefined) return null;
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [String(key), plain(item)]));
  if (typeof value === "number" || typeof value === "bigint" || typeof value === "boolean") return value;
  return typeof value === "string" ? value : JSON.stringify(value);
}
