/** What can go wrong between a client and an HTTP server, done to one request at a time. For tests only. */
import type { OutgoingHttpHeaders, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";

export interface Answer {
  readonly status: number;
  readonly headers?: OutgoingHttpHeaders;
  readonly body: string | Buffer;
}

/** How one request fails. Unless said otherwise the server carries it out, and it is the answer that suffers. */
export type Fault =
  /** This is answered instead; whether the server has carried the request out as well is said here. */
  | { readonly kind: "answer"; readonly answer: Answer; readonly carriedOut?: boolean }
  /** Nothing is lost, it only takes longer on the way to the server or on the way back, ms. */
  | { readonly kind: "delay"; readonly beforeMs?: number; readonly afterMs?: number }
  /** The connection is reset; it is not carried out. */
  | { readonly kind: "reset-before" }
  /** It is neither carried out nor answered; the connection stays open. */
  | { readonly kind: "black-hole" }
  /** The connection is reset before a byte of the answer. */
  | { readonly kind: "reset-after" }
  /** Half of the answer's body arrives, then the connection is reset. */
  | { readonly kind: "reset-middle" }
  /** Less than `content-length` announces is sent, then the connection is closed in an orderly way. */
  | { readonly kind: "half" }
  /** A chunked answer whose last chunk is cut off, and closed in an orderly way. */
  | { readonly kind: "truncated-chunks" }
  /** The answer does not begin as HTTP does. */
  | { readonly kind: "garbage" }
  /** Nothing is answered. */
  | { readonly kind: "silence" }
  /** The whole answer, a byte every `everyMs`. */
  | { readonly kind: "slow"; readonly everyMs: number }
  /** The answer begins, and a space follows every `everyMs`, without end. */
  | { readonly kind: "trickle"; readonly everyMs: number }
  /** An answer of that many bytes, sent as fast as they are taken. */
  | { readonly kind: "flood"; readonly bytes: number }
  /** An answer that unpacks to so many MiB of spaces, a thousandth of that on the wire. */
  | { readonly kind: "gzip-bomb"; readonly mebibytes: number };

const JSON_TYPE = { "content-type": "application/json" } as const;
const MIB = 1024 * 1024;

/**
 * Answer a request, with a fault or without.
 *
 * @param work has the server carry the request out; called at most once
 */
export async function respond(
  response: ServerResponse,
  fault: Fault | undefined,
  work: () => Answer | Promise<Answer>,
): Promise<void> {
  if (fault === undefined) {
    send(response, await work());
    return;
  }
  switch (fault.kind) {
    case "reset-before":
      response.socket?.resetAndDestroy();
      return;
    case "black-hole":
      return;
    case "answer":
      if (fault.carriedOut) await work();
      send(response, fault.answer);
      return;
    case "delay": {
      await sleep(fault.beforeMs ?? 0);
      const answer = await work();
      await sleep(fault.afterMs ?? 0);
      send(response, answer);
      return;
    }
    default:
      await spoil(response, fault, await work());
  }
}

function send(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers);
  response.end(body);
}

type Spoiling = Exclude<Fault, { kind: "answer" | "delay" | "reset-before" | "black-hole" }>;

async function spoil(response: ServerResponse, fault: Spoiling, answer: Answer): Promise<void> {
  const { socket } = response;
  const body = Buffer.from(answer.body);
  const firstHalf = body.subarray(0, Math.ceil(body.length / 2));
  const { "content-length": _length, ...headers } = answer.headers ?? {};
  switch (fault.kind) {
    case "reset-after":
      socket?.resetAndDestroy();
      return;
    case "reset-middle":
      response.writeHead(answer.status, { ...headers, "content-length": body.length + 1 });
      response.write(firstHalf);
      // A reset throws away what the other side has not yet read.
      await sleep(30);
      socket?.resetAndDestroy();
      return;
    case "half":
      response.writeHead(answer.status, { ...headers, "content-length": body.length + 1 });
      response.write(firstHalf, () => socket?.end());
      return;
    case "truncated-chunks":
      response.writeHead(answer.status, { ...headers, "transfer-encoding": "chunked" });
      response.write(firstHalf, () => socket?.end("400\r\nof 1024 bytes"));
      return;
    case "garbage":
      socket?.end("\x00\x01 this is not HTTP\r\n\r\n");
      return;
    case "silence":
      return;
    case "slow":
      response.writeHead(answer.status, { ...headers, "content-length": body.length });
      for (let at = 0; at < body.length && !response.destroyed; at++) {
        await sleep(fault.everyMs);
        response.write(body.subarray(at, at + 1));
      }
      response.end();
      return;
    case "trickle": {
      response.writeHead(200, JSON_TYPE);
      const timer = setInterval(() => response.write(" "), fault.everyMs);
      response.on("close", () => clearInterval(timer));
      return;
    }
    case "flood":
      response.writeHead(200, JSON_TYPE);
      await pour(response, Buffer.alloc(64 * 1024, " "), fault.bytes / (64 * 1024));
      return;
    case "gzip-bomb":
      response.writeHead(200, { ...JSON_TYPE, "content-encoding": "gzip" });
      // Streams one behind the other are one stream.
      await pour(response, gzipSync(Buffer.alloc(MIB, " ")), fault.mebibytes);
      return;
    default:
  }
}

/** The chunk so many times, no faster than it is taken. */
async function pour(response: ServerResponse, chunk: Buffer, times: number): Promise<void> {
  let wake = () => {};
  for (const event of ["drain", "close"]) response.on(event, () => wake());
  for (let sent = 0; sent < times && !response.destroyed; sent++) {
    if (response.write(chunk)) continue;
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  response.end();
}
