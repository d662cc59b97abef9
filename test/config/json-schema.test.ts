import { readFileSync } from "node:fs";
import path from "node:path";
import { toJsonSchema } from "@valibot/to-json-schema";
import { describe, expect, test } from "vitest";
import { BACKENDS } from "../../src/config/backends.ts";
import { jsonSchema } from "../../src/config/file/json-schema.ts";
import { suggestionFor } from "../../src/config/file/names.ts";
import { fileTable } from "../../src/config/file/settings.ts";
import { masked } from "../../src/config/masking.ts";
import { OPTIONS } from "../../src/config/options.ts";
import { SHAPES } from "../../src/config/shapes.ts";

const TABLE = fileTable([OPTIONS, ...BACKENDS.map(({ options }) => options)]);

test("the schema in the package is that of the options there are", () => {
  const built: unknown = JSON.parse(
    readFileSync(path.resolve(import.meta.dirname, "../../dist/config.schema.json"), "utf8"),
  );
  const shapeOf = (option: string) => {
    const shape = SHAPES[option];
    return shape && ({ ...toJsonSchema(shape, { typeMode: "input", errorMode: "ignore" }) } as Record<string, unknown>);
  };
  expect(built).toEqual(JSON.parse(JSON.stringify(jsonSchema(TABLE, shapeOf))));
});

test("each shape is that of an option", () => {
  for (const name of Object.keys(SHAPES)) expect(TABLE).toHaveProperty(name);
});

describe("a key that there is not", () => {
  const known = ["experiment", "excludeRuns", "exclude-runs", "exclude_runs", "every", "json"];
  test.each([
    ["experment", "experiment"],
    ["experiemnt", "experiment"],
    ["excludeRun", "excludeRuns"],
    ["exclude_run", "exclude_runs"],
    ["exclude-rums", "exclude-runs"],
    ["EVERY", "every"],
    ["jso", "json"],
    ["xyzzy", undefined],
    ["a", undefined],
  ])("%s is perhaps %s", (key, suggestion) => {
    expect(suggestionFor(key, known)).toBe(suggestion);
  });
});

test("what is secret is masked, and nothing else", () => {
  const of = (name: string, value: unknown, secret?: true) =>
    masked(name, secret === undefined ? {} : { secret }, value);
  expect(of("place", "x", true)).toBe("***");
  for (const name of ["apiKey", "api_key", "token", "accessToken", "password", "clientSecret", "credentials"])
    expect(of(name, "x")).toBe("***");
  for (const name of ["keyboard", "monkey", "experiment", "tokenizer"]) expect(of(name, "x")).toBe("x");
  expect(of("uri", "https://u:p@h:1/x?a=b#c")).toBe("https://***@h:1/x?***");
  for (const login of ["u:pa/ss", "u:p@ss", "u:pa?ss", "u:pa#ss", "u:12/ss", "u"])
    expect(of("uri", `https://${login}@h:1/x`)).toBe("https://***@h:1/x");
  for (const uri of ["https://h/@scope/a", "https://h:1/@scope/a", "s3://bucket/a@b", "file:///home/a@b/c"])
    expect(of("uri", uri)).toBe(uri);
  expect(of("uri", "sqlite:////a/b.db")).toBe("sqlite:////a/b.db");
  expect(of("uris", ["http://u@h", { token: "x", other: 1 }])).toEqual(["http://***@h", { token: "***", other: 1 }]);
  expect(of("token", undefined)).toBeUndefined();
});
