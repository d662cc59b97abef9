/** `hparams.yaml`, which Lightning writes beside its event files with the exact types of what the user gave. */
import { Lexer, Parser, parseDocument } from "yaml";
import { displayPath, type EventFileEntry } from "./discover.ts";
import { dictOf, listOf, NotReadable, pythonBytes, pythonObject, pythonScalar, setText } from "./python-objects.ts";
import { PythonObject, type PythonValue, pythonText } from "./python-text.ts";
import { keepPythonTags, PythonScalar, pythonTagOf } from "./python-yaml.ts";

/** What parses it takes some 500 bytes for each value of two. */
const MAX_BYTES = 2 * 1024 * 1024;
const MAX_DEPTH = 100;
/** PyYAML writes an alias wherever one object is used again; a bomb of nested ones soon counts more. */
const MAX_ALIASES = 10_000;
/** With each alias counted as what it stands for; the merges of a file, each as long as the file, are as many at most. */
const MAX_VALUES = 1_000_000;

/** What the texts of all values may take together, with each alias counted as what it stands for. Characters. */
const MAX_TEXT = 64 * 1024 * 1024;

export interface HparamsFile {
  readonly hparams: ReadonlyMap<string, PythonValue>;
  /** Those that only Python can read, and what they are. */
  readonly unreadable: ReadonlyMap<string, string>;
}

/**
 * Read it, nested mappings flattened with `/` as Lightning's own logger flattens them. An object of Python's is one value,
 * as Python prints it, and never constructed.
 *
 * @throws Error, with the path in its message, if it cannot be read or is no YAML mapping
 */
export async function readHparamsFile(entry: EventFileEntry): Promise<HparamsFile> {
  const name = displayPath(entry.path);
  if (entry.size > MAX_BYTES) throw new Error(`${name} is larger than ${MAX_BYTES} bytes`);
  const text = Buffer.from((await entry.store.whole(entry)).bytes).toString();
  if (text.split("<<").length * text.length > 20 * MAX_VALUES) throw new Error(`${name} merges too many mappings`);
  if (isDeep(text)) throw new Error(`${name} is nested more than ${MAX_DEPTH} deep`);
  const document = parseDocument(text, OPTIONS);
  const [error] = document.errors;
  if (error !== undefined) throw new Error(`${name} is not YAML: ${error.message} at ${placeOf(text, error.pos[0])}`);
  const file = { hparams: new Map<string, PythonValue>(), unreadable: new Map<string, string>() };
  let content: unknown;
  try {
    keepPythonTags(document);
    content = document.toJS({ mapAsMap: true, maxAliasCount: MAX_ALIASES });
    if (content instanceof Map) flatten(content, "", file, { depth: 0, room: { values: MAX_VALUES, text: MAX_TEXT } });
  } catch (cause) {
    throw new Error(`${name} is not YAML: ${(cause as Error).message}`, { cause });
  }
  if (!(content instanceof Map) && content !== null) throw new Error(`${name} holds no mapping`);
  return file;
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

interface Flat {
  readonly hparams: Map<string, PythonValue>;
  readonly unreadable: Map<string, string>;
}

function flatten(mapping: ReadonlyMap<unknown, unknown>, prefix: string, into: Flat, within: Within): void {
  for (const [key, value] of mapping) {
    const name = prefix + keyText(key, within);
    if (isMapping(value)) {
      flatten(value, `${name}/`, into, deeper(within));
      continue;
    }
    try {
      into.hparams.set(name, plain(value, within));
      into.unreadable.delete(name);
    } catch (error) {
      if (!(error instanceof NotReadable)) throw error;
      into.unreadable.set(name, error.message);
    }
  }
}

/** Whether it is a mapping of Python's own, and no object that is written as one. */
function isMapping(value: unknown): value is ReadonlyMap<unknown, unknown> {
  if (!(value instanceof Map)) return false;
  const tag = pythonTagOf(value);
  return tag === undefined || tag === "dict";
}

function keyText(key: unknown, within: Within): string {
  try {
    return typeof key === "object" && key !== null ? pythonText(plain(key, within)) : String(key);
  } catch (error) {
    if (!(error instanceof NotReadable)) throw error;
    return error.message;
  }
}

/** How deep a value stands, and how many there may still be, and of what length. */
interface Within {
  readonly depth: number;
  readonly room: { values: number; text: number };
}

/** An alias can stand within what it stands for. */
function deeper({ depth, room }: Within): Within {
  if (depth >= MAX_DEPTH) throw new Error(`nested more than ${MAX_DEPTH} deep`);
  return { depth: depth + 1, room };
}

/** @throws NotReadable for an object that only Python can read; Error if there is too much of it */
function plain(value: unknown, within: Within): PythonValue {
  const { room } = within;
  if (room.values-- <= 0) throw new Error(`there are more than ${MAX_VALUES} values`);
  if (typeof value === "string") room.text -= value.length;
  if (room.text < 0) throw new Error(`there are more than ${MAX_TEXT} characters`);
  if (value === null || value === undefined) return null;
  const inner = (item: unknown) => plain(item, deeper(within));
  if (value instanceof PythonScalar) return pythonScalar(value.tag, value.text);
  if (value instanceof Uint8Array) return pythonBytes(value);
  if (value instanceof Date) return dateText(value);
  if (value instanceof Set) return new PythonObject(setText(Array.from(value, inner)));
  if (isMapping(value)) return dictOf(Array.from(value, ([key, item]) => [inner(key), inner(item)]));
  if (Array.isArray(value) || value instanceof Map) {
    const tag = pythonTagOf(value);
    if (tag !== undefined) return pythonObject(tag, value, inner);
    return listOf((value as readonly unknown[]).map(inner));
  }
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

function dateText(date: Date): PythonObject {
  const text = date
    .toISOString()
    .replace("T", " ")
    .replace("Z", "")
    .replace(/\.000$/, "");
  return new PythonObject(text.replace(/\.\d+$/, (fraction) => fraction.padEnd(7, "0")));
}
