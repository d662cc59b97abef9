/**
 * HTTP to one server, mostly JSON: sends requests, and retries them for as long as that can help. Nothing thrown here holds
 * a credential; `answers.ts` sees to that.
 */
import { setMaxListeners } from "node:events";
import type { Readable } from "node:stream";
import { type Dispatcher, request as send } from "undici";
import { TraceletError } from "../errors.ts";
import type { Access } from "./access.ts";
import { type Answer, Answers, type Failure, type Outcome, RETRY_AFTER_CAP_MS, type Success } from "./answers.ts";
import { type Connection, ConnectionChoice, connect } from "./connections.ts";
import { Counterparts, type Verdict } from "./counterparts.ts";
import { type Digest, digestOf } from "./object-store.ts";
import { ReplyLost } from "./refusal.ts";
import { bodyHeaders, type Headers, type HttpRequest, isUpload, type JsonObject, nameOf, sizeOf } from "./request.ts";
import { noUsefulAnswer, type Patience, Retries } from "./retries.ts";
import type { Service } from "./service.ts";
import type { Timing } from "./timing.ts";
import {
  AnswerTooLarge,
  type Download,
  MAX_FILE_BYTES,
  progressing,
  type ReadFile,
  readFile,
  watched,
} from "./transfer.ts";
import { UnderWay } from "./under-way.ts";

export interface HttpClientOptions extends Patience {
  readonly service: Service;
  /** The server's address, without login and trailing slash. */
  readonly base: string;
  readonly access: Access;
  /** How long a request may still take that is in flight when `signal` is aborted, ms. Default 5 s. */
  readonly stopGraceMs?: number | undefined;
}

const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** A larger request takes longer to process than to send. */
const LARGE_BYTES = 16 * 1024;
/** Attempts that an upload gets even if one of them takes longer than all may. */
const MIN_UPLOADS = 4;

