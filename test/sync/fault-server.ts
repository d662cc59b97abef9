/** An HTTP server that fails on demand, and the little of MLflow that faults are tried on. For tests only. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type Answer, type Fault, respond } from "../support/faults.ts";

export type { Answer, Fault };

export interface RecordedRequest {
  readonly method: string;
  /** As it stands in the request line, with the query. */
  readonly target: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
  /** 1 for the first request of its connection. */
  readonly nthOfConnection: number;
}

export type Handler = (request: RecordedRequest) => Answer | Promise<Answer>;

export class FaultServer {
  /** What was asked, in the order in which it came; requests that were reset before they were read have no body. */
  readonly requests: RecordedRequest[] = [];
  /** Connections that have ended, whoever ended them. */
  ended = 0;
  #script: Fault[] = [];
  readonly #server: Server;
  readonly #handler: Handler;
  readonly #counts = new WeakMap<Socket, number>();

  private constructor(handler: Handler) {
    this.#handler = handler;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    this.#server.on("connection", (socket) => {
      socket.on("error", () => {});
      socket.on("close", () => this.ended++);
    });
  }

  /** @param handler answers what the script leaves over; without one, `{}` */
  static async start(handler: Handler = () => json({}), port = 0): Promise<FaultServer> {
    const server = new FaultServer(handler);
    await new Promise<void>((resolve) => server.#server.listen(port, "127.0.0.1", resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** The next requests are answered in these ways, one after the other; an answer may be given bare. */
  script(...faults: readonly (Fault | Answer)[]): this {
    this.#script.push(
      ...faults.map((fault) => ("kind" in fault ? fault : ({ kind: "answer", answer: fault } as const))),
    );
    return this;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { socket, method = "", url: target = "", headers } = request;
    const nthOfConnection = (this.#counts.get(socket) ?? 0) + 1;
    this.#counts.set(socket, nthOfConnection);
    const fault = this.#script.shift();
    if (fault?.kind === "reset-before") {
      this.requests.push({ method, target, headers, body: "", nthOfConnection });
      socket.resetAndDestroy();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const recorded = { method, target, headers, body: Buffer.concat(chunks).toString(), nthOfConnection };
    this.requests.push(recorded);
    await respond(response, fault, () => this.#handler(recorded));
  }
}

export function json(body: unknown, status = 200, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
}

/** An error as MLflow words it. */
export function refusal(status: number, errorCode: string, message: string): Answer {
  return json({ error_code: errorCode, message }, status);
}

export function html(status: number, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, headers: { "content-type": "text/html", ...headers }, body: "<!doctype html><h1>A page</h1>" };
}

interface LoggedBatch {
  readonly run_id: string;
  readonly metrics: readonly { readonly key: string; readonly step: number }[];
  readonly params: readonly unknown[];
  readonly tags: readonly unknown[];
}

/** As much of MLflow as shows whether a request was carried out once, twice or not at all. */
export class MlflowImitation {
  readonly runs: string[] = [];
  readonly batches: LoggedBatch[] = [];
  /** How many entities one `log-batch` may hold. */
  limit = 1000;
  /** What a larger one is answered. */
  tooMuch: Answer = html(413);

  readonly handle: Handler = ({ target, body }) => {
    const method = /\/api\/2\.0\/mlflow\/([^?]*)/.exec(target)?.[1];
    switch (method) {
      case "runs/create":
        this.runs.push(body);
        return json({ run: { info: { run_id: `run${this.runs.length}` } } });
      case "runs/log-batch": {
        const batch = JSON.parse(body) as LoggedBatch;
        if (batch.metrics.length + batch.params.length + batch.tags.length > this.limit) return this.tooMuch;
        this.batches.push(batch);
        return json({});
      }
      default:
        return html(404);
    }
  };
}
