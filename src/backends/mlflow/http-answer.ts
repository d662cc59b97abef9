/**
 * What an answer means, or that none came: a value, a failure that may pass, or an error.
 *
 * Nothing thrown here holds a credential: errors are built from checked texts, and the library's own errors are not
 * passed on as causes.
 */
import { TraceletError } from "../../errors.ts";
import { type Credentials, HOW_TO_LOG_IN } from "./credentials.ts";
import { type Headers, type HttpRequest, type JsonObject, nameOf } from "./http-request.ts";
import { ContentRefused } from "./store.ts";
import type { Timing } from "./timing.ts";

/** The server answered that it will not do this. The store knows what some of these mean. */
export class Refusal extends TraceletError {
  /** HTTP status. */
  readonly status: number;
  /** The answer, fit to be shown. */
  readonly reason: string;
  // As they came. Only `message` is fit to be shown: a password may be any word, and is starred out of it.
  readonly #errorCode: string;
  readonly #text: string;

  constructor(what: string, reason: string, status: number, errorCode: string, text: string, hint?: string) {
    super("rejected", `${what}: ${reason}`, hint === undefined ? {} : { hint });
    this.status = status;
    this.reason = reason;
    this.#errorCode = errorCode;
    this.#text = text;
  }

  /** Whether MLflow's `error_code` is this one. */
  is(errorCode: string): boolean {
    return this.#errorCode === errorCode;
  }

  /** Whether what the server said matches. */
  says(pattern: RegExp): boolean {
    return pattern.test(this.#text);
  }
}

/** No such place, or not for this client: it would be said of any request. */
const OF_THE_PLACE: ReadonlySet<number> = new Set([403, 404, 405]);

/** `error`, or where a server has refused what a request holds, that. */
export function asContentRefused(error: unknown): unknown {
  if (!(error instanceof Refusal) || error.status >= 500 || OF_THE_PLACE.has(error.status)) return error;
  return new ContentRefused(error.message, error.reason, { hint: error.hint, cause: error });
}

/** An attempt that did not work but may the next time. */
export interface Failure {
  readonly reason: string;
  /** The server says that it is only too busy, so that what others get through counts for this request as well. */
  readonly busy: boolean;
  /** HTTP 429: the server is there, and will take the request later. */
  readonly throttled: boolean;
  /** The server has certainly not carried it out. */
  readonly notDone: boolean;
  readonly retryAfterMs: number;
  /** An HTTP 5xx that says nothing of later, which may be for what the request holds. */
  readonly serverError?: ServerError | undefined;
}

export interface ServerError {
  /** Whether it is MLflow that says so, which is there then, and not a proxy before it. */
  readonly byMlflow: boolean;
  readonly asRefusal: ContentRefused;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** A 2xx, looked at. */
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
/** Of these, how many are of its end. */
const MAX_END = 150;
/** What is looked at of an error's text. */
const MAX_READ = 20_000;

/** Judges what one server answers. */
export class Answers {
  /** When any request last got an answer that makes sense, ms of the clock given. */
  last: number = Number.NEGATIVE_INFINITY;
  readonly #base: string;
  readonly #credentials: Credentials;
  readonly #timing: Timing;

  constructor(base: string, credentials: Credentials, timing: Timing) {
    this.#base = base;
    this.#credentials = credentials;
    this.#timing = timing;
  }

