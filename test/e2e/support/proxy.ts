/** A TCP proxy between tracelet and the real server: counts requests, and loses replies when told to. */
import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export type Fault =
  /** The server carries it out; the reply never arrives. */
  | "lose reply"
  /** The connection breaks before the server sees it. */
  | "lose request"
  /** The server never sees it: HTTP 400, as a filter before a server says it. */
  | "refuse";

export class Proxy {
  /** Method and path of every request, in order. */
  readonly requests: string[] = [];
  /** Asked for each request; a fault that it returns is injected. */
  fault: (method: string, path: string, body: string) => Fault | undefined = () => undefined;
  /** How many faults were injected. */
  faults = 0;
  readonly #server: Server;
  readonly #target: number;

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#target = target;
  }

  static async start(target: number): Promise<Proxy> {
    const server = createServer();
    const proxy = new Proxy(server, target);
    server.on("request", (incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => {
        const { method = "", url = "" } = incoming;
        const body = Buffer.concat(chunks);
        proxy.requests.push(`${method} ${url.split("?")[0]}`);
        const fault = proxy.fault(method, url, body.toString());
        if (fault !== undefined) proxy.faults++;
        if (fault === "lose request") {
          incoming.socket.resetAndDestroy();
          return;
        }
        if (fault === "refuse") {
          outgoing.writeHead(400, { "content-type": "text/plain" }).end("request blocked");
          return;
        }
        const forward = request(
          { port: proxy.#target, host: "127.0.0.1", method, path: url, headers: incoming.headers },
          (answer) => {
            const parts: Buffer[] = [];
            answer.on("data", (part: Buffer) => parts.push(part));
            answer.on("end", () => {
              if (fault === "lose reply") incoming.socket.resetAndDestroy();
              else outgoing.writeHead(answer.statusCode ?? 502, answer.headers).end(Buffer.concat(parts));
            });
          },
        );
        forward.on("error", () => incoming.socket.resetAndDestroy());
        forward.end(body);
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  get uri(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}
