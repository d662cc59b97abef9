/** Bodies on their way, which may be large. */
import { TraceletError } from "../errors.ts";
import type { Headers } from "./request.ts";

export interface Download {
  readonly bytes: Buffer;
  /** Whether the server has said beforehand how long it is. */
  readonly whole: boolean;
}

/** What one buffer can hold in each Node. */
export const MAX_FILE_BYTES: number = 2 ** 32 - 1;

/** A file that is larger than whoever asks for it takes. */
export class FileTooLarge extends TraceletError {
  /** @param size bytes, as far as that is known */
  constructor(size: number) {
    super("rejected", `the server has a file of ${size} bytes or more, too many to be held in memory`);
  }
}

/** An answer that is larger than any may be; there may be a way to ask for less. */
export class AnswerTooLarge extends TraceletError {}

/** The same chunks. @param each called before each of them */
export async function* watched(chunks: AsyncIterable<Uint8Array>, each: () => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    each();
    yield chunk;
  }
}

/** The same chunks; a byte now and then is no progress. */
export async function* progressing(chunks: AsyncIterable<Buffer>, goesOn: () => void): AsyncGenerator<Buffer> {
  let unseen = 0;
  for await (const chunk of chunks) {
    yield chunk;
    unseen += chunk.length;
    if (unseen < 1 << 20) continue;
    goesOn();
    unseen = 0;
  }
}

/** Takes the body of an answer that is a file. @param goesOn to be called when there is more of it */
export type ReadFile = (body: AsyncIterable<Buffer>, headers: Headers, goesOn: () => void) => Promise<Buffer>;

/** A whole body. One that ends too early is undici's to notice. @throws FileTooLarge */
export async function readFile(
  body: AsyncIterable<Buffer>,
  headers: Headers,
  goesOn: () => void,
  atMost: number,
): Promise<Buffer> {
  const length = headers["content-length"];
  const expected = typeof length === "string" && /^\d+$/.test(length) ? Number(length) : undefined;
  if (expected !== undefined && expected > atMost) throw new FileTooLarge(expected);
  const whole = expected === undefined ? undefined : Buffer.allocUnsafeSlow(expected);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of progressing(body, goesOn)) {
    if (size + chunk.length > atMost) throw new FileTooLarge(size + chunk.length);
    if (whole === undefined) chunks.push(chunk);
    else chunk.copy(whole, size);
    size += chunk.length;
  }
  return whole ?? Buffer.concat(chunks, size);
}
