/** `hparams.yaml`, which Lightning writes beside its event files with the exact types of what the user gave. */
import { Lexer, Parser, parseDocument } from "yaml";
import { SmallFile } from "./byte-source.ts";
import type { HparamValue } from "./datum.ts";
import { displayPath, type EventFileEntry } from "./discover.ts";

/** What parses it takes some 500 bytes for each value of two. */
const MAX_BYTES = 2 * 1024 * 1024;
const MAX_DEPTH = 100;
/** PyYAML writes an alias wherever one object is used again; a bomb of nested ones soon counts more. */
const MAX_ALIASES = 10_000;
/** With each alias counted as what it stands for; the merges of a file, each as long as the file, are as many at most. */
const MAX_VALUES = 1_000_000;

/**
 * Read it, nested mappings flattened with `/` as Lightning's own logger flattens them.
 *
 * @throws Error, with the path in its message, if it cannot be read or is no YAML mapping
 */
export async function readHparamsFile(entry: EventFileEntry): Promise<Map<string, HparamValue>> {
  const name = displayPath(entry.path);
  if (entry.size > MAX_BYTES) throw new Error(`${name} is larger than ${MAX_BYTES} bytes`);
  const text = Buffer.from(new SmallFile(entry.path, entry.size).bytes).toString();
  if (text.split("<<").length * text.length > 20 * MAX_VALUES) throw new Error(`${name} merges too many mappings`);
  if (isDeep(text)) throw new Error(`${name} is nested more than ${MAX_DEPTH} deep`);
  // Tags of Python objects are not resolved: what they hold is taken as plain data, and nothing is ever constructed.
  const document = parseDocument(text, OPTIONS);
  const [error] = document.errors;
  if (error !== undefined) throw new Error(`${name} is not YAML: ${error.message} at ${placeOf(text, error.pos[0])}`);
  const flat = new Map<string, HparamValue>();
  let content: unknown;
  try {
    content = document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIASES });
    if (content instanceof Map) flatten(content, "", flat, { depth: 0, room: { values: MAX_VALUES } });
  } catch (cause) {
    throw new Error(`${name} is not YAML: ${(cause as Error).message}`, { cause });
  }
  if (!(content instanceof Map) && content !== null) throw new Error(`${name} holds no mapping`);
  return flat;
}

const OPTIONS = {
  intAsBigInt: true,
  logLevel: "error",
  uniqueKeys: false,
  merge: true,
  // Each of any number of errors would look for its place in the text from the start.
  prettyErrors: false,
} as const;

function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n");
  return `line ${before.length}, column ${(before.at(-1) as string).length + 1}`;
}

/** Found out before it is parsed: what parses it recurses, and V8 aborts if the stack ends within a regular expression. */
function isDeep(text: string): boolean {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme));
    if (parser.stack.length > MAX_DEPTH) return true;
  }
  return false;
}

function flatten(
  mapping: ReadonlyMap<unknown, unknown>,
  prefix: string,
  into: Map<string, HparamValue>,
  within: Within,
): void {
  for (const [key, value] of mapping) {
    const name = prefix + String(key);
    if (value instanceof Map) flatten(value, `${name}/`, into, deeper(within));
    else into.set(name, plain(value, within));
  }
}

/** How deep a value stands, and how many there may still be. */
interface Within {
  readonly depth: number;
  readonly room: { values: number };
}

/** An alias can stand within what it stands for. */
function deeper({ depth, room }: Within): Within {
  if (depth >= MAX_DEPTH) throw new Error(`nested more than ${MAX_DEPTH} deep`);
  return { depth: depth + 1, room };
}

function plain(value: unknown, within: Within): HparamValue {
  if (within.room.values-- <= 0) throw new Error(`there are more than ${MAX_VALUES} values`);
  if (value === null || value === undefined) return null;
  const inner = (item: unknown) => plain(item, deeper(within));
  if (Array.isArray(value)) return value.map(inner);
  if (value instanceof Set) return Array.from(value, inner);
  if (value instanceof Map) return Object.fromEntries(Array.from(value, ([key, item]) => [String(key), inner(item)]));
  if (value instanceof Uint8Array) return Buffer.from(value).toString("base64");
  if (value instanceof Date) return value.toISOString();
  switch (typeof value) {
    case "string":
    case "number":
    case "bigint":
    case "boolean":
      return value;
    default:
      return JSON.stringify(value);
  }
}
