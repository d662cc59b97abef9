/** Values as Python's `str` prints them, since that is what MLflow's own client would have stored as a param. */
import type { HparamValue } from "./datum.ts";

/** A Python object, as Python prints it. */
export class PythonObject {
  /** As `str` has it. */
  readonly text: string;
  /** As `repr` has it, and so the `str` of what it stands in. */
  readonly repr: string;

  constructor(text: string, repr: string = text) {
    this.text = text;
    this.repr = repr;
  }
}

/** A value of a YAML file that Python wrote. What holds an object is one itself. */
export type PythonValue = HparamValue | PythonObject;

/** The value as `str` prints it. */
export function pythonText(value: PythonValue): string {
  if (value instanceof PythonObject) return value.text;
  return typeof value === "string" ? value : pythonRepr(value);
}

/** The value as `repr` prints it. */
export function pythonRepr(value: PythonValue): string {
  if (value instanceof PythonObject) return value.repr;
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return String(value);
  if (typeof value === "number") return floatRepr(value);
  if (typeof value === "string") return stringRepr(value);
  if (isList(value)) return `[${value.map(pythonRepr).join(", ")}]`;
  return `{${Object.entries(value)
    .map(([key, item]) => `${stringRepr(key)}: ${pythonRepr(item)}`)
    .join(", ")}}`;
}

function isList(
  value: readonly HparamValue[] | { readonly [key: string]: HparamValue },
): value is readonly HparamValue[] {
  return Array.isArray(value);
}

/** The same shortest digits as JavaScript's, but an exponent from 1e16 on and below 1e-4, of two digits at least. */
export function floatRepr(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const magnitude = Math.abs(value);
  if (magnitude >= 1e16 || magnitude < 1e-4) {
    const [digits, exponent] = value.toExponential().split("e") as [string, string];
    return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
  }
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

export function stringRepr(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(/\\|(?! )[\p{C}\p{Z}]/gu, escapeOf);
  return quote + (quote === "'" ? escaped.replaceAll("'", "\\'") : escaped) + quote;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escapeOf(character: string): string {
  const code = character.codePointAt(0) as number;
  const hex = (digits: number) => code.toString(16).padStart(digits, "0");
  return ESCAPES[character] ?? (code < 0x100 ? `\\x${hex(2)}` : code < 0x10000 ? `\\u${hex(4)}` : `\\U${hex(8)}`);
}
