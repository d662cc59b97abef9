/** Every way tracelet itself can refuse or fail; each has one wording, in one place: the class that carries it. */
export type ErrorCode =
  /** The command line or an environment variable asks for something that does not exist. */
  | "usage"
  /** The logdir cannot be read. */
  | "logdir"
  /** The state cannot be read or written. */
  | "state"
  /** Another process holds the same source and destination. */
  | "locked"
  /** The destination refused the credentials (401, 403). */
  | "auth"
  /** The destination cannot be reached, or has not answered usefully for too long. */
  | "unreachable"
  /** The destination answered, and what it said means that a request can never succeed. */
  | "rejected"
  /** The run or experiment was deleted at the destination. */
  | "deleted"
  /** Another process has written to the run since it was opened: who opens it again goes on from there. */
  | "overtaken"
  /** The run that a run is to be nested in could not be opened. */
  | "nested"
  /** A plug-in failed in a way that it has no error for. */
  | "plugin"
  /** The user asked to stop. */
  | "interrupted"
  /** An error that nobody has thought of. */
  | "bug"
  /** The destination is of a kind that is not supported. */
  | "unsupported";

/**
 * The one error class tracelet throws on purpose.
 *
 * `message` says what happened and where; `hint` says what to do about it. Neither ever holds a credential.
 */
export class TraceletError extends Error {
  override readonly name = "TraceletError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  /** Whether it would be the same with every other run. */
  readonly endsAll: boolean;
  /** How long the destination wants to be left alone, ms; undefined if it has not said. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      readonly hint?: string | undefined;
      readonly cause?: unknown;
      readonly endsAll?: boolean;
      readonly retryAfterMs?: number | undefined;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.endsAll = options.endsAll ?? ENDS_ALL.has(code);
    this.retryAfterMs = options.retryAfterMs;
  }
}

const ENDS_ALL: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["auth", "unreachable", "state", "unsupported"]);

/** The same as one that can be reported; anything else than a `TraceletError` is a bug. */
export function asTraceletError(error: unknown): TraceletError {
  if (error instanceof TraceletError) return error;
  const { message } = error as Error;
  return new TraceletError("bug", `${message}: this is a bug in tracelet`, { cause: error });
}
