/** What is asked of an HTTP server. */

export interface HttpRequest {
  readonly method: "GET" | "POST" | "PUT";
  /** Behind the server's address, from the slash on. */
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
  /** One of many that may be there at once: it waits until the server can make use of it. */
  readonly inTurn?: boolean;
  /** Whether an HTTP 500 is a refusal: some servers answer some questions so for ever. */
  readonly refusedBy500?: boolean;
  /** Where it is answered while this request meets an HTTP 5xx again and again, that is a refusal of what this holds. */
  readonly counterpart?: Counterpart;
}

/** A request that asks as much of the server as another, and holds nothing of what that does. */
export interface Counterpart {
  /** What the other is about: the same for all that stand or fall together. */
  readonly about: string;
  request(): HttpRequest;
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

export type Headers = Readonly<Record<string, string | string[] | undefined>>;

export type JsonObject = Readonly<Record<string, unknown>>;

/** What messages call it. */
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

export function bodyHeaders(body: HttpRequest["body"]): Record<string, string> {
  if (body === undefined) return {};
  if (typeof body === "string") return { "content-type": "application/json" };
  const length = isUpload(body) ? { "content-length": String(body.size) } : {};
  return { "content-type": "application/octet-stream", ...length };
}
