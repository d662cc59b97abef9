/** What it means that a request was not carried out. */
import { TraceletError } from "../errors.ts";

/** The server answered that it will not do this. A backend knows what some of these mean. */
export class Refusal extends TraceletError {
  /** HTTP status. */
  readonly status: number;
  /** The answer, fit to be shown. */
  readonly reason: string;
  // As they came. Only `message` is fit to be shown: a password may be any word, and is starred out of it.
  readonly #code: string;
  readonly #text: string;

  constructor(
    what: string,
    reason: string,
    status: number,
    code: string,
    text: string,
    { hint, endsAll = false }: { readonly hint?: string | undefined; readonly endsAll?: boolean | undefined } = {},
  ) {
    super("rejected", `${what}: ${reason}`, { hint, endsAll });
    this.status = status;
    this.reason = reason;
    this.#code = code;
    this.#text = text;
  }

  /** Whether the service's own code of the error is this one. */
  is(code: string): boolean {
    return this.#code === code;
  }

  /** Whether what the server said matches. */
  says(pattern: RegExp): boolean {
    return pattern.test(this.#text);
  }
}

/** The answer to a request is no, and it may be for what the request holds: another may be accepted. */
export class ContentRefused extends TraceletError {
  /** What was said, without credentials. */
  readonly reason: string;

  constructor(
    message: string,
    reason: string,
    options: { readonly hint?: string | undefined; readonly cause?: unknown },
  ) {
    super("rejected", message, options);
    this.reason = reason;
  }
}

/** The request was sent, and whether it was carried out is not known. */
export class ReplyLost extends Error {
  override readonly name = "ReplyLost";
}

/** No such place, or not for this client: any request would be told so. */
const OF_THE_PLACE: ReadonlySet<number> = new Set([403, 404, 405]);

/** `error`, or, where a server refused what the request holds, that. */
export function asContentRefused(error: unknown): unknown {
  if (!(error instanceof Refusal) || error.status >= 500 || OF_THE_PLACE.has(error.status)) return error;
  return new ContentRefused(error.message, error.reason, { hint: error.hint, cause: error });
}