  /** What to make of a 2xx that has to be JSON. */
  json({ json, html, compressed, text }: Success): Outcome<JsonObject> {
    if (json) return { value: json };
    if (html) throw this.notMlflow("answers with a web page");
    if (compressed) throw this.notMlflow("compresses its answers, which it was not asked to");
    // What begins like MLflow's answer, or not at all, was cut off on the way. It acknowledges nothing.
    if (text === "" || text.startsWith("{")) return failed("HTTP 200 with a damaged answer");
    throw this.notMlflow("answers with something else than JSON");
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

    const errorCode = typeof json?.["error_code"] === "string" ? json["error_code"] : "";
    const said = html ? "a web page" : (errorText(json) ?? text).slice(0, MAX_READ);
    const shown = withoutSql(said);
    const reason = this.#shown([`HTTP ${status} ${errorCode}`.trim(), shown].filter((part) => part !== "").join(": "));
    const retryAfterMs = this.#retryAfter(headers["retry-after"]);
    const refusal = (what: string, hint?: string) =>
      new Refusal(`${this.#base} ${what}`, reason, status, errorCode, said, hint);

    if (status === 500 && request.refusedBy500) throw refusal(`refuses ${nameOf(request)}`);
    if (status === 503 && /Artifact serving is|--no-serve-artifacts/.test(text)) {
      throw refusal("does not serve artifacts", "start it with `mlflow server --serve-artifacts`");
    }
    // A server without workspaces answers 500 to a request that names one.
    if (errorCode === "FEATURE_DISABLED") throw refusal("cannot do that", "unset MLFLOW_WORKSPACE");
    const serverError = retryAfterMs > 0 ? undefined : this.#serverError(request, reason, errorCode);
    if (status === 429) return failed(reason, { busy: true, throttled: true, notDone: true, retryAfterMs });
    if (status === 503) {
      // Proxies also answer it when the server went away in the middle; one that names a time means "not now".
      return failed(reason, { busy: true, notDone: headers["retry-after"] !== undefined, retryAfterMs, serverError });
    }
    if (status === 408) return failed(reason, { busy: true, retryAfterMs });
    if (status === 400 && /QueuePool limit/.test(text)) {
      // It got no connection to its database within 30 s, so nothing was written.
      return failed(reason, { busy: true, notDone: true, retryAfterMs });
    }
    if (status === 500 || status === 502 || status === 504) return failed(reason, { retryAfterMs, serverError });

    this.last = this.#timing.monotonic();
    if (status === 403 && /Invalid Host header/i.test(text)) {
      const name = new URL(this.#base).host;
      throw refusal("does not go by this name", `start it with \`mlflow server --allowed-hosts ${name}\``);
    }
    if (status === 401 || status === 403) {
      const message = `${this.#base} does not allow ${nameOf(request)} (${SENT[this.#credentials.kind]}): ${reason}`;
      throw new TraceletError("auth", message, { hint: HOW_TO_LOG_IN });
    }
    if (status === 407) throw proxyLogin(reason);
    throw refusal(`refuses ${nameOf(request)}`, html && status !== 413 ? IS_IT_MLFLOW : undefined);
  }

  #serverError(request: HttpRequest, reason: string, errorCode: string): ServerError {
    const asRefusal = new ContentRefused(`${this.#base} cannot do ${nameOf(request)}: ${reason}`, reason, {});
    return { byMlflow: errorCode !== "", asRefusal };
  }

  /** What it means that no answer came. @param timedOut whether it was waited for long enough */
  connectionFailure(error: unknown, timedOut: boolean): Failure {
    if (timedOut) return failed("the answer takes too long").failure;
    const { code, syscall, message } = describe(error);
    if (/^Proxy (response \(407\)|Authentication Required)/.test(message)) throw proxyLogin(message);
    if (code === undefined || NOT_THE_NETWORK.test(code)) throw error;
    const reason = this.#shown(message.includes(code) ? message : `${message} (${code})`);
    // Before the first answer this is a matter of settings; later it is trouble on the way.
    if (this.last === Number.NEGATIVE_INFINITY && TLS_PROBLEM.test(code)) {
      throw new TraceletError("unreachable", `no safe connection to ${this.#base}: ${reason}`, { hint: tlsHint(code) });
    }
    const tunnelRefused = message.startsWith("Proxy response (");
    return failed(reason, { notDone: NOTHING_SENT.has(code) || syscall === "connect" || tunnelRefused }).failure;
  }

