/** How to speak to an MLflow server, read from the environment as MLflow's own client reads it, and kept from view. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TraceletError } from "../../errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A text that no log can catch by accident: `inspect`, JSON and string conversion do not show it. */
export class Secret {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return "***";
  }

  toJSON(): string {
    return "***";
  }
}

/** User name and password as they stood in the tracking URI; either may be empty. */
export interface UriLogin {
  readonly username: Secret;
  readonly password: Secret;
}

/** What Node's TLS takes; PEM texts. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

interface Parts {
  readonly authorization: { readonly kind: "basic" | "bearer"; readonly header: string } | undefined;
  readonly workspace: string | undefined;
  readonly tls: TlsOptions;
  readonly proxies: Readonly<Record<"http:" | "https:", string | undefined>>;
  /** Matches each of them. */
  readonly secrets: RegExp | undefined;
}

/** The credentials, TLS material, proxy and time limit of one destination. Only methods give out what is secret. */
export class Credentials {
  /** Which kind of login is sent with each request. */
  readonly kind: "none" | "basic" | "bearer";
  /** ms without any sign of life after which a request has failed. */
  readonly requestTimeoutMs: number;
  /** Hosts that are not asked through the proxy, as in `NO_PROXY`. */
  readonly noProxy: string;
  /** Things the user should be told once; no secrets in them. */
  readonly warnings: readonly string[];
  readonly #parts: Parts;

  constructor(parts: Parts, requestTimeoutMs: number, noProxy: string, warnings: readonly string[]) {
    this.kind = parts.authorization?.kind ?? "none";
    this.requestTimeoutMs = requestTimeoutMs;
    this.noProxy = noProxy;
    this.warnings = warnings;
    this.#parts = parts;
  }

  /** The headers that every request carries. */
  headers(): Record<string, string> {
    const { authorization, workspace } = this.#parts;
    return {
      ...(authorization && { authorization: authorization.header }),
      ...(workspace !== undefined && { "x-mlflow-workspace": workspace }),
    };
  }

  tlsOptions(): TlsOptions {
    return this.#parts.tls;
  }

  /** Address of the proxy for servers of this protocol, with its user name and password if it has any. */
  proxy(protocol: "http:" | "https:"): string | undefined {
    return this.#parts.proxies[protocol];
  }

  /** `text` without any of the secrets: a server, or a proxy, may repeat what it was sent. */
  scrub(text: string): string {
    return this.#parts.secrets === undefined ? text : text.replace(this.#parts.secrets, "***");
  }
}

/** What is left of credentials for an address that they were not meant for. */
export class NoLogin extends Credentials {
  readonly #of: Credentials;

  constructor(of: Credentials, kind: "mlflow" | "storage") {
    const { ca, rejectUnauthorized } = of.tlsOptions();
    const tls = { ...(ca !== undefined && { ca }), ...(rejectUnauthorized === false && { rejectUnauthorized }) };
    const parts = {
      authorization: undefined,
      workspace: kind === "mlflow" ? of.headers()["x-mlflow-workspace"] : undefined,
      tls: kind === "mlflow" ? tls : {},
      proxies: { "http:": of.proxy("http:"), "https:": of.proxy("https:") },
      secrets: undefined,
    };
    super(parts, of.requestTimeoutMs, of.noProxy, []);
    this.#of = of;
  }

  override scrub(text: string): string {
    return this.#of.scrub(text);
  }
}

/**
 * Read what MLflow's client would read, with its precedence: a login in the URI, then user name and password
 * (environment before `~/.mlflow/credentials`), then the token.
 *
 * @param home the folder that holds `.mlflow/credentials`
 * @throws TraceletError `usage` for a value or file that cannot be used, `unsupported` for logins that only Python has
 */
export function readCredentials(login: UriLogin | undefined, env: Environment, home: string): Credentials {
  if (env["MLFLOW_TRACKING_AUTH"]) throw unsupportedLogin("MLFLOW_TRACKING_AUTH");
  if (flag(env, "MLFLOW_TRACKING_AWS_SIGV4")) throw unsupportedLogin("MLFLOW_TRACKING_AWS_SIGV4");
  const warnings: string[] = [];
  const file = readCredentialsFile(home);
  const username = env["MLFLOW_TRACKING_USERNAME"] || file.get("mlflow_tracking_username") || "";
  const password = env["MLFLOW_TRACKING_PASSWORD"] || file.get("mlflow_tracking_password") || "";
  const token = (env["MLFLOW_TRACKING_TOKEN"] ?? "").trim();
  if (!login && (username === "") !== (password === "")) {
    warnings.push(`only one of MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD is set: it is not used`);
  }
  const authorization = login
    ? basic(login.username.reveal(), login.password.reveal())
    : username && password
      ? basic(username, password)
      : token
        ? { kind: "bearer" as const, header: headerValue(`Bearer ${token}`, "MLFLOW_TRACKING_TOKEN") }
        : undefined;

  const insecure = flag(env, "MLFLOW_TRACKING_INSECURE_TLS");
  if (insecure) warnings.push("MLFLOW_TRACKING_INSECURE_TLS is set: anyone on the way can pose as the server");
  const proxies = {
    "http:": proxyAddress(env["http_proxy"] || env["HTTP_PROXY"]),
    "https:": proxyAddress(env["https_proxy"] || env["HTTPS_PROXY"]),
  };
  const workspace = env["MLFLOW_WORKSPACE"]?.trim();
  const secrets = [
    authorization?.header.replace(/^\w+ /, ""),
    login?.password.reveal(),
    // A lone user name in a URI is a token more often than a name.
    login?.password.reveal() === "" ? login.username.reveal() : "",
    password,
    token,
    ...Object.values(proxies).map(passwordIn),
  ].filter((secret): secret is string => secret !== undefined && secret !== "");
  return new Credentials(
    {
      authorization,
      workspace: workspace ? headerValue(workspace, "MLFLOW_WORKSPACE") : undefined,
      tls: readTls(env, insecure),
      proxies,
      secrets: anyOf(secrets),
    },
    readTimeout(env),
    env["no_proxy"] ?? env["NO_PROXY"] ?? "",
    warnings,
  );
}

