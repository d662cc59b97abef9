/** A plug-in, opened. */
import { TraceletError } from "../errors.ts";
import type { Backend, RunHandle, Survey } from "../sync/backend.ts";
import type { BackendPlugin, OpenBackend, OpenedBackend, PluginBackend } from "../sync/backend-plugin.ts";
import type { OptionsOf, OptionTable } from "../sync/option.ts";
import { asTold, bugIn, GuardedBackend, messageOf, NEVER_SETTLED } from "./plugin-backend.ts";
import { settled } from "./settled.ts";

/** @param name what the plug-in is called */
export function opening(plugin: BackendPlugin, name: string): OpenBackend<OptionsOf<OptionTable>> {
  return async (options, surroundings): Promise<OpenedBackend> => {
    const address = await guard(name, "address()", () => plugin.address(options));
    if (typeof address !== "string") throw bugIn(name, "address()", "did not return a string");
    const backend = surroundings.dryRun
      ? NOWHERE
      : await guard(name, "open()", () => plugin.open(options, { ...surroundings, TraceletError }));
    return { backend: requireBackend(backend, name, plugin), address };
  };
}

function requireBackend(backend: PluginBackend, name: string, { kinds }: BackendPlugin): Backend {
  for (const method of ["open", "write"] as const)
    if (typeof backend?.[method] !== "function")
      throw bugIn(name, "open()", `returned no backend: it has no ${method}()`);
  return new GuardedBackend(backend, name, kinds);
}

async function guard<Result>(name: string, where: string, call: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await settled(call, () => bugIn(name, where, NEVER_SETTLED));
  } catch (error) {
    throw asTold(error) ?? bugIn(name, where, messageOf(error), error);
  }
}

/** Stores nothing, and has all that is remembered of it. */
const NOWHERE: PluginBackend = {
  async open(run, knownId): Promise<Pick<RunHandle, "id">> {
    return { id: knownId ?? run.name };
  },
  async write(): Promise<void> {},
  async survey(_known, memory): Promise<Pick<Survey, "memory">> {
    return { memory };
  },
};
