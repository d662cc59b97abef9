/**
 * Where people look at what a server has.
 *
 * Source: `api_to_app_url` of wandb/util.py.
 */
import type { Environment } from "../../net/access.ts";

/** Address of the web page of the server at `base`, without a trailing slash. */
export function webPageOf(base: string, env: Environment): string {
  const given = env["WANDB_APP_URL"];
  if (given) return given.replace(/\/+$/, "");
  if (FORGE.test(base)) return base.replace(FORGE, "://$1/wandb");
  // The hosted service is at wandb.ai; of dedicated ones, the page is at app.
  return base.includes("://api.wandb.") ? base.replace("://api.", "://") : base.replace("://api.", "://app.");
}

/** The hosted service as CoreWeave offers it. */
const FORGE = /:\/\/api\.((?:qa\.)?forge\.coreweave\.com)$/;

/** A page of it. */
export function pageAt(page: string, ...names: readonly string[]): string {
  return [page, ...names.map(encodeURIComponent)].join("/");
}
