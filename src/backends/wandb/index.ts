/** `tracelet/backends/wandb`: Weights & Biases as a destination. */
import { type OpenedBackend, type Surroundings, surroundingsOf } from "../../sync/backend-plugin.ts";
import { open, type WandbOptions } from "./open.ts";

export type { WandbOptions } from "./open.ts";

/**
 * A project of a W&B server, for `sync` and `watch`; `backend.close()` closes it. The server and the API key are those of
 * W&B's own variables and of `~/.netrc`.
 *
 * @throws TraceletError `usage`; `auth` if there is no API key
 */
export function openWandb(
  options: Partial<WandbOptions> = {},
  surroundings: Partial<Surroundings> = {},
): { readonly name: "wandb" } & OpenedBackend {
  return { name: "wandb", ...open({ resendDeleted: false, ...options }, surroundingsOf(surroundings)) };
}
