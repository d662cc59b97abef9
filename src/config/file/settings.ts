/** A configuration file's value → the options it gives, checked. */
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import type { OptionDefinition, OptionTable } from "../../sync/option.ts";
import { isPath } from "../backends.ts";
import { readGiven } from "../given.ts";
import { shapedValue } from "../structures.ts";
import type { ConfigDocument, KeyPath } from "./document.ts";
import { type KeyMeaning, keysOf, suggestionFor } from "./names.ts";
import { placeOf } from "./place.ts";

/** An option that a file gives. */
export interface Setting {
  /** As a command takes it. */
  readonly value: unknown;
  /** As it is written, with its paths made absolute: as a program would give it. */
  readonly given: unknown;
  /** As it is written, such as `sources[0].exp_name`. */
  readonly key: string;
  readonly file: string;
  readonly line: number | undefined;
}

/** Options by their names in the table; `logdirs` is one of them here. */
export type SettingMap = ReadonlyMap<string, Setting>;

export interface Settings {
  readonly file: string;
  readonly values: SettingMap;
  /** Each with what it inherits from the top level. */
  readonly sources: readonly SettingMap[];
  /** Keys that are known and mean nothing here. */
  readonly withoutMeaning: readonly string[];
}

/** What may be in a file beside the options of commands. */
const LOGDIRS: OptionDefinition = {
  form: "names",
  help: "what is given to tensorboard --logdir, for commands that are given none",
  path: "file",
};

/** Options that hold for a command as a whole, and so for no single source. */
export const COMMAND_WIDE: ReadonlySet<string> = new Set([
  ...["dryRun", "json", "quiet", "verbose", "logLevel", "metricsPort", "shutdownTimeout"],
  ...["pid", "untilIdle", "untilEof"],
]);

/** The options that a file may have: all but those that say which file it is. */
export function fileTable(tables: readonly OptionTable[]): OptionTable {
  const { config: _, ...table } = Object.assign({}, ...tables) as Record<string, OptionDefinition>;
  return { ...table, logdirs: LOGDIRS };
}

/** @throws TraceletError `usage` with the file, the line if it is known, and the key */
export async function settingsOf(document: ConfigDocument, table: OptionTable): Promise<Settings> {
  const reader = new Reader(document, table);
  const { sources = [], ...top } = reader.object(document.value, []);
  const values = await reader.options(top, []);
  if (!Array.isArray(sources)) throw reader.wrong(["sources"], "it must be a list", 'sources: [{ "logdirs": "runs" }]');
  const all: SettingMap[] = [];
  for (const [index, source] of (sources as readonly unknown[]).entries()) {
    const at = ["sources", index];
    const own = await reader.options(reader.object(source, at), at);
    const merged = new Map([...values, ...own]);
    if (!merged.has("logdirs"))
      throw reader.wrong(at, "it has no logdirs", "each source needs logdirs, or inherits them from the top level");
    all.push(merged);
  }
  return { file: document.file, values, sources: all, withoutMeaning: reader.withoutMeaning };
}

/** The backends that a file names, before its options are known: plug-ins bring options of their own. */
export function namedBackends({ value, file }: ConfigDocument): string[] {
  const at = (where: unknown): string[] => {
    if (typeof where !== "object" || where === null) return [];
    const { backend, sources } = where as { readonly backend?: unknown; readonly sources?: unknown };
    const names = (
      typeof backend === "string" ? backend.split(",") : Array.isArray(backend) ? backend : []
    ) as unknown[];
    const nested = Array.isArray(sources) ? sources.flatMap(at) : [];
    return [...names.filter((name) => typeof name === "string").map((name) => name.trim()), ...nested];
  };
  return at(value)
    .filter((name) => name !== "")
    .map((name) => absolute(name, "plug-in", path.dirname(file)));
}

class Reader {
  readonly withoutMeaning: string[] = [];
  readonly #document: ConfigDocument;
  readonly #table: OptionTable;
  readonly #keys: ReadonlyMap<string, KeyMeaning>;

  constructor(document: ConfigDocument, table: OptionTable) {
    this.#document = document;
    this.#table = table;
    this.#keys = keysOf(table);
  }

  object(value: unknown, at: KeyPath): Readonly<Record<string, unknown>> {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
    // An empty YAML file is null.
    if (value === null && at.length === 0) return {};
    throw this.wrong(at, "it must be an object with options", undefined);
  }