  /** ms that the server asks to wait; 0 if it does not, or not in a way that makes sense. */
  #retryAfter(header: string | string[] | undefined): number {
    const text = String(header ?? "").trim();
    const date = /^[A-Z][a-z]{2,8},? .*\d{4}/.test(text) ? Date.parse(text) : Number.NaN;
    const ms = /^\d+$/.test(text) ? Number(text) * 1000 : date - this.#timing.wall();
    return ms > 0 ? Math.min(ms, RETRY_AFTER_CAP_MS) : 0;
  }

  #redirected(request: HttpRequest, status: number, location: string): TraceletError {
    let hint = "give the address that it leads to as the tracking URI";
    let target = "elsewhere";
    try {
      const url = new URL(location, this.#base + request.path);
      target = this.#shown(`to ${url.origin}`);
      const base = url.origin + url.pathname;
      hint = base.endsWith(request.path)
        ? this.#shown(`give ${base.slice(0, -request.path.length)} as the tracking URI`)
        : "if MLflow is there, give that address as the tracking URI; if that is a page to log in, the server wants credentials";
    } catch {
      // Nothing in it that could be named.
    }
    return new TraceletError(
      "rejected",
      `${this.#base} redirects (HTTP ${status}) ${target}; tracelet does not follow`,
      { hint, endsAll: true },
    );
  }

  notMlflow(what: string): TraceletError {
    return new TraceletError("rejected", `${this.#base} ${what}: this is not an MLflow server`, {
      hint: IS_IT_MLFLOW,
      endsAll: true,
    });
  }

  /** A text from outside, fit for a terminal: without secrets and control characters, and not too long. */
  #shown(text: string): string {
    const clean = this.#credentials.scrub(text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")).trim();
    // MLflow repeats a text that is too long, and says only behind it that it is.
    return clean.length > MAX_SHOWN ? `${clean.slice(0, MAX_SHOWN - MAX_END)}…${clean.slice(-MAX_END)}` : clean;
  }
}

const SENT = {
  none: "no credentials were sent",
  basic: "a user name and password were sent",
  bearer: "a token was sent",
} as const;

const IS_IT_MLFLOW =
  "check the address, with the path if the server has one (--static-prefix), and whether a proxy or a page to log in stands before it";

/** Errors of connecting, before a byte of the request is sent. */
const NOTHING_SENT: ReadonlySet<string> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/** A fault in the program, or the client was closed. */
const NOT_THE_NETWORK = /^(ERR_(?!TLS_|SSL_|OSSL|STREAM_)|UND_ERR_(DESTROYED|CLOSED|NOT_SUPPORTED|INVALID_ARG)$)/;

const TLS_PROBLEM = /^(CERT_|ERR_TLS_|ERR_SSL_|ERR_OSSL|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|UND_ERR_PRX_TLS|EPROTO)/;

function tlsHint(code: string): string {
  if (/WRONG_VERSION_NUMBER|EPROTO/.test(code))
    return "does the server speak https? If not, write http:// in the address";
  if (/ALERT/.test(code)) return "the server may want a certificate: set MLFLOW_TRACKING_CLIENT_CERT_PATH";
  if (code.includes("ALTNAME")) return "give the address by a name that the server's certificate is for";
  if (code.includes("EXPIRED")) return "the server's certificate has to be renewed";
  return "set MLFLOW_TRACKING_SERVER_CERT_PATH to the file of the authority that signed its certificate";
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

/** MLflow's `message`, or the `detail` of those of its routes that are FastAPI's. */
function errorText(json: JsonObject | undefined): string | undefined {
  const said = json?.["message"] ?? json?.["detail"];
  if (said === undefined || typeof said === "string") return said;
  try {
    return JSON.stringify(said);
  } catch {
    // Nested so deep that the stack ends.
    return undefined;
  }
}

/** What SQLAlchemy says of an error, without the statement, its parameters and where to read of them. */
function withoutSql(said: string): string {
  return said.replace(/\s*\[SQL: .*/s, "").replace(/\s*\(Background on this error at: \S+\)/, "");
}

/** What Node and undici put on their errors; where several addresses were tried, what the first of them gave. */
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
