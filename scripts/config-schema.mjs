// Writes dist/config.schema.json, the JSON schema of configuration files, from the built table of options.
import { writeFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { toJsonSchema } from "@valibot/to-json-schema";

const root = path.resolve(import.meta.dirname, "..");
const built = (file) => import(pathToFileURL(path.join(root, "dist/config", file)).href);

const [{ jsonSchema }, { fileTable }, { SHAPES }, { OPTIONS }, { BACKENDS }] = await Promise.all(
  ["file/json-schema.js", "file/settings.js", "shapes.js", "options.js", "backends.js"].map(built),
);
const shapeOf = (option) => SHAPES[option] && toJsonSchema(SHAPES[option], { typeMode: "input", errorMode: "ignore" });
const schema = jsonSchema(fileTable([OPTIONS, ...BACKENDS.map(({ options }) => options)]), shapeOf);
writeFileSync(path.join(root, "dist/config.schema.json"), `${JSON.stringify(schema, undefined, 2)}\n`);
