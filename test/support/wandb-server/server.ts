/**
 * A small W&B server: as much of its private protocol as wandb 0.31 uses to log, resume, upload and read back runs. It keeps
 * all in memory and answers as the real one has been seen to. That it can be trusted is shown by the official client, which
 * runs scripts against it unchanged (test/e2e/wandb-client.test.ts).
 *
 * What the hosted service does with lines that overlap, and where exactly its limits are, is not known: here a line that is
 * sent again replaces the old one, and is counted.
 *
 * Faults are a matter of `FaultProxy`, which may stand in front: addresses for uploads lead wherever the client came from.
 */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { type Answer, respond } from "../faults.ts";
import { Account } from "./account.ts";
import { applyFileStream, MAX_REQUEST } from "./file-stream.ts";
import { answerGraphql, type GraphqlRequest } from "./graphql.ts";
import { Refusal } from "./refusal.ts";
import type { StoredRun } from "./run.ts";

export interface WandbServerOptions {
  /** Others are answered with 401. */
  readonly apiKeys?: readonly string[];
  /** The user's own entity, which is the default one. */
  readonly user?: string;
  readonly teams?: readonly string[];
  /** Where it lies, as self-hosted servers may: `/wandb`. */
  readonly path?: string;
  /** Addresses for uploads are given without the host. */
  readonly relativeUploads?: boolean;
  /** Headers that every upload has to carry, `Name: value`. */
  readonly uploadHeaders?: readonly string[];
  /** What it says it can: `FILESTREAM_GZIP` … */
  readonly features?: readonly string[];
  /** Requests to the file streams that it takes in each window of time. */
  readonly rateLimit?: { readonly requests: number; readonly windowMs: number };
  /** ms since 1970. */
  readonly now?: () => number;
  readonly port?: number;
}

export interface ReceivedRequest {
  readonly method: string;
  /** Below the server's own, without the query. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly bytes: number;
  readonly status: number;
  /** Of GraphQL. */
  readonly operation?: GraphqlRequest;
}

/** W&B's keys have 40 characters or more, which its client checks. */
export const API_KEY: string = "0123456789abcdef".repeat(3).slice(0, 40);

/** How many bodies are kept: some have megabytes. */
const MAX_STREAMS = 20;

const JSON_TYPE = { "content-type": "application/json" } as const;

export class WandbServer {
  readonly account: Account;
  /** All of them, the oldest first. */
  readonly requests: ReceivedRequest[] = [];
  /** Bodies of what came to the file streams last, as they came, unpacked. */
  readonly streams: string[] = [];
  readonly #server: Server;
  readonly #options: WandbServerOptions;
  readonly #now: () => number;
  #window = { start: 0, used: 0 };

  private constructor(server: Server, options: WandbServerOptions) {
    this.#server = server;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.account = new Account(options.user ?? "ada", options.teams ?? [], options.uploadHeaders ?? []);
    server.on("request", (incoming, outgoing) => {
      respond(outgoing, undefined, () => this.#serve(incoming)).catch(() => incoming.socket.resetAndDestroy());
    });
  }

  static async start(options: WandbServerOptions = {}): Promise<WandbServer> {
    const server = createServer().listen(options.port ?? 0, "127.0.0.1");
    await once(server, "listening");
    return new WandbServer(server, options);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What `WANDB_BASE_URL` is set to. */
  get uri(): string {
    return `http://127.0.0.1:${this.port}${this.#options.path ?? ""}`;
  }

  /** Of the user's own entity. @throws Error if there is none */
  run(project: string, name: string): StoredRun {
    const run = this.account.find({ project, name });
    if (run !== undefined) return run;
    throw new Error(`no run ${name} in ${project}, which has: ${this.runs(project).map((each) => each.name)}`);
  }

  /** In the order they were created in. */
  runs(project: string): StoredRun[] {
    return this.account.runs(project);
  }

  /** GraphQL requests by the name of their operation. */
  operations(name: string): GraphqlRequest[] {
    const all = this.requests.flatMap(({ operation }) => operation ?? []);
    return all.filter(({ operationName, query }) => (operationName || nameIn(query)) === name);
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(incoming: IncomingMessage): Promise<Answer> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const { method = "", headers } = incoming;
    const { pathname, searchParams } = new URL(incoming.url ?? "", "http://server");
    const { path: own = "" } = this.#options;
    const path = pathname.startsWith(`${own}/`) ? pathname.slice(own.length) : undefined;
    const request = { method, path: path ?? pathname, headers, body, signature: searchParams.get("X-Amz-Signature") };
    const answer = await this.#answer(request, path !== undefined).catch((error: unknown) => refused(error));
    const { status } = answer;
    const operation = path === "/graphql" && isJson(body) ? { operation: parseJson(body) as GraphqlRequest } : {};
    this.requests.push({ method, path: request.path, headers, bytes: body.length, status, ...operation });
    return answer;
  }

  async #answer({ method, path, headers, body, signature }: Arrived, isHere: boolean): Promise<Answer> {
    if (!isHere) throw new Refusal(404, "page not found");
    if (path.startsWith("/storage/")) return this.#storage(method, headers, body, signature ?? "");
    // The client's reports on itself.
    if (path.startsWith("/sdk/otel/")) return { status: 200, headers: JSON_TYPE, body: "{}" };
    this.#authorize(headers.authorization);
    if (method === "POST" && path === "/graphql") return this.#graphql(headers, parseJson(body) as GraphqlRequest);
    const [, root, ...names] = path.split("/").map(decodeURIComponent);
    if (method === "POST" && root === "files" && names.length === 4 && names[3] === "file_stream") {
      return this.#fileStream(names, headers, body);
    }
    if (method === "GET" && root === "files") return this.#file(names);
    throw new Refusal(404, "page not found");
  }

  #authorize(authorization: string | undefined): void {
    const { apiKeys = [API_KEY] } = this.#options;
    const allowed = apiKeys.map((key) => `Basic ${Buffer.from(`api:${key}`).toString("base64")}`);
    if (!allowed.includes(authorization ?? "")) throw new Refusal(401, "user is not logged in");
  }