  async options(given: Readonly<Record<string, unknown>>, at: KeyPath): Promise<SettingMap> {
    const settings = new Map<string, Setting>();
    for (const [key, value] of Object.entries(given)) {
      if (key === "$schema" && at.length === 0) continue;
      const where = [...at, key];
      const meaning = this.#keys.get(key);
      if (meaning === undefined) throw this.#unknown(where);
      const { option } = meaning;
      if (at.length > 0 && option !== undefined && COMMAND_WIDE.has(option))
        throw this.wrong(where, "it holds for all sources", "give it at the top level of the file");
      // Written out in code, perhaps from a variable that is not set.
      if (value === undefined) continue;
      if (option === undefined) {
        this.withoutMeaning.push(shown(where));
        continue;
      }
      const before = settings.get(option);
      if (before !== undefined)
        throw this.wrong(where, `it is given twice, by ${before.key} as well`, "keep one of them");
      settings.set(option, await this.#setting(option, meaning, value, where));
    }
    return settings;
  }

  async #setting(option: string, { isNegated }: KeyMeaning, value: unknown, where: KeyPath): Promise<Setting> {
    const definition = this.#table[option] as OptionDefinition;
    // A path may have a comma in it.
    const given = this.#absolute(definition, option === "logdirs" && typeof value === "string" ? [value] : value);
    const isNothing = option === "logdirs" && Array.isArray(given) && (given.length === 0 || given.includes(""));
    if (isNothing) throw this.wrong(where, "it must be a path, or a list of at least one", undefined);
    const origin = { key: shown(where), file: this.#document.file, line: this.#document.lineOf(where) };
    const isPlain = definition.form !== "structure" && (typeof given !== "object" || Array.isArray(given));
    const shaped = isPlain ? undefined : await shapedValue(option, given);
    if (shaped !== undefined && "problem" in shaped)
      throw this.wrong([...where, ...shaped.path], shaped.problem, undefined);
    if (shaped !== undefined) {
      // A program gives an option of another form as its flag would have been read.
      return { ...origin, value: shaped.value, given: definition.form === "structure" ? given : shaped.value };
    }
    try {
      const read = readGiven(definition, given);
      return { ...origin, value: isNegated ? read !== true : read, given: isNegated ? given !== true : given };
    } catch (error) {
      if (!(error instanceof TraceletError)) throw error;
      throw this.wrong(where, error.message, error.hint === undefined ? undefined : `allowed is ${error.hint}`);
    }
  }

  /** The value with its paths made absolute. */
  #absolute({ path: kind, form }: OptionDefinition, value: unknown): unknown {
    // TOML has dates of its own.
    if (value instanceof Date) return value.toISOString();
    if (kind === undefined) return value;
    const directory = path.dirname(this.#document.file);
    const resolve = (each: unknown): unknown =>
      typeof each === "string" ? absolute(each.trim(), kind, directory) : each;
    if (Array.isArray(value)) return value.map(resolve);
    return form === "names" && typeof value === "string" ? value.split(",").map(resolve) : resolve(value);
  }

  #unknown(where: KeyPath): TraceletError {
    const suggestion = suggestionFor(String(where.at(-1)), this.#keys.keys());
    const hint = suggestion === undefined ? "tracelet config lists the options" : `did you mean ${suggestion}?`;
    return this.wrong(where, "there is no such option", hint);
  }

  wrong(where: KeyPath, problem: string, hint: string | undefined): TraceletError {
    const { file } = this.#document;
    const place = placeOf(file, this.#document.lineOf(where));
    const key = where.length === 0 ? "" : ` ${shown(where)}:`;
    return new TraceletError("usage", `${place}:${key} ${problem}`, { hint });
  }
}

function absolute(text: string, kind: NonNullable<OptionDefinition["path"]>, directory: string): string {
  switch (kind) {
    case "file":
      return ["-", ""].includes(text) ? text : path.resolve(directory, text);
    case "plug-in":
      return isPath(text) ? path.resolve(directory, text) : text;
    case "sqlite": {
      const relative = /^(sqlite(?:\+\w+)?:\/\/\/)([^/].*)$/i.exec(text);
      // As in SQLAlchemy: three slashes and a path; an absolute one begins with the fourth.
      return relative === null ? text : `${relative[1]}${path.resolve(directory, relative[2] as string)}`;
    }
  }
}

/** `sources[0].exp_name`. */
function shown(path: KeyPath): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : text === "" ? key : `${text}.${key}`),
    "",
  );
}
