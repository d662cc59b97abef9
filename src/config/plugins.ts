/** Backends that do not come with tracelet: a module that is named by its path, or an npm package `tracelet-backend-<name>`. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { TraceletError } from "../errors.ts";
import type { BackendPlugin, OpenBackend } from "../sync/backend-plugin.ts";
import { SEAM_VERSION } from "../sync/backend-plugin.ts";
import { BACKENDS, backendNames, isPath, type RegisteredBackend } from "./backends.ts";
import { flagName } from "./environment.ts";
import { FORMS } from "./forms.ts";
import { OPTIONS } from "./options.ts";

const PREFIX = "tracelet-backend-";
const GUIDE = "docs/writing-a-backend.md shows how one is written";

/**
 * @param name as `--backend` has it
 * @throws TraceletError `usage` if there is no such plug-in, or it is none, or for another version of the seam
 */
export async function loadPlugin(name: string): Promise<RegisteredBackend> {
  const file = isPath(name) ? fileAt(name) : fileOfPackage(name);
  let module: { readonly default?: unknown };
  try {
    module = (await import(pathToFileURL(file).href)) as typeof module;
  } catch (error) {
    const { name: kind, message } = error as Error;
    // Node goes on with who required it.
    const [what] = message.split("\n", 1);
    throw new TraceletError("usage", `the backend ${name} cannot be loaded: ${kind}: ${what}`, {
      hint: `run node ${file} to see where it fails`,
      cause: error,
    });
  }
  const called = isPath(name) ? path.basename(file).replace(/\.[^.]+$/, "") : name;
  return registerPlugin(module.default, called, file);
}

/**
 * @param exported what should be a `BackendPlugin`
 * @param byDefault what it is called if it does not say so
 * @param place where it is from, for messages
 * @throws TraceletError as `loadPlugin`
 */
export function registerPlugin(exported: unknown, byDefault = "plug-in", place = "what was given"): RegisteredBackend {
  const plugin = requirePlugin(exported, byDefault, place);
  const { name: called = byDefault, options = {} } = plugin;
  if (backendNames().includes(called))
    throw new TraceletError("usage", `${place} calls its backend ${called}, as one of tracelet's own`, {
      hint: "give it another name",
    });
  requireFree(options, called);
  const load = async () => ({
    open: (await import("./plugin-opening.ts")).opening(plugin, called) as OpenBackend<never>,
  });
  return { names: [called], title: `--backend ${called}`, options, load };
}

function fileAt(name: string): string {
  const file = path.resolve(name);
  if (!existsSync(file)) throw new TraceletError("usage", `there is no file ${file}`, { hint: `--backend ${name}` });
  if (!statSync(file).isFile())
    throw new TraceletError("usage", `${file} is a directory, and --backend takes the file of a plug-in`, {
      hint: `--backend ${path.join(name, "index.mjs")}`,
    });
  return file;
}

/** Looked for from the current directory up, then from where tracelet is installed. */
function fileOfPackage(name: string): string {
  const wanted = PREFIX + name;
  const isName = /^[a-z0-9][a-z0-9._-]*$/.test(name);
  const places = [path.join(process.cwd(), "-"), import.meta.url].flatMap(
    (from) => createRequire(from).resolve.paths(wanted) ?? [],
  );
  const found = places
    .map((place) => path.join(place, wanted))
    .find((place) => existsSync(path.join(place, "package.json")));
  if (isName && found !== undefined) return path.join(found, entryOf(found));
  const known = backendNames().join(", ");
  const message = `there is no backend ${name}: it is none of ${known}, and no package ${wanted} is installed`;
  throw new TraceletError("usage", message, {
    hint: isName ? `npm install ${wanted}, or --backend ./my-backend.mjs for a file` : `--backend ${known}`,
  });
}

/** As `import` finds it. @see https://nodejs.org/api/packages.html#package-entry-points */
function entryOf(directory: string): string {
  const { exports, main } = JSON.parse(readFileSync(path.join(directory, "package.json"), "utf8")) as {
    readonly exports?: unknown;
    readonly main?: string;
  };
  const isMap = typeof exports === "object" && exports !== null && "." in exports;
  const target = importOf(isMap ? exports["."] : exports);
  return target ?? main ?? "index.js";
}

const CONDITIONS = new Set(["node", "import", "module-sync", "default"]);

function importOf(target: unknown): string | undefined {
  if (typeof target === "string") return target;
  if (typeof target !== "object" || target === null) return undefined;
  for (const [condition, inner] of Object.entries(target)) {
    const found = CONDITIONS.has(condition) ? importOf(inner) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function requirePlugin(exported: unknown, name: string, file: string): BackendPlugin {
  const isNone = (what: string) =>
    new TraceletError("usage", `${file} is not a tracelet backend: ${what}`, { hint: GUIDE });
  if (typeof exported !== "object" || exported === null) throw isNone("it has no default export that is an object");
  const { seam, address, open, options } = exported as Partial<BackendPlugin>;
  if (typeof seam !== "number") throw isNone("its default export does not say which version of the seam it is for");
  if (seam !== SEAM_VERSION)
    throw new TraceletError(
      "usage",
      `the backend ${name} is for version ${seam} of the seam, and this tracelet has version ${SEAM_VERSION}`,
      { hint: seam > SEAM_VERSION ? "upgrade tracelet" : `a newer version of ${name} may fit` },
    );
  if (typeof open !== "function" || typeof address !== "function")
    throw isNone("its default export needs the functions open and address");
  for (const [option, { form, help }] of Object.entries(options ?? {})) {
    if (!FORMS.includes(form) || typeof help !== "string")
      throw isNone(`its option ${option} needs a help and a form, one of ${FORMS.join(", ")}`);
  }
  return exported as BackendPlugin;
}

/** A plug-in may share an option with a backend of tracelet if both read it in the same form. */
function requireFree(options: NonNullable<BackendPlugin["options"]>, name: string): void {
  for (const [option, { form }] of Object.entries(options)) {
    const other = BACKENDS.find((backend) => option in backend.options)?.options[option];
    if (option in OPTIONS || (other !== undefined && other.form !== form))
      throw new TraceletError("usage", `the backend ${name} has an option --${flagName(option)}, as tracelet itself`, {
        hint: "it has to call it otherwise",
      });
  }
}
