/** tracelet's command with a W&B server of the tests as its destination. */
import { API_KEY, type WandbServer } from "../../support/wandb-server/server.ts";
import { type Ended, tracelet } from "./tracelet.ts";

/** @param uri of the server, or of what stands in front of it */
export function toWandb(server: Pick<WandbServer, "uri">, args: readonly string[]): Promise<Ended> {
  const own = Object.keys(process.env).filter((name) => name.startsWith("WANDB_"));
  const unset = Object.fromEntries(own.map((name) => [name, undefined]));
  return tracelet(args, { env: { ...unset, WANDB_BASE_URL: server.uri, WANDB_API_KEY: API_KEY } });
}