/** What to tell someone whom the server did not let in. */
export const HOW_TO_LOG_IN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN";

function unsupportedLogin(variable: string): TraceletError {
  return new TraceletError("unsupported", `${variable} is set, and this way to log in is not supported`, {
    hint: `unset ${variable} and ${HOW_TO_LOG_IN}`,
  });
}

function basic(username: string, password: string): { kind: "basic"; header: string } {
  return { kind: "basic", header: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
}

/** `value` if it can stand in an HTTP header; the error does not repeat it. */
function headerValue(value: string, name: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return value;
  throw new TraceletError("usage", `${name} holds a line break or another character that no HTTP header can carry`);
}

/** A boolean as MLflow reads it, except that an empty variable counts as unset. */
function flag(env: Environment, name: string): boolean {
  const value = (env[name] ?? "").toLowerCase();
  if (value === "" || value === "0" || value === "false") return false;
  if (value === "1" || value === "true") return true;
  throw new TraceletError("usage", `${name} must be one of true, false, 1, 0`);
}

function readTimeout(env: Environment): number {
  const text = (env["MLFLOW_HTTP_REQUEST_TIMEOUT"] || "120").trim();
  const seconds = Number(text);
  if (/^\d{1,6}$/.test(text) && seconds > 0) return seconds * 1000;
  throw new TraceletError("usage", "MLFLOW_HTTP_REQUEST_TIMEOUT must be a whole number of seconds above 0");
}

function readTls(env: Environment, insecure: boolean): TlsOptions {
  const caPath = env["MLFLOW_TRACKING_SERVER_CERT_PATH"];
  if (insecure && caPath) {
    throw new TraceletError(
      "usage",
      "MLFLOW_TRACKING_INSECURE_TLS and MLFLOW_TRACKING_SERVER_CERT_PATH are both set: only one of them can be meant",
    );
  }
  const ca = readPem(env, "MLFLOW_TRACKING_SERVER_CERT_PATH");
  // One PEM file that holds both, as Python's `requests` takes it.
  const client = readPem(env, "MLFLOW_TRACKING_CLIENT_CERT_PATH");
  return {
    ...(ca !== undefined && { ca }),
    ...(client !== undefined && { cert: client, key: client }),
    ...(insecure && { rejectUnauthorized: false }),
  };
}

function readPem(env: Environment, name: string): string | undefined {
  const path = env[name];
  if (!path) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new TraceletError("usage", `cannot read ${path}, which ${name} names`, { cause: error });
  }
  if (text.includes("-----BEGIN ")) return text;
  throw new TraceletError("usage", `${path}, which ${name} names, is no PEM file`);
}

/** The keys of section `[mlflow]`, read as Python's configparser reads them; a file that cannot be read has none. */
function readCredentialsFile(home: string): ReadonlyMap<string, string> {
  const keys = new Map<string, string>();
  let text: string;
  try {
    text = readFileSync(join(home, ".mlflow", "credentials"), "utf8");
  } catch {
    return keys;
  }
  let section = "";
  for (const line of text.split(/\r?\n/)) {
    const header = /^\[(.+)\]/.exec(line);
    if (header) section = header[1] as string;
    const entry = section === "mlflow" && /^([^#;=:[\s][^=:]*?)\s*[=:]\s*(.*?)\s*$/.exec(line);
    if (entry) keys.set((entry[1] as string).toLowerCase(), (entry[2] as string).replaceAll("%%", "%"));
  }
  return keys;
}

/**
 * Each text as it is and as it stands in an address, in either case, since host names lose theirs. The longest first, so
 * that one inside another leaves nothing over.
 */
function anyOf(secrets: readonly string[]): RegExp | undefined {
  if (secrets.length === 0) return undefined;
  const forms = secrets.flatMap((secret) => [secret, encodeURIComponent(secret)]).sort((a, b) => b.length - a.length);
  return new RegExp(forms.map((form) => form.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|"), "gi");
}

/** As curl and Python take it: `host:port` is enough. */
function proxyAddress(text: string | undefined): string | undefined {
  if (!text) return undefined;
  return text.includes("://") ? text : `http://${text}`;
}

function passwordIn(address: string | undefined): string | undefined {
  const login = address && /\/\/[^/@]*?:(.*)@/.exec(address);
  return login ? login[1] : undefined;
}