  async #graphql(headers: IncomingHttpHeaders, request: GraphqlRequest): Promise<Answer> {
    const { path = "", relativeUploads, features = [] } = this.#options;
    const addressOf = (below: string) => `${relativeUploads ? "" : `http://${headers.host}`}${path}${below}`;
    const asked = { account: this.account, addressOf, now: this.#now() };
    const { status, result } = await answerGraphql(request, asked, features);
    return { status, headers: JSON_TYPE, body: JSON.stringify(result) };
  }

  #fileStream([entity, project, name = ""]: readonly string[], headers: IncomingHttpHeaders, body: Buffer): Answer {
    const now = this.#now();
    const limit = this.#take(now);
    const run = this.account.find({ entity: entity ?? null, project: project ?? null, name });
    if (run === undefined) throw new Refusal(404, `run ${entity}/${project}/${name} not found while streaming file`);
    const isPacked = headers["content-encoding"] === "gzip";
    if (isPacked && !this.#options.features?.includes("FILESTREAM_GZIP"))
      throw new Refusal(415, "gzip is not supported");
    const plain = isPacked ? gunzipSync(body) : body;
    if (plain.length > MAX_REQUEST) throw new Refusal(413, `more than ${MAX_REQUEST} bytes`);
    const text = plain.toString();
    this.streams.push(text);
    if (this.streams.length > MAX_STREAMS) this.streams.shift();
    applyFileStream(run, text, now);
    const stopped = run.stopped ? { stopped: true } : {};
    const answer = JSON.stringify({ exitcode: null, limits: {}, ...stopped });
    return { status: 200, headers: { ...JSON_TYPE, ...limit }, body: answer };
  }

  #file([entity, project, name = "", ...file]: readonly string[]): Answer {
    const run = this.account.find({ entity: entity ?? null, project: project ?? null, name });
    const stored = run?.files.get(file.join("/"));
    if (stored === undefined) throw new Refusal(404, "file not found");
    return { status: 200, body: stored.bytes };
  }

  /** @returns headers that tell how many requests are left @throws TooMany */
  #take(now: number): { readonly [name: string]: string } {
    const { rateLimit } = this.#options;
    if (rateLimit === undefined) return {};
    const { requests, windowMs } = rateLimit;
    if (now >= this.#window.start + windowMs) this.#window = { start: now, used: 0 };
    const isOver = this.#window.used >= requests;
    if (!isOver) this.#window.used++;
    const headers = {
      "ratelimit-limit": String(requests),
      "ratelimit-remaining": String(requests - this.#window.used),
      "ratelimit-reset": String((this.#window.start + windowMs - now) / 1000),
    };
    if (isOver) throw new TooMany(headers);
    return headers;
  }

  #storage(method: string, headers: IncomingHttpHeaders, body: Buffer, signature: string): Answer {
    const { uploads } = this.account;
    switch (method) {
      case "PUT":
        uploads.put(signature, body, headers, this.#now());
        return { status: 200, body: "" };
      case "GET":
        return { status: 200, body: uploads.get(signature, headers) };
      default:
        throw new Refusal(405, "MethodNotAllowed");
    }
  }
}

interface Arrived {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly signature: string | null;
}

class TooMany extends Refusal {
  readonly headers: { readonly [name: string]: string };

  constructor(headers: { readonly [name: string]: string }) {
    super(429, "rate limit exceeded");
    this.headers = headers;
  }
}

function refused(error: unknown): Answer {
  const status = error instanceof Refusal ? error.status : 500;
  const headers = { ...JSON_TYPE, ...(error instanceof TooMany ? error.headers : {}) };
  return { status, headers, body: JSON.stringify({ error: error instanceof Error ? error.message : String(error) }) };
}

/** @throws Refusal */
function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString());
  } catch (error) {
    throw new Refusal(400, `invalid request: ${String(error)}`);
  }
}

function isJson(body: Buffer): boolean {
  try {
    parseJson(body);
    return true;
  } catch {
    return false;
  }
}

function nameIn(query: string): string | undefined {
  return /(?:query|mutation)\s+(\w+)/.exec(query)?.[1];
}
