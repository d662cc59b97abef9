/** What is asked of an HTTP server. */

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT";
  /** Behind the server's address, from the slash on. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** JSON text, or bytes. */
  readonly body?: string | Uint8Array | Upload;
  readonly headers?: Readonly<Record<string, string>>;
  /** False: the body goes without one, as signed addresses want it that were signed for none. */
  readonly contentType?: false;
  /** Its name in messages, instead of its path, which may hold a signature. */
  readonly shownAs?: string;
  /** Whether it may be sent again when nobody knows if the server has carried it out. */
  readonly retryLostReply: boolean;
  /** One of many alike: these go over kept or new connections, whichever measure faster. */
  readonly frequent?: boolean;
  /** One of many that may be ready at once: it waits until the server can use it. */
  readonly inTurn?: boolean;
  /** Whether an HTTP 500 is a refusal: some servers answer some requests with it for ever. */
  readonly refusedBy500?: boolean;
  /** If this is answered while the request itself keeps meeting an HTTP 5xx, the server refuses what the request holds. */
  readonly counterpart?: Counterpart;
}

/** A request that asks as much of the server as another one, but holds none of its content. */
export interface Counterpart {
  /** What the other one concerns: the same for all that stand or fall together. */
  readonly about: string;
  request(): HttpRequest;
}

/** A streamed body; each attempt starts at its beginning. */
export interface Upload {
  /** Bytes. */
  readonly size: number;
  /** Its iterator may only throw a TraceletError. */
  open(): Promise<OpenUpload>;
}

export interface OpenUpload extends AsyncIterable<Uint8Array> {
  close(): Promise<void>;
}

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type JsonObject = Readonly<Record<string, unknown>>;

/** Its name in messages. */
export function nameOf({ path, shownAs }: HttpRequest): string {
  return shownAs ?? path;
}

export function isUpload(body: HttpRequest["body"]): body is Upload {
  return typeof body === "object" && "open" in body;
}

/** Size of its body: in bytes, or in characters where it is text. */
export function sizeOf({ body }: HttpRequest): number {
  if (body === undefined) return 0;
  return isUpload(body) ? body.size : body.length;
}

export function bodyHeaders({ body, contentType }: HttpRequest): Record<string, string> {
  if (body === undefined) return {};
  if (typeof body === "string") return { "content-type": "application/json" };
  const length = isUpload(body) ? { "content-length": String(body.size) } : {};
  return { ...(contentType !== false && { "content-type": "application/octet-stream" }), ...length };
}
