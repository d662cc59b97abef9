/**
 * What an answer means, or that none came: a value, a failure that may pass, or an error. HTTP's own rules are here; what a
 * service means beyond them, its `Service` says.
 *
 * Nothing thrown here holds a credential: errors are built from checked texts, and the library's own errors are not
 * passed on as causes.
 */
import { TraceletError } from "../errors.ts";
import type { Access } from "./access.ts";
import { ContentRefused, Refusal } from "./refusal.ts";
import { type Headers, type HttpRequest, type JsonObject, nameOf } from "./request.ts";
import type { Judgement, Service } from "./service.ts";
import type { Timing } from "./timing.ts";

/** An attempt that failed but may work the next time. */
export interface Failure {
  readonly reason: string;
  /** The server is only busy, so what others get through counts for this request as well. */
  readonly busy: boolean;
  /** The server is there, and will accept the request later. */
  readonly throttled: boolean;
  /** The server has certainly not carried it out. */
  readonly notDone: boolean;
  readonly retryAfterMs: number;
  /** An HTTP 5xx that names no time to wait, which may be caused by what the request holds. */
  readonly serverError?: ServerError | undefined;
}

export interface ServerError {
  /** Whether the service says so, which is there then, and not a proxy before it. */
  readonly byService: boolean;
  readonly asRefusal: ContentRefused;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** A 2xx, parsed. */
export interface Success {
  readonly headers: Headers;
  readonly body: Buffer;
  readonly text: string;
  readonly json: JsonObject | undefined;
  readonly html: boolean;
  readonly compressed: boolean;
}

export type Outcome<T> = { readonly value: T } | { readonly failure: Failure };

/** ms. */
export const RETRY_AFTER_CAP_MS = 300_000;
const MAX_SHOWN = 500;
/** How many of these are taken from its end. */
const MAX_END = 150;
/** How much of an error's text is read. */
const MAX_READ = 20_000;

/** Judges what one server answers. */
export class Answers {
  /** When a request last got an answer that makes sense, ms of `timing.monotonic`. */
  last: number = Number.NEGATIVE_INFINITY;
  readonly #service: Service;
  readonly #base: string;
  readonly #access: Access;
  readonly #timing: Timing;

  /** @param base the server's address, without a login */
  constructor(service: Service, base: string, access: Access, timing: Timing) {
    this.#service = service;
    this.#base = base;
    this.#access = access;
    this.#timing = timing;
  }

  /** What to make of a 2xx that has to be JSON. */
  json({ json, html, compressed, text }: Success): Outcome<JsonObject> {
    if (json) return { value: json };
    if (html) throw this.isAnother("answers with a web page");
    if (compressed) throw this.isAnother("compresses its answers, which it was not asked to");
    // What begins like JSON, or not at all, was cut off on the way. It acknowledges nothing.
    if (text === "" || text.startsWith("{")) return failed("HTTP 200 with a damaged answer");
    throw this.isAnother("answers with something else than JSON");
  }

