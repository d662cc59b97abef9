/**
 * The shapes of options that a configuration file or a program gives as more than a text, number or list: one entry an
 * option. Its TypeScript type, its check and its part of the JSON schema derive from it.
 */
import {
  array,
  boolean,
  custom,
  type GenericSchema,
  number,
  optional,
  picklist,
  pipe,
  record,
  strictObject,
  string,
  transform,
  union,
} from "valibot";

/**
 * An option of the form `structure` has its shape here. One of another form may have one as well, for a richer form in files;
 * what the shape gives out is then what the flag would have given.
 */
export const SHAPES: Readonly<Record<string, GenericSchema>> = {
  derive: record(
    string(),
    strictObject({
      mean: optional(number()),
      min: optional(number()),
      max: optional(number()),
      ema: optional(number()),
      expr: optional(string()),
      match: optional(union([string(), array(string())])),
    }),
  ),
  metricTypes: record(
    string(),
    union([string(), strictObject({ type: string(), goal: optional(picklist(["min", "max"])) })]),
  ),
  rename: union([
    array(string()),
    pipe(
      record(string(), string()),
      transform((names) => Object.entries(names).map(([from, to]) => `${from.replace(/[\\=]/g, "\\$&")}=${to}`)),
    ),
  ]),
  trackEnv: union([
    string(),
    pipe(
      boolean(),
      transform((isOn) => (isOn ? "auto" : "none")),
    ),
  ]),
  transform: custom((value) => typeof value === "function", "it must be a function"),
};
