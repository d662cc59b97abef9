/** `tracelet config`: the value of each option, and where it comes from. */
import type { Command } from "commander";
import { flagName, oppositeVariable, sayingNo, variableOf } from "../config/environment.ts";
import { placeOf } from "../config/file/place.ts";
import type { Setting, SettingMap } from "../config/file/settings.ts";
import { masked } from "../config/masking.ts";
import type { Moment, OptionDefinition } from "../sync/option.ts";
import { besideFile } from "./file-values.ts";
import { optionsOf } from "./options.ts";
import type { Surroundings } from "./settings.ts";
import { oneLine, printJson } from "./terminal.ts";

/** Where a value comes from. */
type Origin =
  | { readonly from: "flag"; readonly flag: string }
  | { readonly from: "environment"; readonly variable: string }
  | { readonly from: "file"; readonly file: string; readonly key: string; readonly line: number | null }
  | { readonly from: "default" };

interface Shown {
  readonly name: string;
  /** Fit to be seen. */
  readonly value: unknown;
  /** The same for people. */
  readonly text: string;
  readonly origin: Origin;
}

/** @param command that was parsed */
export function showConfig(command: Command, { settings, plugins }: Surroundings): void {
  const taken = optionsOf("config", plugins).filter(({ name }) => name !== "config");
  const values = command.opts<Record<string, unknown>>();
  const of = (map: SettingMap | undefined, { name, definition }: (typeof taken)[number]): Shown => {
    const setting = map?.get(name);
    const { value, origin } = origins(command, name, definition, values[name], setting);
    const shown = masked(name, definition, value);
    return { name, value: shown, text: textOf(shown, definition, origin), origin };
  };
  const top = [...logdirsOf(settings?.values), ...taken.map((each) => of(settings?.values, each))];
  const sources = (settings?.sources ?? []).map((source) => [
    ...logdirsOf(source),
    ...taken.filter(({ name }) => source.get(name) !== settings?.values.get(name)).map((each) => of(source, each)),
  ]);
  if (values["json"] === true) {
    const object = (shown: readonly Shown[]) =>
      Object.fromEntries(shown.map(({ name, value, origin }) => [name, { value: value ?? null, ...origin }]));
    printJson({ file: settings?.file ?? null, options: object(top), sources: sources.map(object) });
    return;
  }
  const { stdout } = process;
  stdout.write(settings === undefined ? "no configuration file\n" : `${oneLine(settings.file)}\n`);
  stdout.write(`\n${rows(top)}`);
  for (const [index, source] of sources.entries()) stdout.write(`\nsources[${index}]\n${rows(source)}`);
}

function logdirsOf(map: SettingMap | undefined): Shown[] {
  const setting = map?.get("logdirs");
  return setting === undefined
    ? []
    : [{ name: "logdirs", value: setting.value, text: plainText(setting.value), origin: inFile(setting) }];
}

function origins(
  command: Command,
  name: string,
  definition: OptionDefinition,
  value: unknown,
  setting: Setting | undefined,
): { readonly value: unknown; readonly origin: Origin } {
  const from = command.getOptionValueSource(name);
  if (from === "cli") return { value, origin: { from: "flag", flag: `--${flagFor(name, definition, value)}` } };
  const { env } = process;
  if (from === "env") {
    const candidates = [variableOf, oppositeVariable, sayingNo].map((find) => find(name, definition, env));
    const variable = [...candidates, ...(definition.fallbacks ?? [])].find((each) => each !== undefined && env[each]);
    return { value, origin: { from: "environment", variable: variable ?? "" } };
  }
  if (setting !== undefined) {
    const beside = besideFile(name, definition, setting, env);
    if (beside.variable === undefined) return { value: beside.value, origin: inFile(setting) };
    return { value: beside.value, origin: { from: "environment", variable: beside.variable } };
  }
  const fallback = definition.fallbacks?.find((each) => env[each]);
  if (fallback === undefined || value !== undefined) return { value, origin: { from: "default" } };
  return { value: env[fallback], origin: { from: "environment", variable: fallback } };
}

function flagFor(name: string, { form }: OptionDefinition, value: unknown): string {
  const isNegated = (form === "switch" || form === "flag") && value === false;
  return `${isNegated ? "no-" : ""}${flagName(name)}`;
}

function inFile({ file, key, line }: Setting): Origin {
  return { from: "file", file, key, line: line ?? null };
}

function rows(shown: readonly Shown[]): string {
  const cells = shown.map(({ name, text, origin }) => [name, text, originText(origin)] as const);
  const width = (column: 0 | 1) => Math.max(0, ...cells.map((row) => Math.min(MAX_WIDTH, row[column].length)));
  const [names, values] = [width(0), width(1)];
  return cells.map(([name, value, origin]) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${origin}\n`).join("");
}

/** Longer values push the rest of their line aside. */
const MAX_WIDTH = 40;

function textOf(value: unknown, { form, defaultText }: OptionDefinition, origin: Origin): string {
  if (origin.from === "default" && form !== "text" && defaultText !== undefined) return defaultText;
  if (value === undefined && origin.from === "default") return defaultText ?? "-";
  if (form === "time" && value !== undefined) return new Date((value as Moment).at).toISOString();
  return form === "duration" && typeof value === "number" ? durationText(value) : plainText(value);
}

function plainText(value: unknown): string {
  if (value === undefined || (Array.isArray(value) && value.length === 0)) return "-";
  if (typeof value === "string") return oneLine(value);
  const isList = Array.isArray(value) && value.every((each) => typeof each === "string");
  return oneLine(isList ? value.join(", ") : (JSON.stringify(value, (_, each: unknown) => shownFunction(each)) ?? "-"));
}

/** As the option would be given. */
function durationText(ms: number): string {
  const units = [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
  ] as const;
  const [unit, length] = units.find(([, each]) => ms > 0 && ms % each === 0) ?? ["ms", 1];
  return `${ms / length}${unit}`;
}

function shownFunction(value: unknown): unknown {
  return typeof value === "function" ? "(function)" : value;
}

function originText(origin: Origin): string {
  switch (origin.from) {
    case "flag":
      return origin.flag;
    case "environment":
      return `$${origin.variable}`;
    case "file":
      return oneLine(`${placeOf(origin.file, origin.line ?? undefined)} ${origin.key}`);
    case "default":
      return "default";
  }
}
