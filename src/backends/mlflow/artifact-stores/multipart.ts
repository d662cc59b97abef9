/**
 * Large files sent straight to the object store behind an MLflow server, in parts, by addresses that the server signs.
 * An extra: whatever goes wrong, the whole file can be sent through the server.
 */

import { TraceletError } from "../../../errors.ts";
import type { HttpClient } from "../../../net/client.ts";
import { encodeParts, partBytes } from "../../../net/object-store.ts";
import { ReplyLost } from "../../../net/refusal.ts";
import type { JsonObject } from "../../../net/request.ts";
import { notUnderstood, type SignedAddress, sendParts } from "../../../net/signed-upload.ts";
import type { FileRef } from "../../../reader/file-store.ts";
import { partOf } from "../../../sync/source/file-part.ts";

const ENDPOINT = "/api/2.0/mlflow-artifacts/mpu";
/** From this size on it is worth the two more requests. Bytes. */
export const MULTIPART_MINIMUM: number = 64 * 1024 * 1024;
const PART_BYTES = 16 * 1024 * 1024;

/** Servers that had no use for it, so that they are asked once only. */
const without = new WeakSet<HttpClient>();

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
      const each = partBytes(size, PART_BYTES);
      const count = Math.ceil(size / each);
      // 501 where the server's files are on its own disk; 404 from an MLflow that knows nothing of it.
      const created = await call("create", { num_parts: count }, true);
      uploadId = created["upload_id"];
      const addresses = addressesOf(created["credentials"], count);
      const sent = await sendParts(this.#http, addresses, { file, size, partOf }, each);
      const parts = sent.map(({ url, etag }, i) => ({ part_number: i + 1, etag, url }));
      await call("complete", { upload_id: uploadId, parts }, true);
      return true;
    } catch (error) {
      if (!(error instanceof TraceletError || error instanceof ReplyLost) || isOfTheFile(error)) throw error;
      without.add(this.#http);
      if (typeof uploadId === "string") await call("abort", { upload_id: uploadId }, true).catch(() => {});
      return false;
    }
  }
}

function addressesOf(credentials: unknown, count: number): readonly SignedAddress[] {
  const all = Array.isArray(credentials) ? (credentials as (JsonObject | null)[]) : [];
  if (all.length !== count || all.some((each, i) => each?.["part_number"] !== i + 1)) throw notUnderstood();
  return all.map((each) => ({ url: each?.["url"], headers: each?.["headers"] }));
}

/** It would fail in every other way as well. */
function isOfTheFile(error: TraceletError | ReplyLost): boolean {
  return error instanceof TraceletError && error.code === "logdir";
}
