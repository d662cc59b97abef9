/**
 * A run whose files are on a disk that only its server knows: the server writes them itself, up to 10 MB.
 *
 * Its other endpoint for files would answer 200 and put them where the run's page does not look.
 */

import type { HttpClient } from "../../../net/client.ts";
import type { Digest, StoredObject } from "../../../net/object-store.ts";
import { partsOfDirectory } from "../../../net/object-store.ts";
import { asContentRefused, ContentRefused } from "../../../net/refusal.ts";
import type { HttpRequest } from "../../../net/request.ts";
import type { FileRef } from "../../../reader/file-store.ts";
import { FilePart } from "../../../sync/source/file-part.ts";
import type { Artifact, ArtifactStore } from "../../artifacts/artifact.ts";
import { type ListOne, walk } from "./listing.ts";
import { partsForServer } from "./paths.ts";
import { getDigest, getFile } from "./proxied.ts";

/** MLflow's. Bytes. */
const MAX_BYTES = 10 * 1024 * 1024;
const SMALL = 64 * 1024;

export class ThroughServerStore implements ArtifactStore {
  readonly #http: HttpClient;
  readonly #runId: string;

  constructor(http: HttpClient, runId: string) {
    this.#http = http;
    this.#runId = runId;
  }

  async put({ path, bytes }: Artifact): Promise<void> {
    await this.#put(path, bytes, bytes.length);
  }

  async putFile(path: string, file: FileRef, size: number): Promise<void> {
    await this.#put(path, new FilePart(file, 0, size), size);
  }

  async get(path: string, atMost?: number): Promise<Uint8Array | undefined> {
    return getFile(this.#http, path, { path: "/get-artifact", query: this.#query(path) }, this.#listOne, atMost);
  }

  async digest(path: string): Promise<Digest | undefined> {
    return getDigest(this.#http, path, { path: "/get-artifact", query: this.#query(path) }, this.#listOne);
  }

  async list(directory: string): Promise<StoredObject[]> {
    return walk(directory, this.#listOne);
  }

  readonly #listOne: ListOne = (directory) => {
    partsOfDirectory(directory);
    const query = { run_id: this.#runId, ...(directory !== "" && { path: directory }) };
    return this.#http.request({ method: "GET", path: "/api/2.0/mlflow/artifacts/list", query, retryLostReply: true });
  };

  async #put(path: string, body: NonNullable<HttpRequest["body"]>, size: number): Promise<void> {
    const query = this.#query(path);
    if (size > MAX_BYTES) throw refused(path, `has ${size} bytes: more than 10 MB`);
    if (size === 0) throw refused(path, "is empty");
    const request: HttpRequest = {
      method: "POST",
      path: "/ajax-api/2.0/mlflow/upload-artifact",
      query,
      body,
      retryLostReply: true,
      frequent: size <= SMALL,
    };
    await this.#http.upload(request).catch((error: unknown) => {
      throw asContentRefused(error);
    });
  }

  #query(path: string): { run_uuid: string; path: string } {
    return { run_uuid: this.#runId, path: partsForServer(path).join("/") };
  }
}

function refused(path: string, why: string): ContentRefused {
  const reason = `the artifact ${JSON.stringify(path)} ${why}, which this run's MLflow server does not take`;
  return new ContentRefused(reason, reason, {
    hint: "start the server with `mlflow server --serve-artifacts --artifacts-destination <folder or bucket>`, and use a new experiment: an experiment keeps the place that it was created with",
  });
}