  /**
   * @param accept what to make of a 2xx
   * @param wantsFile whether that is a file, which is not looked into
   */
  judge<T>(
    request: HttpRequest,
    { status, headers, body }: Answer,
    accept: (success: Success) => Outcome<T>,
    wantsFile: boolean,
  ): Outcome<T> {
    const success = status >= 200 && status < 300;
    const compressed = /\w/.test(String(headers["content-encoding"] ?? "").replace("identity", ""));
    const text = compressed || (wantsFile && success) ? "" : body.toString();
    const json = parseObject(text);
    const html = !json && (/^\s*</.test(text) || /html/.test(String(headers["content-type"])));
    if (success) return accept({ headers, body, text, json, html, compressed });
    if (status >= 300 && status < 400) throw this.#redirected(request, status, String(headers["location"] ?? ""));

    const error = this.#service.readError(json, html ? "a web page" : text);
    const said = error.said.slice(0, MAX_READ);
    const shown = this.#service.shorten?.(said) ?? said;
    const reason = this.#shown([`HTTP ${status} ${error.code}`.trim(), shown].filter((part) => part !== "").join(": "));
    const refusal = (what: string, hint?: string, endsAll?: boolean) =>
      new Refusal(`${this.#base} ${what}`, reason, status, error.code, said, { hint, endsAll });

    if (status === 500 && request.refusedBy500) throw refusal(`refuses ${nameOf(request)}`);
    const answer = { request, status, headers, text, error, base: this.#base };
    const judgement = this.#service.judge(answer) ?? byHttp(status, headers);
    if (judgement?.kind === "failed") {
      const { isBusy, isThrottled, isNotDone } = judgement;
      const retryAfterMs = this.#retryAfter(headers);
      const isServers = status >= 500 && retryAfterMs === 0;
      const serverError = isServers ? this.#serverError(request, reason, error.code) : undefined;
      return failed(reason, { busy: isBusy, throttled: isThrottled, notDone: isNotDone, retryAfterMs, serverError });
    }
    if (status < 500) this.last = this.#timing.monotonic();
    if (judgement?.kind === "refused") throw refusal(judgement.what, judgement.hint, judgement.endsAll);
    if (status === 401 || status === 403) {
      const message = `${this.#base} does not allow ${nameOf(request)} (${this.#sent()}): ${reason}`;
      throw new TraceletError("auth", message, { hint: this.#service.hints.login });
    }
    if (status === 407) throw proxyLogin(reason);
    throw refusal(`refuses ${nameOf(request)}`, html && status !== 413 ? this.#service.hints.address : undefined);
  }

  #serverError(request: HttpRequest, reason: string, errorCode: string): ServerError {
    const asRefusal = new ContentRefused(`${this.#base} cannot do ${nameOf(request)}: ${reason}`, reason, {});
    return { byService: errorCode !== "", asRefusal };
  }

  /** What it means that no answer came. @param timedOut whether the wait was long enough */
  connectionFailure(error: unknown, timedOut: boolean): Failure {
    if (timedOut) return failed("the answer takes too long").failure;
    const { code, syscall, message } = describe(error);
    if (/^Proxy (response \(407\)|Authentication Required)/.test(message)) throw proxyLogin(message);
    if (code === undefined || NOT_THE_NETWORK.test(code)) throw error;
    const reason = this.#shown(message.includes(code) ? message : `${message} (${code})`);
    // Before the first answer, the settings are wrong; later, the network is.
    if (this.last === Number.NEGATIVE_INFINITY && TLS_PROBLEM.test(code)) {
      throw new TraceletError("unreachable", `no safe connection to ${this.#base}: ${reason}`, {
        hint: this.#tlsHint(code),
      });
    }
    const tunnelRefused = message.startsWith("Proxy response (");
    return failed(reason, { notDone: NOTHING_SENT.has(code) || syscall === "connect" || tunnelRefused }).failure;
  }

  /**
   * ms that the server asks to wait; 0 if it does not, or not in a way that makes sense.
   *
   * Source: RFC 9110, 10.2.3; draft-ietf-httpapi-ratelimit-headers, whose `RateLimit-Reset` counts where nothing remains.
   */
  #retryAfter(headers: Headers): number {
    const text = String(headers["retry-after"] ?? "").trim();
    const date = /^[A-Z][a-z]{2,8},? .*\d{4}/.test(text) ? Date.parse(text) : Number.NaN;
    const ms = (/^\d+$/.test(text) ? seconds(text) : undefined) ?? date - this.#timing.wall();
    if (ms > 0) return Math.min(ms, RETRY_AFTER_CAP_MS);
    if (seconds(String(headers["ratelimit-remaining"] ?? "")) !== 0) return 0;
    return Math.min(seconds(String(headers["ratelimit-reset"] ?? "")) ?? 0, RETRY_AFTER_CAP_MS);
  }

  #redirected(request: HttpRequest, status: number, location: string): TraceletError {
    const { title, hints } = this.#service;
    let hint = `give the address that it leads to as ${hints.givenAddress}`;
    let target = "elsewhere";
    try {
      const url = new URL(location, this.#base + request.path);
      target = this.#shown(`to ${url.origin}`);
      const base = url.origin + url.pathname;
      hint = base.endsWith(request.path)
        ? this.#shown(`give ${base.slice(0, -request.path.length)} as ${hints.givenAddress}`)
        : `if ${title} is there, give that address as ${hints.givenAddress}; if that is a page to log in, the server wants credentials`;
    } catch {
      // Nothing in it that could be named.
    }
    return new TraceletError(
      "rejected",
      `${this.#base} redirects (HTTP ${status}) ${target}; tracelet does not follow`,
      { hint, endsAll: true },
    );
  }

  /** The error that something else than the service answers. */
  isAnother(what: string): TraceletError {
    return new TraceletError("rejected", `${this.#base} ${what}: this is not ${this.#service.title}`, {
      hint: this.#service.hints.address,
      endsAll: true,
    });
  }

  #sent(): string {
    const { kind } = this.#access;
    return (kind === "none" ? undefined : this.#service.sent) ?? SENT[kind];
  }

  #tlsHint(code: string): string {
    if (/WRONG_VERSION_NUMBER|EPROTO/.test(code))
      return "does the server speak https? If not, write http:// in the address";
    if (/ALERT/.test(code)) return `the server may want a certificate: ${this.#service.hints.clientCertificate}`;
    if (code.includes("ALTNAME")) return "give the address by a name that the server's certificate is for";
    if (code.includes("EXPIRED")) return "the server's certificate has to be renewed";
    return this.#service.hints.authority;
  }

  /** A text from outside, fit for a terminal: without secrets and control characters, and not too long. */
  #shown(text: string): string {
    const clean = this.#access.scrub(text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")).trim();
    // Servers repeat a text that is too long, and say only behind it that it is.
    return clean.length > MAX_SHOWN ? `${clean.slice(0, MAX_SHOWN - MAX_END)}…${clean.slice(-MAX_END)}` : clean;
  }
}

const SENT = {
  none: "no credentials were sent",
  basic: "a user name and password were sent",
  bearer: "a token was sent",
} as const;

/** Errors of connecting, before a byte of the request is sent. */
const NOTHING_SENT: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** A bug, or the client was closed. */
const NOT_THE_NETWORK = /^(ERR_(?!TLS_|SSL_|OSSL|STREAM_)|UND_ERR_(DESTROYED|CLOSED|NOT_SUPPORTED|INVALID_ARG)$)/;

const TLS_PROBLEM = /^(CERT_|ERR_TLS_|ERR_SSL_|ERR_OSSL|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|UND_ERR_PRX_TLS|EPROTO)/;

/** What HTTP's own status codes say; undefined: the place, or the request, is refused. */
function byHttp(status: number, headers: Headers): Judgement | undefined {
  const failure = { kind: "failed", isBusy: false, isThrottled: false, isNotDone: false } as const;
  if (status === 429) return { ...failure, isBusy: true, isThrottled: true, isNotDone: true };
  // Proxies also answer it when the server went away in the middle; one that names a time means "not now".
  if (status === 503) return { ...failure, isBusy: true, isNotDone: headers["retry-after"] !== undefined };
  if (status === 408) return { ...failure, isBusy: true };
  return status === 500 || status === 502 || status === 504 ? failure : undefined;
}

/** ms; undefined if it is no number of seconds. Those of `RateLimit-Reset` may have fractions. */
function seconds(text: string): number | undefined {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : undefined;
}

function proxyLogin(reason: string): TraceletError {
  return new TraceletError("auth", `the HTTP proxy wants a login: ${reason}`, {
    hint: "write it into HTTP_PROXY or HTTPS_PROXY: http://user:password@host:port",
  });
}

function failed(reason: string, more: Partial<Failure> = {}): { failure: Failure } {
  return { failure: { reason, busy: false, throttled: false, notDone: false, retryAfterMs: 0, ...more } };
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : undefined;
  } catch {
    return undefined;
  }
}

/** What Node and undici put on their errors; of several addresses tried, the first one's. */
function describe(error: unknown): { code: string | undefined; syscall: string | undefined; message: string } {
  if (!(error instanceof Error)) return { code: undefined, syscall: undefined, message: String(error) };
  const { code, syscall, errors } = error as NodeJS.ErrnoException & { errors?: readonly Error[] };
  return {
    // undici gives its parser's errors a code only where llhttp has one.
    code: code ?? (error.name === "HTTPParserError" ? "HPE_INVALID" : undefined),
    syscall,
    message: error.message || errors?.[0]?.message || "connection failed",
  };
}
