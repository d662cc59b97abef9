/** Configuration files that are code: they are executed, with all that this user may do. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { TraceletError } from "../../errors.ts";
import { placeOf } from "./place.ts";

/** @param file absolute @returns its default export @throws TraceletError `usage` */
export async function importConfig(file: string): Promise<unknown> {
  let module: { readonly default?: unknown };
  try {
    module = /\.m?ts$/.test(file) ? await importTypeScript(file) : await import(pathToFileURL(file).href);
  } catch (error) {
    if (error instanceof TraceletError) throw error;
    const { name, message } = error as Error;
    const [what = ""] = message.split("\n", 1);
    throw new TraceletError("usage", `${placeOf(file, undefined)} cannot be loaded: ${name}: ${what}`, {
      hint: "--no-config goes on without it",
      cause: error,
    });
  }
  const { default: exported } = module;
  if (typeof exported === "object" && exported !== null) return exported;
  throw new TraceletError("usage", `${placeOf(file, undefined)} has no default export that is an object`, {
    hint: 'export default { experiment: "mnist" }',
  });
}

/**
 * By jiti on every version of Node, since Node 20 takes no TypeScript and later ones take only some of it. Nothing is cached on
 * disk. `tracelet` is this tracelet, wherever the file lies and however tracelet was installed.
 */
async function importTypeScript(file: string): Promise<{ readonly default?: unknown }> {
  const { createJiti } = await import("jiti");
  const usesLibrary = /["']tracelet["']/.test(readFileSync(file, "utf8"));
  const library = new URL(`../../index${path.extname(import.meta.url)}`, import.meta.url).href;
  const virtualModules = usesLibrary ? { tracelet: (await import(library)) as unknown } : {};
  const jiti = createJiti(import.meta.url, { fsCache: false, interopDefault: false, virtualModules });
  return jiti.import<{ readonly default?: unknown }>(file);
}
