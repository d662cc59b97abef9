/**
 * HTTP to one MLflow server, JSON mostly: sends, judges the answer, and tries again for as long as that can help.
 *
 * Nothing thrown here holds a credential: errors are built from checked texts, and the library's own errors are not
 * passed on as causes.
 */
import { setMaxListeners } from "node:events";
import type { Readable } from "node:stream";
import { type Dispatcher, request as send } from "undici";
import { TraceletError } from "../../../errors.ts";
import { type Connection, ConnectionChoice, connect } from "./connections.ts";
import { type Credentials, HOW_TO_LOG_IN, NoLogin } from "./credentials.ts";
import { ReplyLost } from "./store.ts";
import { systemTiming, type Timing } from "./timing.ts";

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT";
  /** Behind the tracking URI, from the slash on: `/api/2.0/mlflow/runs/get`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** JSON text, or bytes. */
  readonly body?: string | Uint8Array | Upload;
  readonly headers?: Readonly<Record<string, string>>;
  /** What messages call it instead of its path, which may hold a signature. */
  readonly shownAs?: string;
  /** Whether the request may be sent again when it is not known if the server has carried it out. */
  readonly retryLostReply: boolean;
  /** One of many alike: it is measured whether they go faster on kept connections or on new ones. */
  readonly frequent?: boolean;
  /** Whether an HTTP 500 is a refusal: MLflow answers some questions so for ever. */
  readonly refusedBy500?: boolean;
}

/** A body that is streamed, from its beginning at each attempt. */
export interface Upload {
  /** Bytes. */
  readonly size: number;
  /** What its iterator throws has to be a TraceletError. */
  open(): Promise<OpenUpload>;
}

export interface OpenUpload extends AsyncIterable<Uint8Array> {
  close(): Promise<void>;
}

export interface Download {
  readonly bytes: Buffer;
  /** Whether the server has said beforehand how long it is. */
  readonly whole: boolean;
}

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type JsonObject = Readonly<Record<string, unknown>>;

export interface RetryNotice {
  readonly reason: string;
  readonly delayMs: number;
  /** How many attempts of this request have failed so far. */
  readonly attempt: number;
}

/** How to try again. */
export interface Patience {
  /** How long to go on without a useful answer, ms. Default 10 minutes. */
  readonly giveUpAfterMs?: number | undefined;
  readonly onRetry?: ((notice: RetryNotice) => void) | undefined;
  /** Its abort ends every wait, and every request that is under way some time later; they then throw its reason. */
  readonly signal?: AbortSignal | undefined;
  readonly timing?: Timing | undefined;
}

export interface HttpClientOptions extends Patience {
  /** The tracking URI without login and trailing slash. */
  readonly base: string;
  readonly credentials: Credentials;
  /** How long a request that is under way when `signal` is aborted may still take, ms. Default 5 s. */
  readonly stopGraceMs?: number | undefined;
}

/** The server answered that it will not do this. The store knows what some of these mean. */
export class Refusal extends TraceletError {
  /** HTTP status. */
  readonly status: number;
  // As they came. Only `message` is fit to be shown: a password may be any word, and is starred out of it.
  readonly #errorCode: string;
  readonly #text: string;

