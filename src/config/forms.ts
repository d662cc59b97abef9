/** The text of an option → its value. */
import { TraceletError } from "../errors.ts";
import type { FormValues, Moment, OptionDefinition } from "../sync/option.ts";
import { wholeMs } from "../whole-ms.ts";
import { parseKinds } from "./kinds.ts";

/**
 * @param before what the option was given earlier in the same place, for those that may be given several times
 * @throws TraceletError `usage`
 */
type Parse<Value> = (text: string, before: Value | undefined) => Value;

/** A whole number, 1 or more. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new TraceletError("usage", "It must be a whole number, 1 or more.");
  return value;
}

/** A TCP port; 0 is any that is free. */
export function parsePort(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535) throw new TraceletError("usage", "It must be a port, 0 to 65535.");
  return value;
}

/** A time such as `90s`, `10m`, `2h`, in ms. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  if (match === null) throw new TraceletError("usage", "It must be a time such as 90s, 10m or 2h.");
  return Number(match[1]) * units[match[2] as keyof typeof units];
}

/** `now`, an ISO time (local unless it says otherwise), seconds since the Unix epoch, or `2h` ago. */
export function parseTime(text: string): Moment {
  if (text === "now") return { at: Date.now(), isRelative: true };
  if (/^\d+(\.\d+)?$/.test(text)) return { at: wholeMs(Number(text)), isRelative: false };
  if (/^\d+(\.\d+)?(ms|s|m|h)$/.test(text)) return { at: Date.now() - parseDuration(text), isRelative: true };
  // By itself a date would be in UTC.
  const time = /^\d{4}-\d{2}-\d{2}/.test(text)
    ? Date.parse(/^[\d-]+$/.test(text) ? `${text}T00:00` : text)
    : Number.NaN;
  if (Number.isNaN(time))
    throw new TraceletError(
      "usage",
      "It must be a time such as 2026-11-27T15:12, seconds since 1970, now, or 2h (ago).",
    );
  return { at: time, isRelative: false };
}

/** Bytes, such as `512kB`, `256MB`, `1GB`. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kMG]?)B?$/i.exec(text);
  const units: Record<string, number> = { "": 1, k: 1e3, m: 1e6, g: 1e9 };
  if (match === null) throw new TraceletError("usage", "It must be a size such as 512kB, 256MB or 1GB.");
  return Math.floor(Number(match[1]) * (units[(match[2] as string).toLowerCase()] as number));
}

/** For an option that may be given several times, or once with commas between; those in braces are a glob's own. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(/,(?![^{]*\})/).filter((part) => part !== "")];
}

function parseNames(text: string, before: readonly string[] | undefined): string[] {
  const names = text.split(",").map((name) => name.trim());
  if (names.includes("")) throw new TraceletError("usage", "It has an empty name.");
  return [...(before ?? []), ...names];
}

/** Those whose value a text can be. Flags and switches are given without one. */
type TextForm = Exclude<keyof FormValues, "flag" | "switch" | "structure">;

const PARSERS: { readonly [Form in TextForm]: Parse<FormValues[Form]> } = {
  text: (text) => text,
  count: parseCount,
  port: parsePort,
  duration: parseDuration,
  time: parseTime,
  bytes: parseBytes,
  globs: collect,
  names: parseNames,
  kinds: parseKinds,
};

/**
 * @param before what the option was given earlier in the same place
 * @throws TraceletError `usage`
 */
export function parseText(
  { form, unit, atMost = Infinity }: Pick<OptionDefinition, "form" | "unit" | "atMost">,
  text: string,
  before: unknown,
): unknown {
  const parse = PARSERS[form as TextForm] as (text: string, before: unknown) => unknown;
  const value = parse(unit !== undefined && /^[\d.]+$/.test(text) ? `${text}${unit}` : text, before);
  return typeof value === "number" ? Math.min(value, atMost) : value;
}

/** Those that an option of a plug-in may have. */
export const FORMS: readonly (keyof FormValues)[] = [
  ...(Object.keys(PARSERS) as (keyof typeof PARSERS)[]),
  "flag",
  "switch",
];
