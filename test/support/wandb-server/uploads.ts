/** Files behind signed addresses: who has the address may write, and nobody else. */
import { createHash, randomBytes } from "node:crypto";
import { Refusal } from "./refusal.ts";

export interface StoredFile {
  readonly bytes: Buffer;
  /** Hexadecimal. */
  readonly sha256: string;
  /** Base64. */
  readonly md5: string;
  /** ms since 1970. */
  readonly at: number;
  /** How often it was uploaded. */
  readonly times: number;
}

export class Uploads {
  /** Headers that belong to the signature, `Name: value`: without them a PUT is refused. */
  readonly headers: readonly string[];
  readonly #places = new Map<string, { readonly files: Map<string, StoredFile>; readonly name: string }>();
  readonly #signatures = new WeakMap<Map<string, StoredFile>, Map<string, string>>();

  constructor(headers: readonly string[]) {
    this.headers = headers;
  }

  /** @returns the address below the server's own at which this file of a collection is put and got */
  sign(files: Map<string, StoredFile>, name: string): string {
    const signatures = this.#signatures.get(files) ?? new Map<string, string>();
    this.#signatures.set(files, signatures);
    let signature = signatures.get(name);
    if (signature === undefined) {
      signature = randomBytes(16).toString("hex");
      signatures.set(name, signature);
      this.#places.set(signature, { files, name });
    }
    const path = name.split("/").map(encodeURIComponent).join("/");
    return `/storage/${path}?X-Amz-Signature=${signature}`;
  }

  /** @throws Refusal */
  put(signature: string, bytes: Buffer, headers: NodeJS.Dict<string | string[]>, now: number): void {
    const { files, name } = this.#place(signature, headers);
    for (const header of this.headers) {
      const [key = "", value] = header.split(": ");
      if (headers[key.toLowerCase()] !== value) throw new Refusal(403, `SignatureDoesNotMatch: ${key}`);
    }
    if (headers["content-length"] === undefined) throw new Refusal(411, "MissingContentLength");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const md5 = createHash("md5").update(bytes).digest("base64");
    files.set(name, { bytes, sha256, md5, at: now, times: (files.get(name)?.times ?? 0) + 1 });
  }

  /** @throws Refusal */
  get(signature: string, headers: NodeJS.Dict<string | string[]>): Buffer {
    const { files, name } = this.#place(signature, headers);
    const file = files.get(name);
    if (file === undefined) throw new Refusal(404, "NoSuchKey");
    return file.bytes;
  }

  #place(signature: string, headers: NodeJS.Dict<string | string[]>) {
    // As S3 does: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    if (headers["authorization"] !== undefined) throw new Refusal(400, "Only one auth mechanism allowed");
    const place = this.#places.get(signature);
    if (place === undefined) throw new Refusal(403, "SignatureDoesNotMatch");
    return place;
  }
}
