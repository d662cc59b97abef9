/** `mlflow-artifacts:`: the tracking server, or another MLflow server, keeps the files and passes them through. */

import { TraceletError } from "../../../errors.ts";
import { type HttpClient } from "../../../net/client.ts";
import type { Digest, StoredObject } from "../../../net/object-store.ts";
import { encodeParts, partsOfDirectory } from "../../../net/object-store.ts";
import { asContentRefused, Refusal } from "../../../net/refusal.ts";
import type { HttpRequest } from "../../../net/request.ts";
import { FileTooLarge } from "../../../net/transfer.ts";
import type { FileRef } from "../../../reader/file-store.ts";
import { FilePart } from "../../../sync/source/file-part.ts";
import type { Artifact, ArtifactStore } from "../../artifacts/artifact.ts";
import { type ListOne, listedSize, walk } from "./listing.ts";
import { MULTIPART_MINIMUM, Multipart } from "./multipart.ts";
import { partsForServer, partsOfRoot, percentDecode } from "./paths.ts";

const ENDPOINT = "/api/2.0/mlflow-artifacts/artifacts";
/** How often to ask for a file that arrives cut off. */
const MAX_CUT_OFF = 5;
/** Up to this size, what an upload takes is mostly waiting. Bytes. */
const SMALL = 64 * 1024;

export class ProxiedStore implements ArtifactStore {
  readonly #http: HttpClient;
  /** Of the run's artifacts, below the server's root. */
  readonly #root: readonly string[];
  readonly #multipart: Multipart;

  /**
   * @param root path of the run's artifact URI
   * @throws TraceletError `rejected` if it leads out of the server's place for files
   */
  constructor(http: HttpClient, root: string) {
    this.#http = http;
    this.#root = partsOfRoot(root).map(percentDecode);
    this.#multipart = new Multipart(http);
  }

  async put({ path, bytes }: Artifact): Promise<void> {
    await this.#put(path, bytes, bytes.length <= SMALL);
  }

  async putFile(path: string, file: FileRef, size: number): Promise<void> {
    const parts = [...this.#root, ...partsForServer(path)];
    if (size >= MULTIPART_MINIMUM && (await this.#multipart.put(parts, file, size))) return;
    await this.#put(path, new FilePart(file, 0, size), false);
  }

  async get(path: string, atMost?: number): Promise<Uint8Array | undefined> {
    return getFile(this.#http, path, { path: this.#url(path) }, this.#listOne, atMost);
  }

  async digest(path: string): Promise<Digest | undefined> {
    return getDigest(this.#http, path, { path: this.#url(path) }, this.#listOne);
  }

  async list(directory: string): Promise<StoredObject[]> {
    return walk(directory, this.#listOne);
  }

  readonly #listOne: ListOne = (directory) => {
    const path = [...this.#root, ...partsOfDirectory(directory)].join("/");
    return this.#http.request({ method: "GET", path: ENDPOINT, query: { path }, retryLostReply: true });
  };

  async #put(path: string, body: NonNullable<HttpRequest["body"]>, frequent: boolean): Promise<void> {
    const request = { method: "PUT", path: this.#url(path), body, retryLostReply: true, frequent } as const;
    await this.#http.upload(request).catch((error: unknown) => {
      throw asContentRefused(error);
    });
  }

  #url(path: string): string {
    return `${ENDPOINT}/${encodeParts([...this.#root, ...partsForServer(path)])}`;
  }
}

type Where = Pick<HttpRequest, "path" | "query">;

/** A file, or undefined where none of this path is listed, or it has more than `atMost` bytes. */
export async function getFile(
  http: HttpClient,
  path: string,
  where: Where,
  listOne: ListOne,
  atMost?: number,
): Promise<Uint8Array | undefined> {
  const download = async (request: HttpRequest) => {
    const { bytes, whole } = await http.download(request, atMost);
    return { bytes, whole, size: bytes.length };
  };
  try {
    return (await receive(http, path, where, listOne, download))?.bytes;
  } catch (error) {
    if (error instanceof FileTooLarge && atMost !== undefined) return undefined;
    throw error;
  }
}

/** The digest of a file, or undefined where none of this path is listed. */
export async function getDigest(
  http: HttpClient,
  path: string,
  where: Where,
  listOne: ListOne,
): Promise<Digest | undefined> {
  const received = await receive(http, path, where, listOne, (request) => http.digest(request));
  return received && { size: received.size, sha256: received.sha256 };
}

/** @param ask sends a request for the file, and takes what comes of it */
async function receive<T extends { readonly size: number; readonly whole: boolean }>(
  http: HttpClient,
  path: string,
  where: Where,
  listOne: ListOne,
  ask: (request: HttpRequest) => Promise<T>,
): Promise<T | undefined> {
  const request: HttpRequest = { ...where, method: "GET", retryLostReply: true };
  let refusal: Refusal | undefined;
  for (let attempt = 1; attempt <= MAX_CUT_OFF; attempt++) {
    const answer = await ask({ ...request, refusedBy500: refusal === undefined }).catch((error: unknown) => {
      if (error instanceof Refusal) return error;
      throw error;
    });
    if (answer instanceof Refusal) {
      // How a file that is not there is answered depends on where the server keeps them: 404, 400 for a directory, 500.
      if (answer.is("RESOURCE_DOES_NOT_EXIST")) return undefined;
      if (refusal !== undefined || ![400, 404, 500].includes(answer.status)) throw answer;
      if ((await listedSize(path, listOne)) === undefined) return undefined;
      if (answer.status !== 500) throw answer;
      refusal = answer;
      continue;
    }
    if (answer.whole) return answer;
    // What the server fetches from an object store it passes on in pieces, of which nobody can see that some are
    // missing; for a directory there are none.
    const size = await listedSize(path, listOne);
    if (size === undefined) return undefined;
    if (size === answer.size) return answer;
  }
  throw new TraceletError("unreachable", `${http.base} does not send the artifact ${JSON.stringify(path)} whole`);
}