  constructor(message: string, status: number, errorCode: string, text: string, hint?: string) {
    super("rejected", message, hint === undefined ? {} : { hint });
    this.status = status;
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

/** An attempt that did not work but may the next time. */
interface Failure {
  readonly reason: string;
  /** The server says that it is only too busy, so that what others get through counts for this request as well. */
  readonly busy: boolean;
  /** The server has certainly not carried it out. */
  readonly notDone: boolean;
  readonly retryAfterMs: number;
}

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
}

/** A 2xx, looked at. */
interface Success {
  readonly headers: Headers;
  readonly body: Buffer;
  readonly text: string;
  readonly json: JsonObject | undefined;
  readonly html: boolean;
  readonly compressed: boolean;
}

type Outcome<T> = { readonly value: T } | { readonly failure: Failure };

const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;
const RETRY_AFTER_CAP_MS = 300_000;
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** What one buffer can hold in each Node. */
const MAX_FILE_BYTES = 2 ** 32 - 1;
const MAX_SHOWN = 500;
/** What is looked at of an error's text. */
const MAX_READ = 20_000;
/** Attempts that a large body gets even if one of them takes longer than all may. */
const MIN_UPLOADS = 4;

export class HttpClient {
  /** How many times a request was sent again so far. */
  retries = 0;
  readonly #base: string;
  readonly #credentials: Credentials;
  readonly #giveUpAfterMs: number;
  readonly #onRetry: ((notice: RetryNotice) => void) | undefined;
  readonly #signal: AbortSignal | undefined;
  readonly #stopGraceMs: number;
  readonly #timing: Timing;
  readonly #dispatchers: Readonly<Record<Connection, Dispatcher>>;
  readonly #connections: Readonly<Record<HttpRequest["method"], ConnectionChoice>> = {
    GET: new ConnectionChoice(),
    POST: new ConnectionChoice(),
    PUT: new ConnectionChoice(),
  };
  readonly #options: HttpClientOptions;
  readonly #others = new Map<string, HttpClient>();
  /** When any request last got an answer that makes sense. */
  #lastAnswer = Number.NEGATIVE_INFINITY;
  #lostInARow = 0;

  /** @throws TraceletError `usage` if TLS material or a proxy's address cannot be used */
  constructor(options: HttpClientOptions) {
    this.#options = options;
    this.#base = options.base;
    this.#credentials = options.credentials;
    this.#giveUpAfterMs = options.giveUpAfterMs ?? 600_000;
    this.#onRetry = options.onRetry;
    this.#signal = options.signal;
    this.#stopGraceMs = options.stopGraceMs ?? 5000;
    this.#timing = options.timing ?? systemTiming;
    this.#dispatchers = {
      kept: connect(options.base, options.credentials, {}),
      fresh: connect(options.base, options.credentials, { pipelining: 0 }),
    };
    // Each request under way listens; Node would take more than ten for a leak.
    if (this.#signal) setMaxListeners(0, this.#signal);
  }

  /**
   * @returns the answer's JSON
   * @throws Refusal if the server says no; TraceletError `auth`, `unreachable` or `rejected`; ReplyLost; the signal's
   *   reason
   */
  async request(request: HttpRequest): Promise<JsonObject> {
    return this.#exchange(request, (success) => this.#json(success));
  }

