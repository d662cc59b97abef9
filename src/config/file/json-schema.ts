/** The JSON schema of configuration files, for editors. */
import type { OptionDefinition, OptionTable } from "../../sync/option.ts";
import { KINDS } from "../kinds.ts";
import { keysOf } from "./names.ts";
import { COMMAND_WIDE } from "./settings.ts";

type Json = Readonly<Record<string, unknown>>;

/**
 * Options in camel case are listed, and so offered by an editor; the other ways to write them are taken as well.
 *
 * @param shapeOf the schema of an option's shape; undefined if it has none
 */
export function jsonSchema(table: OptionTable, shapeOf: (option: string) => Json | undefined): Json {
  const definitions = Object.fromEntries(
    Object.entries(table).map(([name, definition]) => [name, optionSchema(name, definition, shapeOf(name))]),
  );
  const top = propertiesOf(table, () => true);
  const source = propertiesOf(table, (name) => !COMMAND_WIDE.has(name));
  return {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "Configuration of tracelet",
    type: "object",
    properties: {
      $schema: { type: "string" },
      ...top.properties,
      sources: {
        description: "several logdirs with destinations of their own; each inherits the options of the top level",
        type: "array",
        items: { type: "object", ...source },
      },
    },
    patternProperties: top.patternProperties,
    additionalProperties: false,
    definitions,
  };
}

function propertiesOf(table: OptionTable, isTaken: (option: string) => boolean) {
  const properties: Record<string, Json> = {};
  const spellings = new Map<string, string[]>();
  for (const [key, { option, isNegated }] of keysOf(table)) {
    if (option !== undefined && !isTaken(option)) continue;
    if (key === option) {
      properties[key] = { $ref: `#/definitions/${key}` };
      continue;
    }
    const meaning = option === undefined ? "" : isNegated ? "!" : option;
    spellings.set(meaning, [...(spellings.get(meaning) ?? []), key]);
  }
  const patternProperties = Object.fromEntries(
    Array.from(spellings, ([meaning, keys]) => {
      const schema = meaning === "" ? {} : meaning === "!" ? { type: "boolean" } : { $ref: `#/definitions/${meaning}` };
      return [`^(${keys.join("|")})$`, schema];
    }),
  );
  return { properties, patternProperties, additionalProperties: false };
}

function optionSchema(name: string, definition: OptionDefinition, shape: Json | undefined): Json {
  const { form, help, choices } = definition;
  const description = form === "switch" ? help.replace(/^(skip|do not)/, "false: $1") : help;
  const withValue = form === "structure" ? undefined : formSchema(form, choices, name);
  const plain = definition.preset === undefined ? withValue : { anyOf: [{ type: "boolean" }, withValue] };
  if (shape === undefined || plain === undefined) return { description, ...(shape ?? plain) };
  return { description, anyOf: [plain, shape] };
}

const TEXTS = { type: "array", items: { type: "string" } };

function formSchema(
  form: Exclude<OptionDefinition["form"], "structure">,
  choices: readonly string[] | undefined,
  name: string,
): Json {
  switch (form) {
    case "flag":
    case "switch":
      return { type: "boolean" };
    case "text":
      return choices === undefined ? { type: "string" } : { enum: choices };
    case "count":
      return { type: "integer", minimum: 1 };
    case "port":
      return { type: "integer", minimum: 0, maximum: 65_535 };
    case "duration":
      return {
        type: ["string", "number"],
        minimum: 0,
        pattern: "^\\d+(\\.\\d+)?(ms|s|m|h)?$",
        examples: ["90s", "10m"],
      };
    case "time":
      return { type: ["string", "number"], minimum: 0, examples: ["2026-11-27T15:12", "2h"] };
    case "bytes":
      return {
        type: ["string", "number"],
        minimum: 0,
        pattern: "^\\d+(\\.\\d+)?\\s*[kKmMgG]?[bB]?$",
        examples: ["1MB"],
      };
    case "globs":
    case "names":
      return { anyOf: [{ type: "string" }, name === "logdirs" ? { ...TEXTS, minItems: 1 } : TEXTS] };
    case "kinds": {
      const names = [...new Set([...KINDS].flat())];
      return { anyOf: [{ type: "array", items: { enum: names } }, { type: "string" }] };
    }
  }
}
