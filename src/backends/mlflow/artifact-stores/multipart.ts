/**
 * Large files sent straight to the object store behind an MLflow server, in parts, by addresses that the server signs.
 * An extra: whatever goes wrong, the whole file can be sent through the server.
 */
import { TraceletError } from "../../../errors.ts";
import type { FileRef } from "../../../reader/file-store.ts";
import type { HttpClient } from "../http.ts";
import type { JsonObject } from "../http-request.ts";
import { ReplyLost } from "../store.ts";
import { FilePart } from "./file-part.ts";
import { encodeParts } from "./paths.ts";

const ENDPOINT = "/api/2.0/mlflow-artifacts/mpu";
/** From this size on it is worth the two more requests. Bytes. */
export const MULTIPART_MINIMUM: number = 64 * 1024 * 1024;
const PART_BYTES = 16 * 1024 * 1024;
/** Of S3. */
const MAX_PARTS = 10_000;
const AT_ONCE = 4;
/** How long to try a part: the store's address is often one that only the server can reach. ms. */
const GIVE_UP_AFTER = 30_000;

/** Servers that had no use for it, so that they are asked once only. */
const without = new WeakSet<HttpClient>();

interface SentPart {
  readonly part_number: number;
  readonly etag: string;
  readonly url: string;
}

export class Multipart {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  /**
   * @param parts of the path below the server's root
   * @returns false if the file has to be sent in another way
   */
  async put(parts: readonly string[], file: FileRef, size: number): Promise<boolean> {
    if (without.has(this.#http) || /^(false|0)$/i.test(process.env["MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD"] ?? "")) {
      return false;
    }
    const name = parts.at(-1) as string;
    const call = (method: string, body: JsonObject, refusedBy500: boolean) =>
      this.#http.request({
        method: "POST",
        path: `${ENDPOINT}/${method}/${encodeParts(parts.slice(0, -1))}`,
        body: JSON.stringify({ path: name, ...body }),
        // An upload that was begun twice costs nothing; one that was completed cannot be completed again.
        retryLostReply: method !== "complete",
        refusedBy500,
      });
    let uploadId: unknown;
    try {
      const partBytes = Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS));
      // 501 where the server's files are on its own disk; 404 from an MLflow that knows nothing of it.
      const created = await call("create", { num_parts: Math.ceil(size / partBytes) }, true);
      uploadId = created["upload_id"];
      const sent = await this.#sendParts(created["credentials"], file, size, partBytes);
      await call("complete", { upload_id: uploadId, parts: sent }, true);
      return true;
    } catch (error) {
      if (!(error instanceof TraceletError || error instanceof ReplyLost) || isOfTheFile(error)) throw error;
      without.add(this.#http);
      if (typeof uploadId === "string") await call("abort", { upload_id: uploadId }, true).catch(() => {});
      return false;
    }
  }

  async #sendParts(credentials: unknown, file: FileRef, size: number, partBytes: number): Promise<SentPart[]> {
    const all = Array.isArray(credentials) ? (credentials as (JsonObject | null)[]) : [];
    if (all.length !== Math.ceil(size / partBytes)) throw notUnderstood();
    const sent: SentPart[] = [];
    let next = 0;
    const sendSome = async () => {
      while (next < all.length) {
        const i = next++;
        const part = new FilePart(file, i * partBytes, Math.min(partBytes, size - i * partBytes));
        sent[i] = await this.#sendPart(all[i] ?? {}, part, i + 1).catch((error: unknown) => {
          // The others need not begin another.
          next = all.length;
          throw error;
        });
      }
    };
    const workers = await Promise.allSettled(Array.from({ length: AT_ONCE }, sendSome));
    for (const worker of workers) if (worker.status === "rejected") throw worker.reason;
    return sent;
  }

  async #sendPart(credential: JsonObject, body: FilePart, number: number): Promise<SentPart> {
    const { url, part_number: partNumber, headers } = credential;
    if (typeof url !== "string" || !/^https?:/i.test(url) || !URL.canParse(url) || partNumber !== number) {
      throw notUnderstood();
    }
    const { origin, pathname, search } = new URL(url);
    const answer = await this.#http.elsewhere(origin, "storage", GIVE_UP_AFTER).upload({
      method: "PUT",
      path: url.startsWith(origin) ? url.slice(origin.length) : pathname + search,
      shownAs: `part ${number}`,
      body,
      headers: headersOf(headers),
      retryLostReply: true,
    });
    return { part_number: number, etag: String(answer["etag"] ?? ""), url };
  }
}

/** What a store may want beside the part. How the request is sent is not the server's to say. */
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

/** It would fail in every other way as well. */
function isOfTheFile(error: TraceletError | ReplyLost): boolean {
  return error instanceof TraceletError && error.code === "logdir";
}

function notUnderstood(): TraceletError {
  return new TraceletError("rejected", "the server's offer of an upload in parts cannot be understood");
}
