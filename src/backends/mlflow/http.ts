/**
 * HTTP to one MLflow server, JSON mostly: sends, and tries again for as long as that can help. Nothing thrown here holds a
 * credential; `http-answer.ts` sees to that.
 */
import { setMaxListeners } from "node:events";
import type { Readable } from "node:stream";
import { type Dispatcher, request as send } from "undici";
import { TraceletError } from "../../errors.ts";
import { type Digest, digestOf } from "./artifacts.ts";
import { type Connection, ConnectionChoice, connect } from "./connections.ts";
import { Counterparts, type Verdict } from "./counterparts.ts";
import { type Credentials, NoLogin } from "./credentials.ts";
import { type Answer, Answers, type Failure, type Outcome, RETRY_AFTER_CAP_MS, type Success } from "./http-answer.ts";
import {
  bodyHeaders,
  type Headers,
  type HttpRequest,
  isUpload,
  type JsonObject,
  nameOf,
  sizeOf,
} from "./http-request.ts";
import { ReplyLost } from "./store.ts";
import { systemTiming, type Timing } from "./timing.ts";
import { UnderWay } from "./under-way.ts";

export interface Download {
  readonly bytes: Buffer;
  /** Whether the server has said beforehand how long it is. */
  readonly whole: boolean;
}

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
  /**
   * Which failures are tried again without asking the caller. `throttled`: HTTP 429 only. A server that was away may
   * come back as an older backup of itself, so whoever has to look what it holds now is told of all others at once.
   * Default `always`.
   */
  readonly retryWhen?: "always" | "throttled" | undefined;
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

const BACKOFF_BASE_MS = 500;
const BACKOFF_CAP_MS = 30_000;
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** What one buffer can hold in each Node. */
const MAX_FILE_BYTES = 2 ** 32 - 1;
/** A request of more takes longer to be worked on than to be sent. */
const LARGE_BYTES = 16 * 1024;
/** Attempts that a large body gets even if one of them takes longer than all may. */
const MIN_UPLOADS = 4;