  /**
   * The same for a request whose answer says nothing but that it is done.
   *
   * @returns the answer's headers
   */
  async upload(request: HttpRequest): Promise<Headers> {
    return this.#exchange(request, ({ headers, html, text }) => {
      if (html && text !== "") throw this.#notMlflow("answers with a web page");
      return { value: headers };
    });
  }

  /** The same for an answer that is a file. It is held once if the server says how long it is. */
  async download(request: HttpRequest): Promise<Download> {
    const accept = ({ headers, body, compressed }: Success) => {
      if (compressed) throw this.#notMlflow("compresses its answers, which it was not asked to");
      return { value: { bytes: body, whole: headers["content-length"] !== undefined } };
    };
    return this.#exchange(request, accept, true);
  }

  /** Address of the server, without login and trailing slash. */
  get base(): string {
    return this.#base;
  }

  /** For others that try again as this does; what they tell is counted with its own. */
  get patience(): Patience {
    const { giveUpAfterMs, signal, timing } = this.#options;
    const onRetry = (notice: RetryNotice) => {
      this.retries++;
      this.#onRetry?.(notice);
    };
    return { giveUpAfterMs, onRetry, signal, timing };
  }

  /**
   * A client for another address that connects and tries in the same way; it is closed with this. The login is sent to
   * the same host only: who may make an experiment says where its artifacts go.
   *
   * @param kind what is there: another of the MLflow's servers, or an object store that has its own certificates
   */
  elsewhere(base: string, kind: "mlflow" | "storage", giveUpAfterMs: number = this.#giveUpAfterMs): HttpClient {
    const known = this.#others.get(base);
    if (known !== undefined) return known;
    const sameHost = kind === "mlflow" && new URL(base).hostname === new URL(this.#base).hostname;
    const credentials = sameHost ? this.#credentials : new NoLogin(this.#credentials, kind);
    const other = new HttpClient({ ...this.#options, ...this.patience, base, credentials, giveUpAfterMs });
    this.#others.set(base, other);
    return other;
  }

  async #exchange<T>(request: HttpRequest, accept: (success: Success) => Outcome<T>, wantsFile = false): Promise<T> {
    const start = this.#timing.monotonic();
    for (let attempt = 1; ; attempt++) {
      this.#signal?.throwIfAborted();
      const outcome = await this.#attempt(request, accept, wantsFile);
      const now = this.#timing.monotonic();
      if ("value" in outcome) {
        this.#lastAnswer = now;
        if (!request.retryLostReply) this.#lostInARow = 0;
        return outcome.value;
      }
      const { reason, busy, notDone } = outcome.failure;
      if (!request.retryLostReply && !notDone) {
        // The caller will look and ask again at once, so the pause that a retry would make is made here.
        await this.#pause(outcome.failure, ++this.#lostInARow, RETRY_AFTER_CAP_MS);
        throw new ReplyLost(`whether ${this.#base} has carried out ${nameOf(request)} is not known: ${reason}`);
      }
      // A request that fails alone while others succeed is at fault itself: MLflow has lasting 500s.
      const since = busy ? Math.max(start, this.#lastAnswer) : start;
      const left = since + this.#giveUpAfterMs - now;
      if (left <= 0 && !(isUpload(request.body) && attempt < MIN_UPLOADS)) {
        const tried = `${Math.round((now - since) / 1000)} s, ${attempt} ${attempt === 1 ? "attempt" : "attempts"}`;
        throw this.#unreachable(`no useful answer from ${this.#base} for ${tried}: ${reason}`);
      }
      await this.#pause(outcome.failure, attempt, Math.max(left, 0));
    }
  }

  /** Exponential back-off with full jitter, or what the server asks for. */
  async #pause({ reason, retryAfterMs }: Failure, attempt: number, atMostMs: number): Promise<void> {
    const backoff = this.#timing.random() * Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** (attempt - 1));
    const delayMs = Math.min(atMostMs, Math.max(backoff, retryAfterMs));
    this.retries++;
    this.#onRetry?.({ reason, delayMs, attempt });
    await this.#timing.sleep(delayMs, this.#signal);
  }

  /** Ends the connections, with what is still under way on them. */
  async close(): Promise<void> {
    const others = Array.from(this.#others.values(), (other) => other.close());
    await Promise.all([this.#dispatchers.kept.destroy(), this.#dispatchers.fresh.destroy(), ...others]);
  }

  async #attempt<T>(
    request: HttpRequest,
    accept: (success: Success) => Outcome<T>,
    wantsFile: boolean,
  ): Promise<Outcome<T>> {
    const upload = isUpload(request.body) ? await request.body.open() : undefined;
    const stop = new AbortController();
    const idleMs = this.#credentials.requestTimeoutMs;
    // undici's limits start anew with every byte; an answer that trickles must end as well.
    let timer = setTimeout(() => stop.abort(), 2 * idleMs);
    // What has been sent is most likely carried out, so its answer is worth a moment's wait.
    const onAbort = () => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), this.#stopGraceMs);
    };
    this.#signal?.addEventListener("abort", onAbort, { once: true });
    // What is large may take longer than that, as long as it goes on.
    const goesOn = () => {
      if (!this.#signal?.aborted) timer.refresh();
    };
    const connection = this.#connectionFor(request);
    const start = this.#timing.monotonic();
    let answer: Answer;
    try {
      const query = request.query ? `?${new URLSearchParams(request.query)}` : "";
      const { statusCode, headers, body } = await send(this.#base + request.path + query, {
        dispatcher: this.#dispatchers[connection],
        method: request.method,
        headers: {
          ...this.#credentials.headers(),
          accept: wantsFile ? "*/*" : "application/json",
          "user-agent": "tracelet",
          ...(wantsFile && { "accept-encoding": "identity" }),
          ...bodyHeaders(request.body),
          ...request.headers,
        },
        // undici knows iterables, which its types do not.
        body: upload
          ? (watched(upload, goesOn) as unknown as Readable)
          : ((request.body as string | Uint8Array) ?? null),
        // undici's limit is over while a slow body is still on its way.
        headersTimeout: upload ? 0 : idleMs,
        bodyTimeout: idleMs,
        signal: stop.signal,
      });
      const file = wantsFile && statusCode >= 200 && statusCode < 300;
      const read = file ? readFile(body, headers, goesOn) : this.#read(request, body);
      answer = { status: statusCode, headers, body: await read };
      if (request.frequent && statusCode === 200) {
        this.#connections[request.method].took(connection, this.#timing.monotonic() - start);
      }
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (error instanceof TraceletError) throw error;
      return { failure: this.#connectionFailure(error, stop.signal.aborted) };
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener("abort", onAbort);
      await upload?.close();
    }
    return this.#judge(request, answer, accept, wantsFile);
  }

  #connectionFor({ method, frequent, retryLostReply }: HttpRequest): Connection {
    if (frequent) return this.#connections[method].choose(this.#timing.random());
    // The server may be closing a kept connection just now, and then it would not be known what became of the request.
    return retryLostReply ? "kept" : "fresh";
  }

  async #read(request: HttpRequest, body: AsyncIterable<Buffer>): Promise<Buffer> {
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of body) {
      size += chunk.length;
      if (size > MAX_ANSWER_BYTES) {
        throw new TraceletError("rejected", `${this.#base} answers ${nameOf(request)} with more than 32 MiB`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }

  /** What to make of a 2xx that has to be JSON. */
  #json({ json, html, compressed, text }: Success): Outcome<JsonObject> {
    if (json) return { value: json };
    if (html) throw this.#notMlflow("answers with a web page");
    if (compressed) throw this.#notMlflow("compresses its answers, which it was not asked to");
    // What begins like MLflow's answer, or not at all, was cut off on the way. It acknowledges nothing.
    if (text === "" || text.startsWith("{")) return failed("HTTP 200 with a damaged answer");
    throw this.#notMlflow("answers with something else than JSON");
  }

  #judge<T>(
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
    const reason = this.#shown([`HTTP ${status} ${errorCode}`.trim(), said].filter((part) => part !== "").join(": "));
    const retryAfterMs = this.#retryAfter(headers["retry-after"]);
    const refusal = (what: string, hint?: string) =>
      new Refusal(`${this.#base} ${what}: ${reason}`, status, errorCode, said, hint);

    if (status === 500 && request.refusedBy500) throw refusal(`refuses ${nameOf(request)}`);
    if (status === 503 && /Artifact serving is|--no-serve-artifacts/.test(text)) {
      throw refusal("does not serve artifacts", "start it with `mlflow server --serve-artifacts`");
    }
    // A server without workspaces answers 500 to a request that names one.
    if (errorCode === "FEATURE_DISABLED") throw refusal("cannot do that", "unset MLFLOW_WORKSPACE");
    if (status === 429) return failed(reason, { busy: true, notDone: true, retryAfterMs });
    if (status === 503) {
      // Proxies also answer it when the server went away in the middle; one that names a time means "not now".
      return failed(reason, { busy: true, notDone: headers["retry-after"] !== undefined, retryAfterMs });
    }
    if (status === 408) return failed(reason, { busy: true, retryAfterMs });
    if (status === 400 && /QueuePool limit/.test(text)) {
      // It got no connection to its database within 30 s, so nothing was written.
      return failed(reason, { busy: true, notDone: true, retryAfterMs });
    }
    if (status === 500 || status === 502 || status === 504) return failed(reason, { retryAfterMs });

    this.#lastAnswer = this.#timing.monotonic();
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

  #connectionFailure(error: unknown, timedOut: boolean): Failure {
    if (timedOut) return failed("the answer takes too long").failure;
    const { code, syscall, message } = describe(error);
    if (/^Proxy (response \(407\)|Authentication Required)/.test(message)) throw proxyLogin(message);
    if (code === undefined || NOT_THE_NETWORK.test(code)) throw error;
    const reason = this.#shown(message.includes(code) ? message : `${message} (${code})`);
    // Before the first answer this is a matter of settings; later it is trouble on the way.
    if (this.#lastAnswer === Number.NEGATIVE_INFINITY && TLS_PROBLEM.test(code)) {
      throw this.#unreachable(`no safe connection to ${this.#base}: ${reason}`, tlsHint(code));
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
      { hint },
    );
  }

  #notMlflow(what: string): TraceletError {
    return new TraceletError("rejected", `${this.#base} ${what}: this is not an MLflow server`, { hint: IS_IT_MLFLOW });
  }

  #unreachable(message: string, hint?: string): TraceletError {
    return new TraceletError("unreachable", message, hint === undefined ? {} : { hint });
  }

  /** A text from outside, fit for a terminal: without secrets and control characters, and not too long. */
  #shown(text: string): string {
    const clean = this.#credentials.scrub(text.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ")).trim();
    return clean.length > MAX_SHOWN ? `${clean.slice(0, MAX_SHOWN)}…` : clean;
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

