/** How to speak to a W&B server, read from the environment as W&B's own client reads it. */
import { TraceletError } from "../../errors.ts";
import { basicLogin, type Environment, FixedAccess, headerValue, readPem, readProxies } from "../../net/access.ts";
import { netrcPassword } from "./netrc.ts";
import { webPageOf } from "./web-page.ts";

/** W&B's client refuses shorter keys without asking a server. */
const MIN_KEY = 40;
const DEFAULT_TIMEOUT_S = 120;

/** Address of the hosted service. */
export const HOSTED = "https://api.wandb.ai";

/** What to tell someone whom the server at `base` did not let in. `page` is its web page. */
export function howToLogIn(base: string, page: string): string {
  const host = base === HOSTED ? "" : ` --host ${base}`;
  return `run \`wandb login --relogin${host}\`, or set WANDB_API_KEY, which goes first, to a key from ${page}/authorize`;
}

/**
 * The API key is `WANDB_API_KEY`, else the password of the server's host in `~/.netrc`, which may be given with its port.
 *
 * @param base address of the server @param home the folder that holds `.netrc`
 * @throws TraceletError `auth` if there is no key, `usage` for a value that cannot be used
 */
export function readLogin(base: string, env: Environment, home: string): FixedAccess {
  const { host } = new URL(base);
  const hint = howToLogIn(base, webPageOf(base, env));
  const given = env["WANDB_API_KEY"]?.trim();
  const key = given || netrcPassword(hostsOf(base), env, home);
  if (!key) {
    const tokenFile = env["WANDB_IDENTITY_TOKEN_FILE"] ? "; WANDB_IDENTITY_TOKEN_FILE is not supported" : "";
    throw new TraceletError("auth", `there is no W&B API key for ${host}${tokenFile}`, { hint });
  }
  const source = given ? "WANDB_API_KEY" : `the password of ${host} in the netrc file`;
  const length = lengthOf(key);
  if (length < MIN_KEY) {
    const message = `${source} is not an API key of W&B: these have ${MIN_KEY} characters or more, and it has ${length}`;
    throw new TraceletError("auth", message, { hint });
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

/** Names that a netrc file may have for the server, the most exact first. */
function hostsOf(base: string): readonly string[] {
  const { host, hostname } = new URL(base);
  // `wandb login` of 0.31 knows the hosted service by either.
  const other = SAME_SERVICE.find((each) => each.includes(host)) ?? [];
  return [...new Set([host, hostname, ...other])];
}

const SAME_SERVICE: readonly (readonly string[])[] = [["api.wandb.ai", "api.forge.coreweave.com"]];

/** Characters of a key without the prefix of self-hosted servers; tokens that such servers give count whole. */
function lengthOf(key: string): number {
  if (/^[\w-]+\.[\w-]+\.[\w-]+$/.test(key)) return MIN_KEY;
  return key.slice(key.indexOf("-") + 1).length;
}

function readTimeout(env: Environment): number {
  const text = (env["WANDB_HTTP_TIMEOUT"] || String(DEFAULT_TIMEOUT_S)).trim();
  const seconds = Number(text);
  if (/^\d{1,6}(\.\d+)?$/.test(text) && seconds > 0) return seconds * 1000;
  throw new TraceletError("usage", "WANDB_HTTP_TIMEOUT must be a number of seconds above 0");
}
