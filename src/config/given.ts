/** Options as a program gives them: values, or the text that the command line takes. */
import { TraceletError } from "../errors.ts";
import type { FormValues, OptionDefinition, OptionTable } from "../sync/option.ts";
import { PARSERS } from "./forms.ts";

/** What may be given for each option of a table. */
export type Given<Table> = { readonly [Name in keyof Table]?: GivenFor<Table[Name]> | undefined };

type GivenFor<Option> = Option extends { readonly choices: readonly (infer Choice)[] }
  ? Choice
  : Option extends { readonly form: infer Form extends keyof FormValues }
    ? Form extends "duration" | "bytes"
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

/** @throws TraceletError `usage` */
function valueOf(name: string, { form, choices, atMost = Infinity }: OptionDefinition, value: unknown): unknown {
  const refuse = (what: string) => new TraceletError("usage", `option ${name}: ${what}`);
  const read = (text: string): unknown => {
    try {
      return (PARSERS[form as keyof typeof PARSERS] as (text: string, before: undefined) => unknown)(text, undefined);
    } catch (error) {
      throw error instanceof TraceletError ? refuse(error.message) : error;
    }
  };
  const isText = typeof value === "string";
  const isNumber = typeof value === "number";
  switch (form) {
    case "flag":
    case "switch":
      if (typeof value === "boolean") return value;
      throw refuse("it must be true or false");
    case "text":
      if (isText && (choices?.includes(value) ?? true)) return value;
      throw refuse(choices === undefined ? "it must be a text" : `it must be one of ${choices.join(", ")}`);
    case "count":
    case "port":
      if (isNumber) return read(String(value));
      break;
    case "duration":
    case "bytes":
      if (isText) return Math.min(Number(read(value)), atMost);
      if (isNumber && value >= 0) return Math.min(value, atMost);
      break;
    case "globs":
    case "names":
      if (isText) return read(value);
      if (isTexts(value)) return value;
      break;
    case "kinds":
      if (isText || isTexts(value)) return read(String(value));
  }
  throw refuse(`it cannot be ${JSON.stringify(value)}`);
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}