export class HttpClient {
  readonly #base: string;
  readonly #access: Access;
  readonly #retries: Retries;
  readonly #stopGraceMs: number;
  readonly #dispatchers: Readonly<Record<Connection, Dispatcher>>;
  /** By kind of request: slow requests say nothing about fast ones. */
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
    this.#access = options.access;
    this.#retries = new Retries(options);
    this.#stopGraceMs = options.stopGraceMs ?? 5000;
    this.#answers = new Answers(options.service, this.#base, this.#access, this.#timing);
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
      kept: connect(options.base, options.access, {}),
      fresh: connect(options.base, options.access, { pipelining: 0 }),
    };
    // Each request in flight listens; Node would take more than ten for a leak.
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
   * The same, for a request whose answer only says that it is done.
   *
   * @returns the answer's headers
   */
  async upload(request: HttpRequest): Promise<Headers> {
    return this.#exchange(request, ({ headers, html, text }) => {
      if (html && text !== "") throw this.#answers.isAnother("answers with a web page");
      return { value: headers };
    });
  }

  /**
   * The same, for an answer that is a file. It is held in memory once if the server announces its length.
   *
   * @throws FileTooLarge if it has more than `atMost` bytes
   */
  async download(request: HttpRequest, atMost: number = MAX_FILE_BYTES): Promise<Download> {
    const accept = (success: Success) => ({ value: { bytes: success.body, whole: this.#isWhole(success) } });
    return this.#exchange(request, accept, (...answer) => readFile(...answer, atMost));
  }

  /** The digest of an answer that is a file, which is not held in memory. */
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
    if (compressed) throw this.#answers.isAnother("compresses its answers, which it was not asked to");
    return headers["content-length"] !== undefined;
  }

  /** Address of the server, without login and trailing slash. */
  get base(): string {
    return this.#base;
  }

  /** How many requests were sent again so far. */
  get retries(): number {
    return this.#retries.count;
  }

  /** For others that retry as this does; their retries are counted here. */
  get patience(): Patience {
    return this.#retries.patience;
  }

  /**
   * A client for another address that connects and retries in the same way; it is closed with this one. The login goes to
   * the same host only: somebody else may have named the address.
   *
   * @param kind what is there: another of the service's servers, or an object store that has its own certificates
   */
  elsewhere(
    base: string,
    kind: "service" | "storage",
    giveUpAfterMs: number = this.#retries.giveUpAfterMs,
  ): HttpClient {
    const known = this.#others.get(base);
    if (known !== undefined) return known;
    const sameHost = kind === "service" && new URL(base).hostname === new URL(this.#base).hostname;
    const access = sameHost ? this.#access : this.#access.withoutLogin(kind);
    const other = new HttpClient({ ...this.#options, ...this.patience, base, access, giveUpAfterMs });
    this.#others.set(base, other);
    return other;
  }

  get #timing(): Timing {
    return this.#retries.timing;
  }

  get #signal(): AbortSignal | undefined {
    return this.#retries.signal;
  }

  async #exchange<T>(request: HttpRequest, accept: (success: Success) => Outcome<T>, read?: ReadFile): Promise<T> {
    const start = this.#timing.monotonic();
    /** How often its counterpart was answered after it had failed. */
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
      if (!request.retryLostReply && !notDone) {
        // The caller will look and ask again at once, so the pause before a retry is made here.
        await this.#retries.pause(outcome.failure, ++this.#lostInARow, RETRY_AFTER_CAP_MS);
        throw new ReplyLost(`whether ${this.#base} has carried out ${nameOf(request)} is not known: ${reason}`);
      }
      const verdict = await this.#judge(request, outcome.failure, answers);
      if (verdict === "refused") throw outcome.failure.serverError?.asRefusal;
      if (verdict === "unclear") answers++;
      // A server that was there all the time is no older backup of itself.
      const isThere = verdict === "unclear" && outcome.failure.serverError?.byService === true;
      if (this.#retries.isTold(throttled) && !isThere) throw noUsefulAnswer(this.#base, outcome.failure);
      // A request that fails while others succeed is itself at fault: some servers answer 500 for ever.
      const since = busy ? Math.max(start, this.#answers.last) : start;
      const left = since + this.#retries.giveUpAfterMs - now;
      if (left <= 0 && !(isUpload(request.body) && attempt < MIN_UPLOADS)) {
        throw noUsefulAnswer(this.#base, outcome.failure, { ms: now - since, attempts: attempt });
      }
      await this.#retries.pause(outcome.failure, attempt, Math.max(left, 0));
    }
  }

  async #judge({ counterpart }: HttpRequest, { serverError }: Failure, answers: number): Promise<Verdict> {
    if (counterpart === undefined || serverError === undefined) return "away";
    if (this.#options.retryWhen !== "throttled" || serverError.byService) {
      return this.#counterparts.judge(counterpart, answers);
    }
    return this.#counterparts.judgeRound(counterpart);
  }

  /** Of many requests at once, as many at a time as the server can use. */
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

  /** Closes the connections, with whatever is still in flight on them. */
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
    const idleMs = this.#access.requestTimeoutMs;
    // undici's limits restart with every byte; an answer that trickles must end as well.
    let timer = setTimeout(() => stop.abort(), 2 * idleMs);
    // What was sent is most likely carried out, so its answer is worth a short wait.
    const onAbort = () => {
      clearTimeout(timer);
      timer = setTimeout(() => stop.abort(), this.#stopGraceMs);
    };
    this.#signal?.addEventListener("abort", onAbort, { once: true });
    // A large body may take longer, as long as it makes progress.
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
          ...this.#access.headers(),
          accept: wantsFile ? "*/*" : "application/json",
          "user-agent": "tracelet",
          ...(wantsFile && { "accept-encoding": "identity" }),
          ...bodyHeaders(request),
          ...request.headers,
        },
        // undici accepts iterables; its types do not say so.
        body: upload
          ? (watched(upload, goesOn) as unknown as Readable)
          : ((request.body as string | Uint8Array) ?? null),
        // undici's limit would expire while a slow body is still being sent.
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
    // The server may be closing a kept connection at this moment; then nobody would know what became of the request.
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
        throw new AnswerTooLarge("rejected", `${this.#base} answers ${nameOf(request)} with more than 32 MiB`);
      }
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }
}