/** A file that is larger than whoever asks for it takes. */
export class FileTooLarge extends TraceletError {
  /** @param size bytes, as far as that is known */
  constructor(size: number) {
    super("rejected", `the server has a file of ${size} bytes or more, too many to be held in memory`);
  }
}

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
  /** By the kind of request: what takes long anyway says nothing of a short one. */
  readonly #connections = new Map<string, ConnectionChoice>();
  readonly #underWay = new UnderWay();
  readonly #answers: Answers;
  readonly #counterparts: Counterparts;
  readonly #options: HttpClientOptions;
  readonly #others = new Map<string, HttpClient>();
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
    this.#answers = new Answers(this.#base, this.#credentials, this.#timing);
    this.#counterparts = new Counterparts(
      () => this.#timing.monotonic(),
      async (request) => {
        try {
          return "value" in (await this.#attempt(request, (success) => this.#answers.json(success), undefined));
        } catch (error) {
          if (error instanceof TraceletError) return false;
          throw error;
        }
      },
    );
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
    return this.#exchange(request, (success) => this.#answers.json(success));
  }

  /**
   * The same for a request whose answer says nothing but that it is done.
   *
   * @returns the answer's headers
   */
  async upload(request: HttpRequest): Promise<Headers> {
    return this.#exchange(request, ({ headers, html, text }) => {
      if (html && text !== "") throw this.#answers.notMlflow("answers with a web page");
      return { value: headers };
    });
  }

  /**
   * The same for an answer that is a file. It is held once if the server says how long it is.
   *
   * @throws FileTooLarge if it has more than `atMost` bytes
   */
  async download(request: HttpRequest, atMost: number = MAX_FILE_BYTES): Promise<Download> {
    const accept = (success: Success) => ({ value: { bytes: success.body, whole: this.#isWhole(success) } });
    return this.#exchange(request, accept, (...answer) => readFile(...answer, atMost));
  }

  /** The digest of an answer that is a file, which is not held. */
  async digest(request: HttpRequest): Promise<Digest & Pick<Download, "whole">> {
    let digest: Digest | undefined;
    const read: ReadFile = async (body, _, goesOn) => {
      digest = await digestOf(progressing(body, goesOn));
      return Buffer.alloc(0);
    };
    const accept = (success: Success) => ({ value: { ...(digest as Digest), whole: this.#isWhole(success) } });
    return this.#exchange(request, accept, read);
  }

  #isWhole({ headers, compressed }: Success): boolean {
    if (compressed) throw this.#answers.notMlflow("compresses its answers, which it was not asked to");
    return headers["content-length"] !== undefined;
  }

  /** Address of the server, without login and trailing slash. */
  get base(): string {
    return this.#base;
  }

  /** For others that try again as this does; what they tell is counted with its own. */
  get patience(): Patience {
    const { giveUpAfterMs, retryWhen, signal, timing } = this.#options;
    const onRetry = (notice: RetryNotice) => {
      this.retries++;
      this.#onRetry?.(notice);
    };
    return { giveUpAfterMs, retryWhen, onRetry, signal, timing };
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

  async #exchange<T>(request: HttpRequest, accept: (success: Success) => Outcome<T>, read?: ReadFile): Promise<T> {
    const start = this.#timing.monotonic();
    /** How often its counterpart was answered when it had failed. */
    let answers = 0;
    for (let attempt = 1; ; attempt++) {
      this.#signal?.throwIfAborted();
      const outcome = await this.#inTurn(request, () => this.#attempt(request, accept, read));
      const now = this.#timing.monotonic();
      if ("value" in outcome) {
        this.#answers.last = now;
        if (!request.retryLostReply) this.#lostInARow = 0;
        if (request.counterpart) this.#counterparts.succeeded(request.counterpart);
        return outcome.value;
      }
      const { reason, busy, throttled, notDone } = outcome.failure;
      const retryAfterMs = outcome.failure.retryAfterMs || undefined;
      if (!request.retryLostReply && !notDone) {
        // The caller will look and ask again at once, so the pause that a retry would make is made here.
        await this.#pause(outcome.failure, ++this.#lostInARow, RETRY_AFTER_CAP_MS);
        throw new ReplyLost(`whether ${this.#base} has carried out ${nameOf(request)} is not known: ${reason}`);
      }
      const verdict = await this.#judge(request, outcome.failure, answers);
      if (verdict === "refused") throw outcome.failure.serverError?.asRefusal;
      if (verdict === "unclear") answers++;
      // A server that was there all the time is no older backup of itself.
      const isThere = verdict === "unclear" && outcome.failure.serverError?.byMlflow === true;
      if (this.#options.retryWhen === "throttled" && !throttled && !isThere) {
        throw new TraceletError("unreachable", `no useful answer from ${this.#base}: ${reason}`, { retryAfterMs });
      }
      // A request that fails alone while others succeed is at fault itself: MLflow has lasting 500s.
      const since = busy ? Math.max(start, this.#answers.last) : start;
      const left = since + this.#giveUpAfterMs - now;
      if (left <= 0 && !(isUpload(request.body) && attempt < MIN_UPLOADS)) {
        const tried = `${Math.round((now - since) / 1000)} s, ${attempt} ${attempt === 1 ? "attempt" : "attempts"}`;
        throw new TraceletError("unreachable", `no useful answer from ${this.#base} for ${tried}: ${reason}`, {
          retryAfterMs,
        });
      }
      await this.#pause(outcome.failure, attempt, Math.max(left, 0));
    }
  }

  async #judge({ counterpart }: HttpRequest, { serverError }: Failure, answers: number): Promise<Verdict> {
    if (counterpart === undefined || serverError === undefined) return "away";
    if (this.#options.retryWhen !== "throttled" || serverError.byMlflow) {
      return this.#counterparts.judge(counterpart, answers);
    }
    return this.#counterparts.judgeRound(counterpart);
  }

  /** Where many requests are there at once, as many of them at a time as do the server good. */
  async #inTurn<T>(request: HttpRequest, attempt: () => Promise<Outcome<T>>): Promise<Outcome<T>> {
    if (!request.inTurn) return attempt();
    return this.#underWay.pass(sizeOf(request), async ({ answered, failed }) => {
      this.#signal?.throwIfAborted();
      const start = this.#timing.monotonic();
      const outcome = await attempt();
      if ("value" in outcome) answered(this.#timing.monotonic() - start);
      else failed();
      return outcome;
    });
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
    readFile: ReadFile | undefined,
  ): Promise<Outcome<T>> {
    const wantsFile = readFile !== undefined;
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
      const file = statusCode >= 200 && statusCode < 300 ? readFile : undefined;
      const read = file ? file(body, headers, goesOn) : this.#read(request, body);
      answer = { status: statusCode, headers, body: await read };
      if (request.frequent && statusCode === 200) {
        this.#choiceFor(request).took(connection, this.#timing.monotonic() - start);
      }
    } catch (error) {
      this.#signal?.throwIfAborted();
      if (error instanceof TraceletError) throw error;
      return { failure: this.#answers.connectionFailure(error, stop.signal.aborted) };
    } finally {
      clearTimeout(timer);
      this.#signal?.removeEventListener("abort", onAbort);
      await upload?.close();
    }
    return this.#answers.judge(request, answer, accept, wantsFile);
  }

  #connectionFor(request: HttpRequest): Connection {
    if (request.frequent) return this.#choiceFor(request).choose(this.#timing.random());
    // The server may be closing a kept connection just now, and then it would not be known what became of the request.
    return request.retryLostReply ? "kept" : "fresh";
  }

  #choiceFor(request: HttpRequest): ConnectionChoice {
    const kind = `${request.method} ${sizeOf(request) < LARGE_BYTES ? "small" : "large"}`;
    const known = this.#connections.get(kind) ?? new ConnectionChoice();
    this.#connections.set(kind, known);
    return known;
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
}

async function* watched(chunks: AsyncIterable<Uint8Array>, each: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    each();
    yield chunk;
  }
}

/** The same chunks; a byte now and then is no progress. */
async function* progressing(chunks: AsyncIterable<Buffer>, goesOn: () => void): AsyncGenerator<Buffer> {
  let unseen = 0;
  for await (const chunk of chunks) {
    yield chunk;
    unseen += chunk.length;
    if (unseen < 1 << 20) continue;
    goesOn();
    unseen = 0;
  }
}

/** Takes the body of an answer that is a file. @param goesOn to be called when there is more of it */
type ReadFile = (body: AsyncIterable<Buffer>, headers: Headers, goesOn: () => void) => Promise<Buffer>;

/** A whole body. One that ends too early is undici's to notice. */
async function readFile(
  body: AsyncIterable<Buffer>,
  headers: Headers,
  goesOn: () => void,
  atMost: number,
): Promise<Buffer> {
  const length = headers["content-length"];
  const expected = typeof length === "string" && /^\d+$/.test(length) ? Number(length) : undefined;
  if (expected !== undefined && expected > atMost) throw new FileTooLarge(expected);
  const whole = expected === undefined ? undefined : Buffer.allocUnsafeSlow(expected);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of progressing(body, goesOn)) {
    if (size + chunk.length > atMost) throw new FileTooLarge(size + chunk.length);
    if (whole === undefined) chunks.push(chunk);
    else chunk.copy(whole, size);
    size += chunk.length;
  }
  return whole ?? Buffer.concat(chunks, size);
}
