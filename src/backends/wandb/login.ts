/** How to speak to a W&B server, read from the environment as W&B's own client reads it. */
import { TraceletError } from "../../errors.ts";
import { basicLogin, type Environment, FixedAccess, headerValue, readPem, readProxies } from "../../net/access.ts";
import { netrcPassword } from "./netrc.ts";

/** W&B's client refuses shorter keys without asking a server. */
const MIN_KEY = 40;
const DEFAULT_TIMEOUT_S = 120;

/** What to tell someone whom the server did not let in. */
export const HOW_TO_LOG_IN = "run `wandb login`, or set WANDB_API_KEY to a key from your W&B settings page";

/**
 * The API key is `WANDB_API_KEY`, else the password of the server's host in `~/.netrc`.
 *
 * @param base address of the server @param home the folder that holds `.netrc`
 * @throws TraceletError `auth` if there is no key, `usage` for a value that cannot be used
 */
export function readLogin(base: string, env: Environment, home: string): FixedAccess {
  const { hostname } = new URL(base);
  const given = env["WANDB_API_KEY"]?.trim();
  const key = given || netrcPassword(hostname, env, home);
  if (!key) throw new TraceletError("auth", `there is no API key for ${hostname}`, { hint: HOW_TO_LOG_IN });
  const source = given ? "WANDB_API_KEY" : `the password of ${hostname} in the netrc file`;
  // Keys of self-hosted servers have a prefix before the key proper.
  if (key.length < MIN_KEY) {
    const message = `${source} is not an API key of W&B: these have ${MIN_KEY} characters or more, and it has ${key.length}`;
    throw new TraceletError("auth", message, { hint: HOW_TO_LOG_IN });
  }
  const ca = readPem(env, "SSL_CERT_FILE");
  const isInsecure = /^(1|t|true|yes)$/i.test(env["WANDB_INSECURE_DISABLE_SSL"] ?? "");
  return new FixedAccess({
    login: basicLogin("api", headerValue(key, source)),
    headers: {},
    tls: { ...(ca !== undefined && { ca }), ...(isInsecure && { rejectUnauthorized: false }) },
    ...readProxies(env),
    requestTimeoutMs: readTimeout(env),
    secrets: [key],
  });
}

function readTimeout(env: Environment): number {
  const text = (env["WANDB_HTTP_TIMEOUT"] || String(DEFAULT_TIMEOUT_S)).trim();
  const seconds = Number(text);
  if (/^\d{1,6}(\.\d+)?$/.test(text) && seconds > 0) return seconds * 1000;
  throw new TraceletError("usage", "WANDB_HTTP_TIMEOUT must be a number of seconds above 0");
}
