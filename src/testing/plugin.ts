/** A plug-in as tracelet opens it, without the command line. */
import { opening } from "../config/plugin-opening.ts";
import type { Backend } from "../sync/backend.ts";
import { type BackendPlugin, surroundingsOf } from "../sync/backend-plugin.ts";
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
  const open = opening(plugin as unknown as BackendPlugin, name);
  const { backend } = await open(options as never, surroundingsOf(), name);
  return backend;
}
