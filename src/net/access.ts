/** Access to a server: login, TLS, proxy and time limit. Secrets are kept from view. */
import { readFileSync } from "node:fs";
import { TraceletError } from "../errors.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** A text that no log can show by accident: `inspect`, JSON and string conversion all hide it. */
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

/** What Node's TLS takes; PEM texts. */
export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

export type LoginKind = "none" | "basic" | "bearer";

/** Access to one destination. Only methods give out secrets. */
export interface Access {
  /** Which kind of login is sent with each request. */
  readonly kind: LoginKind;
  /** How long a request may go without any sign of life, ms. */
  readonly requestTimeoutMs: number;
  /** Hosts that bypass the proxy, as in `NO_PROXY`. */
  readonly noProxy: string;
  /** The headers of every request; called at each attempt, so that a token can be renewed. */
  headers(): Record<string, string>;
  tlsOptions(): TlsOptions;
  /** Address of the proxy for servers of this protocol, including its user name and password, if any. */
  proxy(protocol: "http:" | "https:"): string | undefined;
  /** `text` without any of the secrets: a server, or a proxy, may repeat what it was sent. */
  scrub(text: string): string;
  /**
   * The same, without what only the original address may be sent.
   *
   * @param kind what is there: another of the service's servers, or an object store that has its own certificates
   */
  withoutLogin(kind: "service" | "storage"): Access;
}

interface Parts {
  readonly login: Login | undefined;
  /** Headers of every request, apart from the login. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions;
  readonly proxies: Proxies;
  readonly requestTimeoutMs: number;
  readonly noProxy: string;
  /** Texts that are never shown; empty ones are ignored. */
  readonly secrets: readonly string[];
}

/** An `Authorization` header. */
export interface Login {
  readonly kind: "basic" | "bearer";
  readonly header: string;
}

export type Proxies = Readonly<Record<"http:" | "https:", string | undefined>>;

/** Access that never changes. */
export class FixedAccess implements Access {
  readonly kind: LoginKind;
  readonly requestTimeoutMs: number;
  readonly noProxy: string;
  readonly #parts: Parts;
  /** Matches each secret. */
  readonly #secrets: RegExp | undefined;

  constructor(parts: Parts) {
    const { login, requestTimeoutMs, noProxy, proxies, secrets } = parts;
    this.kind = login?.kind ?? "none";
    this.requestTimeoutMs = requestTimeoutMs;
    this.noProxy = noProxy;
    this.#parts = parts;
    this.#secrets = anyOf([login?.header.replace(/^\w+ /, ""), ...secrets, ...Object.values(proxies).map(passwordIn)]);
  }

  headers(): Record<string, string> {
    const { login, headers } = this.#parts;
    return { ...(login && { authorization: login.header }), ...headers };
  }

  tlsOptions(): TlsOptions {
    return this.#parts.tls;
  }

  proxy(protocol: "http:" | "https:"): string | undefined {
    return this.#parts.proxies[protocol];
  }

  scrub(text: string): string {
    return this.#secrets === undefined ? text : text.replace(this.#secrets, "***");
  }

  withoutLogin(kind: "service" | "storage"): FixedAccess {
    const { tls, headers, login, secrets } = this.#parts;
    const { ca, rejectUnauthorized } = tls;
    const server = { ...(ca !== undefined && { ca }), ...(rejectUnauthorized === false && { rejectUnauthorized }) };
    return new FixedAccess({
      ...this.#parts,
      login: undefined,
      headers: kind === "service" ? headers : {},
      tls: kind === "service" ? server : {},
      secrets: login === undefined ? secrets : [...secrets, login.header.replace(/^\w+ /, "")],
    });
  }
}

export function basicLogin(username: string, password: string): Login {
  return { kind: "basic", header: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
}

/** `value`, if an HTTP header can carry it; the error does not repeat it. @param name of its setting */
export function headerValue(value: string, name: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return value;
  throw new TraceletError("usage", `${name} holds a line break or another character that no HTTP header can carry`);
}

/** The proxies that the environment names, as curl and Python read it: `host:port` is enough. */
export function readProxies(env: Environment): { readonly proxies: Proxies; readonly noProxy: string } {
  const address = (text: string | undefined) => (!text || text.includes("://") ? text || undefined : `http://${text}`);
  return {
    proxies: {
      "http:": address(env["http_proxy"] || env["HTTP_PROXY"]),
      "https:": address(env["https_proxy"] || env["HTTPS_PROXY"]),
    },
    noProxy: env["no_proxy"] ?? env["NO_PROXY"] ?? "",
  };
}

/**
 * The PEM file that a variable names; undefined if it names none.
 *
 * @throws TraceletError `usage` if it cannot be read or is none
 */
export function readPem(env: Environment, name: string): string | undefined {
  const path = env[name];
  if (!path) return undefined;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new TraceletError("usage", `cannot read ${path}, which ${name} names`, { cause: error });
  }
  if (text.includes("-----BEGIN ")) return text;
  throw new TraceletError("usage", `${path}, which ${name} names, is not a PEM file`);
}

/**
 * Each text as it is and as it is encoded in an address; case is ignored, since host names lose theirs. The longest first,
 * so that one inside another leaves nothing behind.
 */
function anyOf(texts: readonly (string | undefined)[]): RegExp | undefined {
  const secrets = texts.filter((text): text is string => text !== undefined && text !== "");
  if (secrets.length === 0) return undefined;
  const forms = secrets.flatMap((secret) => [secret, encodeURIComponent(secret)]).sort((a, b) => b.length - a.length);
  return new RegExp(forms.map((form) => form.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|"), "gi");
}

function passwordIn(address: string | undefined): string | undefined {
  const login = address && /\/\/[^/@]*?:(.*)@/.exec(address);
  return login ? login[1] : undefined;
}
