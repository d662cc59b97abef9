/** `--backend` → a backend that comes with tracelet, or a plug-in. */
import type { BackendPlugin } from "../sync/backend-plugin.ts";
import { BACKENDS, isPath, type RegisteredBackend } from "./backends.ts";

/** Each plug-in is loaded once. */
const plugins = new Map<string, Promise<RegisteredBackend>>();

/** @throws TraceletError `usage` */
export async function registered(name: string | BackendPlugin): Promise<RegisteredBackend> {
  if (typeof name !== "string") return (await import("./plugins.ts")).registerPlugin(name);
  const own = BACKENDS.find(({ names }) => names.includes(name));
  if (own !== undefined) return own;
  let plugin = plugins.get(name);
  if (plugin === undefined) {
    plugin = import("./plugins.ts").then(({ loadPlugin }) => loadPlugin(name));
    plugins.set(name, plugin);
  }
  return plugin;
}

/** What the state calls a backend: for a plug-in that is named by its file, the name that it has. @throws TraceletError */
export async function nameInState(name: string): Promise<string> {
  return isPath(name) ? ((await registered(name)).names[0] as string) : name;
}
