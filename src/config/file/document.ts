/** A configuration file → its value, and where in the file a key is. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import { placeOf } from "./place.ts";

/** Keys and indices from the top down. */
export type KeyPath = readonly (string | number)[];

export interface ConfigDocument {
  /** Absolute. */
  readonly file: string;
  /** Ours alone, where the file is another tool's. */
  readonly value: unknown;
  /** From 1; undefined where the format's parser does not tell. */
  lineOf(path: KeyPath): number | undefined;
}

/** Where in another tool's file our section is. */
const SECTIONS: ReadonlyMap<string, KeyPath> = new Map([
  ["package.json", ["tracelet"]],
  ["pyproject.toml", ["tool", "tracelet"]],
]);

/**
 * @param file absolute
 * @returns undefined if it is another tool's and has no section of ours
 * @throws TraceletError `usage`
 */
export async function readDocument(file: string): Promise<ConfigDocument | undefined> {
  const section = SECTIONS.get(path.basename(file));
  if (section !== undefined) return sectionOf(file, section);
  const extension = path.extname(file).slice(1);
  switch (extension) {
    case "json":
    case "yaml":
    case "yml":
    case "toml":
      return parse(file, read(file), extension);
    case "js":
    case "mjs":
    case "cjs":
    case "ts":
    case "mts": {
      const { importConfig } = await import("./module.ts");
      return { file, value: await importConfig(file), lineOf: () => undefined };
    }
    default:
      throw new TraceletError("usage", `${file} has none of the endings of a configuration file`, {
        hint: "they are .ts, .js, .mjs, .json, .yaml and .toml",
      });
  }
}

async function sectionOf(file: string, section: KeyPath): Promise<ConfigDocument | undefined> {
  const text = read(file);
  // Most of them have none, and need not be parsed to know.
  if (!text.includes("tracelet")) return undefined;
  const document = await parse(file, text, path.extname(file).slice(1));
  let value = document.value;
  for (const key of section) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key as string];
  }
  return { file, value, lineOf: (keys) => document.lineOf([...section, ...keys]) };
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    throw new TraceletError("usage", `the configuration file ${file} cannot be read (${code})`, { cause: error });
  }
}

async function parse(file: string, text: string, format: string): Promise<ConfigDocument> {
  if (format === "toml") return parseToml(file, text);
  const { LineCounter, isMap, isScalar, isSeq, parseDocument } = await import("yaml");
  const lines = new LineCounter();
  // JSON is YAML; what YAML takes beyond it is refused by JSON's own parser.
  const document = parseDocument(text, { lineCounter: lines, merge: true, prettyErrors: false });
  const [error] = document.errors;
  if (error !== undefined) throw malformed(file, lines.linePos(error.pos[0]).line, error.message);
  const value: unknown = format === "json" ? parseJson(file, text) : toJs(file, document);
  const lineOf = (keys: KeyPath): number | undefined => {
    let node: unknown = document.contents;
    let offset: number | undefined;
    for (const key of keys) {
      const found = isMap(node)
        ? node.items.find((pair) => isScalar(pair.key) && pair.key.value === key)
        : isSeq(node)
          ? { key: node.items[key as number], value: node.items[key as number] }
          : undefined;
      // What came by an alias is where the alias is.
      if (found === undefined) break;
      const range = (found.key as { readonly range?: readonly number[] | null } | undefined)?.range;
      offset = range?.[0] ?? offset;
      node = found.value;
    }
    return offset === undefined ? undefined : lines.linePos(offset).line;
  };
  return { file, value, lineOf };
}

function toJs(file: string, document: { toJS(): unknown }): unknown {
  try {
    return document.toJS();
  } catch (error) {
    // Too many aliases.
    throw malformed(file, undefined, (error as Error).message);
  }
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const { message } = error as SyntaxError;
    const at = /position (\d+)/.exec(message)?.[1];
    const line = at === undefined ? undefined : text.slice(0, Number(at)).split("\n").length;
    throw malformed(file, line, message);
  }
}

async function parseToml(file: string, text: string): Promise<ConfigDocument> {
  const { parse: parseText, TomlError } = await import("smol-toml");
  try {
    return { file, value: parseText(text), lineOf: () => undefined };
  } catch (error) {
    const line = error instanceof TomlError ? error.line : undefined;
    throw malformed(file, line, (error as Error).message);
  }
}

function malformed(file: string, line: number | undefined, problem: string): TraceletError {
  // What follows shows the place, in several lines.
  const [what = ""] = problem.split("\n", 1);
  return new TraceletError("usage", `${placeOf(file, line)}: ${what}`, { hint: "--no-config goes on without it" });
}
