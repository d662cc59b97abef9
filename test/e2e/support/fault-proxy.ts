/** An HTTP proxy between tracelet and the real server, which fails by rule and knows what it did. */
import { once } from "node:events";
import {
  Agent,
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  request as send,
} from "node:http";
import type { AddressInfo } from "node:net";
import { type Answer, type Fault, respond } from "../../support/faults.ts";
import { seededRandom } from "../../support/seeded-random.ts";

/** The connection is reset, and the request is carried out when `release` is called: a late one of a process that is gone. */
export interface Late {
  readonly kind: "late";
}

export interface FaultRule {
  readonly fault: Fault | Late;
  /** Only these, by method and path: `/^GET |log-batch$/`. All by default. */
  readonly requests?: RegExp;
  /** Of those, only the ones whose body, as text, holds this. */
  readonly body?: RegExp;
  /** Of those, only the ones that do not carry one of these `Authorization` headers. */
  readonly unless?: readonly string[];
  /** Of those, only some, by their number from 1 on. */
  readonly nth?: (n: number) => boolean;
  /** Of those, only this share, picked by the seeded generator. */
  readonly probability?: number;
  /** How often at most. */
  readonly times?: number;
}

export interface ProxiedRequest {
  /** When it had arrived, ms since 1970. */
  readonly at: number;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** What was done to it, by its name in `fired`. */
  readonly fault: string | undefined;
}

/** How many requests are remembered. */
const MAX_KEPT = 20_000;
/** Headers of one connection only. */
const HOP_BY_HOP = ["connection", "keep-alive", "transfer-encoding"];

export class FaultProxy {
  /** The last ones, the oldest first. */
  readonly requests: ProxiedRequest[] = [];
  /** How often each fault was injected, by name: `reset-after`, `answer 503` … */
  readonly fired: Map<string, number> = new Map();
  /** Sees each request before anything is done to it, which waits for it. */
  onRequest: (method: string, path: string, body: Buffer) => void | Promise<void> = () => {};
  /** Requests that the server itself did not answer, since it was not there or died. */
  unanswered = 0;
  /** Requests that are late. */
  readonly #held: (() => Promise<Answer>)[] = [];
  #rules: { readonly rule: FaultRule; matched: number; fired: number }[] = [];
  readonly #server: Server;
  #target: number;
  readonly #port: number;
  readonly #random: () => number;
  /** The server closes kept connections when it likes, which would be a fault of our own making. */
  readonly #agent = new Agent({ keepAlive: false });

  private constructor(server: Server, target: number, seed: number) {
    this.#server = server;
    this.#target = target;
    this.#port = (server.address() as AddressInfo).port;
    this.#random = seededRandom(seed);
    server.on("request", (incoming, outgoing) => {
      this.#serve(incoming, outgoing).catch(() => incoming.socket.resetAndDestroy());
    });
  }

  /** @param target port of the server on 127.0.0.1 */
  static async start(target: number, seed = 1): Promise<FaultProxy> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new FaultProxy(server, target, seed);
  }

  get uri(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** How many faults were injected. */
  get faults(): number {
    return [...this.fired.values()].reduce((sum, times) => sum + times, 0);
  }

  /** From now on; where several rules fit, the first. */
  inject(...rules: readonly FaultRule[]): void {
    this.#rules.push(...rules.map((rule) => ({ rule, matched: 0, fired: 0 })));
  }

  /** No more faults. */
  calm(): void {
    this.#rules = [];
  }

  /** Have the server carry out the late requests now. @returns how many there were */
  async release(): Promise<number> {
    const held = this.#held.splice(0);
    for (const work of held) await work();
    return held.length;
  }

  /** No more faults, and all that was counted forgotten. */
  reset(): void {
    this.calm();
    this.requests.length = 0;
    this.fired.clear();
    this.unanswered = 0;
  }

  /** Nobody listens, and the open connections are reset, until `reconnect`. */
  async disconnect(): Promise<void> {
    this.#count("disconnect");
    await this.stop();
  }

  /** Another server answers at the same address. @param target its port */
  redirect(target: number): void {
    this.#target = target;
  }

  /** On the same port again. */
  async reconnect(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const { method = "", url = "" } = incoming;
    const [path = ""] = url.split("?");
    await this.onRequest(method, path, body);
    const fault = this.#choose(`${method} ${path}`, incoming.headers.authorization ?? "", body);
    const name = fault && nameOf(fault);
    if (name !== undefined) this.#count(name);
    if (this.requests.length >= MAX_KEPT) this.requests.splice(0, MAX_KEPT / 2);
    this.requests.push({ at: Date.now(), method, path, fault: name });
    if (fault?.kind === "late") {
      this.#held.push(() => this.#forward(incoming, body));
      incoming.socket.resetAndDestroy();
      return;
    }
    await respond(outgoing, fault, () => this.#forward(incoming, body));
  }

  #choose(request: string, authorization: string, body: Buffer): Fault | Late | undefined {
    const fitting = this.#rules.filter(({ rule }) => {
      if (rule.unless?.includes(authorization)) return false;
      return (rule.requests?.test(request) ?? true) && (rule.body?.test(body.toString()) ?? true);
    });
    for (const entry of fitting) entry.matched++;
    for (const entry of fitting) {
      const { rule } = entry;
      if (rule.nth !== undefined && !rule.nth(entry.matched)) continue;
      if (rule.times !== undefined && entry.fired >= rule.times) continue;
      if (rule.probability !== undefined && this.#random() >= rule.probability) continue;
      entry.fired++;
      return rule.fault;
    }
    return undefined;
  }

  #count(name: string): void {
    this.fired.set(name, (this.fired.get(name) ?? 0) + 1);
  }

  async #forward({ method, url, headers }: IncomingMessage, body: Buffer): Promise<Answer> {
    try {
      const to = { host: "127.0.0.1", port: this.#target, agent: this.#agent, method, path: url };
      const forward = send({ ...to, headers: endToEnd(headers) }).end(body);
      const [answer] = (await once(forward, "response")) as [IncomingMessage];
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk as Buffer);
      return { status: answer.statusCode ?? 502, headers: endToEnd(answer.headers), body: Buffer.concat(chunks) };
    } catch (error) {
      this.unanswered++;
      throw error;
    }
  }
}

function endToEnd(headers: IncomingMessage["headers"]): IncomingMessage["headers"] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));
}

function nameOf(fault: Fault | Late): string {
  if (fault.kind !== "answer") return fault.kind;
  return `answer ${fault.answer.status}${fault.carriedOut ? ", carried out" : ""}`;
}
