/** Files sent to addresses that a service signs for an object store: no login goes with them. */
import { TraceletError } from "../errors.ts";
import type { HttpClient } from "./client.ts";
import type { PartOf } from "./object-store.ts";
import type { Headers, Upload } from "./request.ts";

/** How many parts are under way at once. */
const AT_ONCE = 4;
/** How long to try: the store's address is often one that only the service can reach. ms. */
const GIVE_UP_AFTER = 30_000;

/** What a service offers for one part; none of it is checked yet. */
export interface SignedAddress {
  readonly url: unknown;
  /** What the store may want beside the part. */
  readonly headers?: unknown;
}

export interface SentPart {
  readonly url: string;
  readonly etag: string;
}

/**
 * Send a file in parts of `partBytes`, the last one shorter, each to its address.
 *
 * @param http the client of the service, which also knows the proxies
 * @throws TraceletError `rejected` if an address cannot be understood; what `HttpClient.upload` throws
 */
export async function sendParts<File>(
  http: HttpClient,
  addresses: readonly SignedAddress[],
  { file, size, partOf }: { readonly file: File; readonly size: number; readonly partOf: PartOf<File> },
  partBytes: number,
): Promise<SentPart[]> {
  const sent: SentPart[] = [];
  let next = 0;
  const sendSome = async () => {
    while (next < addresses.length) {
      const i = next++;
      const part = partOf(file, i * partBytes, Math.min(partBytes, size - i * partBytes));
      sent[i] = await sendPart(http, addresses[i] as SignedAddress, part, i + 1).catch((error: unknown) => {
        // The others need not begin another.
        next = addresses.length;
        throw error;
      });
    }
  };
  const workers = await Promise.allSettled(Array.from({ length: AT_ONCE }, sendSome));
  for (const worker of workers) if (worker.status === "rejected") throw worker.reason;
  return sent;
}

async function sendPart(
  http: HttpClient,
  { url, headers }: SignedAddress,
  body: Upload,
  number: number,
): Promise<SentPart> {
  if (typeof url !== "string" || !/^https?:/i.test(url) || !URL.canParse(url)) throw notUnderstood();
  const { origin, pathname, search } = new URL(url);
  const answer: Headers = await http.elsewhere(origin, "storage", GIVE_UP_AFTER).upload({
    method: "PUT",
    path: url.startsWith(origin) ? url.slice(origin.length) : pathname + search,
    shownAs: `part ${number}`,
    body,
    headers: headersOf(headers),
    retryLostReply: true,
  });
  return { url, etag: String(answer["etag"] ?? "") };
}

/** How the request is sent is not the service's to say. */
function headersOf(offered: unknown): Record<string, string> {
  const headers = Object.entries(offered ?? {});
  if (!headers.every(isHeader)) throw notUnderstood();
  return Object.fromEntries(headers);
}

function isHeader(header: [string, unknown]): header is [string, string] {
  const [name, value] = header;
  return /^[\w-]+$/.test(name) && !OURS.test(name) && typeof value === "string" && /^[\x20-\x7e]*$/.test(value);
}

const OURS =
  /^(connection|content-length|cookie|expect|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade)$/i;

/** The error that a service's offer is not what it should be. */
export function notUnderstood(): TraceletError {
  return new TraceletError("rejected", "the server's offer of an upload in parts cannot be understood");
}
