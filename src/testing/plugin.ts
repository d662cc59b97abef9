/** A plug-in as tracelet opens it, without the command line. */
import { opening } from "../config/plugin-opening.ts";
import type { Backend } from "../sync/backend.ts";
import type { BackendPlugin } from "../sync/backend-plugin.ts";
import type { OptionsOf, OptionTable } from "../sync/option.ts";

/**
 * @param options all that `plugin.open` needs: defaults are not filled in
 * @throws TraceletError `plugin` for a fault of the plug-in's, or what it throws on purpose
 */
export async function openPlugin<Table extends OptionTable>(
  plugin: BackendPlugin<Table>,
  options: OptionsOf<Table>,
): Promise<Backend> {
  const name = plugin.name ?? "plug-in";
  const surroundings = {
    signal: new AbortController().signal,
    live: false,
    dryRun: false,
    verbose: false,
    giveUpAfterMs: 60_000,
    shutdownTimeoutMs: 10_000,
    stdoutUser: undefined,
    say: () => {},
  };
  const { backend } = await opening(plugin as unknown as BackendPlugin, name)(options as never, surroundings, name);
  return backend;
}
