/** Options as a program gives them: values, or the text that the command line takes. */
import { TraceletError } from "../errors.ts";
import type { FormValues, OptionDefinition, OptionTable } from "../sync/option.ts";
import { parseText } from "./forms.ts";
import { kindNames } from "./kinds.ts";

/** What may be given for each option of a table. */
export type Given<Table> = { readonly [Name in keyof Table]?: GivenFor<Table[Name]> | undefined };

type GivenFor<Option> = ValueFor<Option> | (Option extends { readonly preset: string } ? boolean : never);

type ValueFor<Option> = Option extends { readonly choices: readonly (infer Choice)[] }
  ? Choice
  : Option extends { readonly form: "structure"; readonly type: infer Structure }
    ? Structure
    : Option extends { readonly form: infer Form extends keyof FormValues }
      ? Form extends "duration" | "bytes" | "time"
        ? number | string
        : Form extends "globs" | "names" | "kinds"
          ? string | FormValues[Form]
          : FormValues[Form]
      : never;

/**
 * The same with what was left out, and texts read: `giveUpAfter: "10m"` is 600,000.
 *
 * @throws TraceletError `usage`
 */
export function withDefaults(table: OptionTable, given: object): Record<string, unknown> {
  for (const name of Object.keys(given))
    if (!(name in table)) throw new TraceletError("usage", `there is no option ${name}`, { hint: hintFor(table) });
  const values = new Map(Object.entries(given));
  return Object.fromEntries(
    Object.entries(table).map(([name, option]) => {
      const value = values.get(name);
      return [name, value === undefined ? defaultOf(option) : valueOf(name, option, value)];
    }),
  );
}

export function defaultOf({ form, default: byDefault }: OptionDefinition): unknown {
  if (form === "flag") return false;
  if (form === "switch") return true;
  return typeof byDefault === "function" ? byDefault(process.env) : byDefault;
}

function hintFor(table: OptionTable): string {
  return `there are ${Object.keys(table).join(", ")}`;
}

/** The value of an option from what a program gives for it. @throws TraceletError `usage` */
function valueOf(name: string, option: OptionDefinition, given: unknown): unknown {
  try {
    return readGiven(option, given);
  } catch (error) {
    if (!(error instanceof TraceletError)) throw error;
    throw new TraceletError("usage", `option ${name}: ${error.message}`, { hint: error.hint });
  }
}

/**
 * The value of an option from data: what a program or a configuration file gives for it. A structure is left as it is.
 *
 * @throws TraceletError `usage`, whose message begins with "it" and does not name the option
 */
export function readGiven(option: OptionDefinition, given: unknown): unknown {
  const { form, choices, atMost = Infinity, unit } = option;
  const refuse = (what: string) => new TraceletError("usage", what, { hint: allowedText(option) });
  const read = (text: string) => parseText(option, text, undefined);
  // As the flag without a value, or no flag.
  if (option.preset !== undefined && typeof given === "boolean") return given ? read(option.preset) : undefined;
  const isText = typeof given === "string";
  const isNumber = typeof given === "number";
  switch (form) {
    case "flag":
    case "switch":
      if (typeof given === "boolean") return given;
      throw refuse("it must be true or false");
    case "text":
      if (isText && (choices?.includes(given) ?? true)) return given;
      throw refuse(choices === undefined ? "it must be a text" : `it must be one of ${choices.join(", ")}`);
    case "count":
    case "port":
      if (isNumber) return read(String(given));
      break;
    case "duration":
      if (isText || (isNumber && given >= 0 && unit !== undefined)) return read(String(given));
      if (isNumber && given >= 0) return Math.min(given, atMost);
      break;
    case "time":
      if (isText || (isNumber && given >= 0)) return read(String(given));
      break;
    case "bytes":
      if (isText) return read(given);
      if (isNumber && given >= 0) return Math.min(given, atMost);
      break;
    case "globs":
    case "names":
      if (isText) return read(given);
      if (isTexts(given)) return given;
      break;
    case "kinds":
      if (isText || isTexts(given)) return read(String(given));
      break;
    case "structure":
      return given;
  }
  throw refuse(option.secret === true ? "it cannot be that" : `it cannot be ${JSON.stringify(given)}`);
}

/** What an option can be, for people. */
function allowedText({ form, choices, unit }: OptionDefinition): string | undefined {
  switch (form) {
    case "flag":
    case "switch":
      return "true or false";
    case "text":
      return choices === undefined ? "a text; in quotes where it looks like something else" : choices.join(", ");
    case "count":
      return "a whole number, 1 or more";
    case "port":
      return "a port, 0 to 65535";
    case "duration":
      return `a time such as "90s", "10m" or "2h", or a number of ${unit === "s" ? "seconds" : "milliseconds"}`;
    case "time":
      return 'a time such as "2026-11-27T15:12", "now" or "2h" (ago), or a number of seconds since 1970';
    case "bytes":
      return 'a size such as "512kB" or "1MB", or a number of bytes';
    case "globs":
    case "names":
      return "a list of texts, or one text with commas between";
    case "kinds":
      return `a list of kinds: ${kindNames()}`;
    case "structure":
      return undefined;
  }
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