function nameOf({ path, shownAs }: HttpRequest): string {
  return shownAs ?? path;
}

function isUpload(body: HttpRequest["body"]): body is Upload {
  return typeof body === "object" && "open" in body;
}

function bodyHeaders(body: HttpRequest["body"]): Record<string, string> {
  if (body === undefined) return {};
  if (typeof body === "string") return { "content-type": "application/json" };
  const length = isUpload(body) ? { "content-length": String(body.size) } : {};
  return { "content-type": "application/octet-stream", ...length };
}

async function* watched(chunks: AsyncIterable<Uint8Array>, each: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    each();
    yield chunk;
  }
}

/** A whole body. One that ends too early is undici's to notice. */
async function readFile(body: AsyncIterable<Buffer>, headers: Headers, goesOn: () => void): Promise<Buffer> {
  const length = headers["content-length"];
  const expected = typeof length === "string" && /^\d+$/.test(length) ? Number(length) : undefined;
  if (expected !== undefined && expected > MAX_FILE_BYTES) {
    throw new TraceletError("rejected", `the server has a file of ${expected} bytes, more than fits into memory`);
  }
  const whole = expected === undefined ? undefined : Buffer.allocUnsafeSlow(expected);
  const chunks: Buffer[] = [];
  let size = 0;
  // A byte now and then is no progress.
  let seen = 0;
  for await (const chunk of body) {
    if (whole === undefined) chunks.push(chunk);
    else chunk.copy(whole, size);
    size += chunk.length;
    if (size > MAX_FILE_BYTES) {
      throw new TraceletError("rejected", `the server sends a file of more than ${MAX_FILE_BYTES} bytes`);
    }
    if (size - seen >= 1 << 20) {
      goesOn();
      seen = size;
    }
  }
  return whole ?? Buffer.concat(chunks, size);
}

function failed(reason: string, more: Partial<Failure> = {}): { failure: Failure } {
  return { failure: { reason, busy: false, notDone: false, retryAfterMs: 0, ...more } };
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
