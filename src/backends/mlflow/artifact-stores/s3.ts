/** `s3://bucket/prefix`: an object store, reached as MLflow's client reaches it. */
import { Agent } from "node:https";
import type { GetObjectCommandOutput, S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { TraceletError } from "../../../errors.ts";
import type { FileRef } from "../../../reader/file-store.ts";
import { type Artifact, type ArtifactStore, type Digest, digestOf, type StoredArtifact } from "../artifacts.ts";
import type { Environment } from "../credentials.ts";
import { type Patience } from "../http.ts";
import { ContentRefused } from "../store.ts";
import { systemTiming } from "../timing.ts";
import { FilePart } from "./file-part.ts";
import { partsOf, partsOfDirectory } from "./paths.ts";

/** Loaded when the first run is there. */
type Sdk = typeof import("@aws-sdk/client-s3");
type Transfer = typeof import("@aws-sdk/lib-storage");

/** This many bytes times four are held while a file is sent. */
const PART_BYTES = 8 * 1024 * 1024;
/** Of S3. */
const MAX_PARTS = 10_000;
const BACKOFF_CAP_MS = 30_000;

export interface S3StoreOptions {
  readonly bucket: string;
  /** Without slashes at its ends. */
  readonly prefix: string;
  readonly env: Environment;
  readonly patience: Patience;
}

export class S3Store implements ArtifactStore {
  readonly #sdk: Sdk;
  readonly #transfer: Transfer;
  readonly #client: S3Client;
  readonly #bucket: { readonly Bucket: string; readonly ExpectedBucketOwner?: string };
  readonly #prefix: string;
  readonly #patience: Patience;
  /** To show. */
  readonly #place: string;

  private constructor(sdk: Sdk, transfer: Transfer, client: S3Client, options: S3StoreOptions) {
    this.#sdk = sdk;
    this.#transfer = transfer;
    this.#client = client;
    const owner = options.env["MLFLOW_S3_EXPECTED_BUCKET_OWNER"];
    this.#bucket = { Bucket: options.bucket, ...(owner && { ExpectedBucketOwner: owner }) };
    this.#prefix = options.prefix === "" ? "" : `${options.prefix}/`;
    this.#patience = options.patience;
    this.#place = `s3://${options.bucket}`;
  }

  /** @throws TraceletError `unsupported` if the package is not installed */
  static async open(options: S3StoreOptions): Promise<S3Store> {
    const [sdk, transfer] = await load();
    return new S3Store(sdk, transfer, await clientFor(sdk, options.env), options);
  }

  async put({ path, bytes }: Artifact): Promise<void> {
    const object = this.#object(path);
    const { PutObjectCommand } = this.#sdk;
    await this.#patiently(`put ${path}`, (abortSignal) =>
      this.#client.send(new PutObjectCommand({ ...object, Body: bytes, ContentLength: bytes.length }), { abortSignal }),
    );
  }

  async putFile(path: string, file: FileRef, size: number): Promise<void> {
    const object = this.#object(path);
    if (size <= PART_BYTES) {
      await this.put({ path, bytes: await wholeOf(new FilePart(file, 0, size)) });
      return;
    }
    const partSize = Math.max(PART_BYTES, Math.ceil(size / MAX_PARTS));
    await this.#patiently(`put ${path}`, async (signal) => {
      const source = await new FilePart(file, 0, size).open();
      const { Readable } = await import("node:stream");
      const params = { ...object, Body: Readable.from(source, { objectMode: false }) };
      const upload = new this.#transfer.Upload({ client: this.#client, params, partSize, queueSize: 4 });
      const stop = () => void upload.abort();
      signal.addEventListener("abort", stop, { once: true });
      try {
        await upload.done();
      } finally {
        signal.removeEventListener("abort", stop);
        await source.close();
      }
    });
  }

  async get(path: string, atMost: number = Infinity): Promise<Uint8Array | undefined> {
    return this.#get(path, ({ Body, ContentLength }) => {
      if (ContentLength !== undefined) return ContentLength > atMost ? undefined : fill(chunksOf(Body), ContentLength);
      // A store that does not say how much it is cannot be asked for a little.
      return atMost === Infinity ? (Body?.transformToByteArray() ?? nothing()) : undefined;
    });
  }

  async digest(path: string): Promise<Digest | undefined> {
    return this.#get(path, async ({ Body, ContentLength }) => {
      const digest = await digestOf(chunksOf(Body));
      if (ContentLength !== undefined && digest.size < ContentLength) throw cutOff(digest.size, ContentLength);
      return digest;
    });
  }

  async #get<T>(
    path: string,
    take: (object: GetObjectCommandOutput) => T | Promise<T | undefined> | undefined,
  ): Promise<T | undefined> {
    const { GetObjectCommand } = this.#sdk;
    const object = this.#object(path);
    return this.#patiently(`get ${path}`, async (abortSignal) => {
      try {
        const command = new GetObjectCommand({ Bucket: object.Bucket, Key: object.Key });
        return await take(await this.#client.send(command, { abortSignal }));
      } catch (error) {
        if (error instanceof Error && error.name === "NoSuchKey") return undefined;
        throw error;
      }
    });
  }

  async list(directory: string): Promise<StoredArtifact[]> {
    const { ListObjectsV2Command } = this.#sdk;
    const parts = partsOfDirectory(directory);
    const Prefix = this.#prefix + parts.map((part) => `${part}/`).join("");
    const found: StoredArtifact[] = [];
    let ContinuationToken: string | undefined;
    do {
      const input = { ...this.#bucket, Prefix, ...(ContinuationToken !== undefined && { ContinuationToken }) };
      const page = await this.#patiently("list", (abortSignal) =>
        this.#client.send(new ListObjectsV2Command(input), { abortSignal }),
      );
      for (const { Key = "", Size = 0 } of page.Contents ?? []) {
        // A directory made by hand is an empty object.
        if (!Key.endsWith("/")) found.push({ path: Key.slice(this.#prefix.length), size: Size });
      }
      ContinuationToken = page.NextContinuationToken;
    } while (ContinuationToken !== undefined);
    return found.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #object(path: string) {
    const ContentType = CONTENT_TYPES[/[^.]*$/.exec(path)?.[0].toLowerCase() ?? ""] ?? "application/octet-stream";
    return { ...this.#bucket, Key: this.#prefix + partsOf(path).join("/"), ContentType };
  }

  /** The SDK tries a request a few times within seconds; this goes on. */
  async #patiently<T>(what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const {
      giveUpAfterMs = 600_000,
      retryWhen = "always",
      onRetry,
      signal = new AbortController().signal,
    } = this.#patience;
    const timing = this.#patience.timing ?? systemTiming;
    const start = timing.monotonic();
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      try {
        return await work(signal);
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof TraceletError) throw error;
        const { reason, throttled, final } = this.#judge(error, what);
        if (final !== undefined) throw final;
        if (retryWhen === "throttled" && !throttled) {
          throw new TraceletError("unreachable", `no useful answer from ${this.#place}: ${reason}`);
        }
        const left = start + giveUpAfterMs - timing.monotonic();
        if (left <= 0) {
          throw new TraceletError(
            "unreachable",
            `no useful answer from ${this.#place} for ${attempt} attempts: ${reason}`,
          );
        }
        const delayMs = Math.min(left, timing.random() * Math.min(BACKOFF_CAP_MS, 500 * 2 ** (attempt - 1)));
        onRetry?.({ reason, delayMs, attempt });
        await timing.sleep(delayMs, signal);
      }
    }
  }

  /** The SDK's own errors are not passed on: they hold the whole request. */
  #judge(error: unknown, what: string): { reason: string; throttled: boolean; final?: TraceletError } {
    const { name, message, code, $metadata } = error as AwsError;
    const status = $metadata?.httpStatusCode;
    const said = `${name}${message && message !== name ? `: ${message}` : ""}`.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ");
    const reason = (status === undefined ? said : `HTTP ${status} ${said}`).slice(0, 500);
    const throttled = status === 429 || name === "SlowDown";
    const fail = (kind: "auth" | "rejected", does: string, hint: string) => ({
      reason,
      throttled,
      final: new TraceletError(kind, `${this.#place} ${does} (${what}): ${reason}`, { hint }),
    });
    if (/^(CredentialsProviderError|ProviderError|TokenProviderError)$/.test(name)) {
      return fail("auth", "needs credentials that are not there", HOW_TO_LOG_IN);
    }
    if (status === 413 || name === "EntityTooLarge") {
      return {
        reason,
        throttled,
        final: new ContentRefused(`${this.#place} refuses it (${what}): ${reason}`, reason, {}),
      };
    }
    if (name === "NoSuchBucket")
      return fail("rejected", "does not exist", "create the bucket, or check MLFLOW_S3_ENDPOINT_URL");
    if (status === 401 || status === 403 || /^(ExpiredToken|InvalidToken|InvalidAccessKeyId)$/.test(name)) {
      return fail("auth", "does not allow it", HOW_TO_LOG_IN);
    }
    const passing = status === undefined || status >= 500 || status === 408 || status === 429 || status < 300;
    if (!passing || /^(Region is missing|InvalidEndpoint)/.test(message)) {
      return fail("rejected", "refuses it", "check the bucket's name, AWS_REGION and MLFLOW_S3_ENDPOINT_URL");
    }
    // A fault in the program has neither an answer nor a name of the network.
    if (status === undefined && code === undefined && !/Timeout|Network|Abort|Socket|ECONN|ENOTFOUND/i.test(said))
      throw error;
    return { reason: code === undefined || said.includes(code) ? reason : `${reason} (${code})`, throttled };
  }
}

interface AwsError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

const HOW_TO_LOG_IN =
  "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; or let the server pass the files on: `mlflow server --serve-artifacts`";

/** What a browser is told that opens the object; others are bytes to it. */
const CONTENT_TYPES: Readonly<Record<string, string>> = {
  png: "image/png",
  jpg: "image/jpeg",
  jpeg: "image/jpeg",
  gif: "image/gif",
  webp: "image/webp",
  svg: "image/svg+xml",
  html: "text/html",
  json: "application/json",
  md: "text/markdown",
  txt: "text/plain",
  pbtxt: "text/plain",
  csv: "text/csv",
  tsv: "text/tab-separated-values",
  wav: "audio/wav",
  mp4: "video/mp4",
};

async function load(): Promise<[Sdk, Transfer]> {
  try {
    return await Promise.all([import("@aws-sdk/client-s3"), import("@aws-sdk/lib-storage")]);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new TraceletError(
      "unsupported",
      "the run's artifacts are in S3, and the package that speaks to it is missing",
      {
        hint: "npm install @aws-sdk/client-s3 @aws-sdk/lib-storage; or let the server pass the files on: `mlflow server --serve-artifacts`",
        cause,
      },
    );
  }
}

async function clientFor({ S3Client }: Sdk, env: Environment): Promise<S3Client> {
  const own = env["MLFLOW_S3_ENDPOINT_URL"]?.trim();
  if (own && !URL.canParse(own)) throw new TraceletError("usage", "MLFLOW_S3_ENDPOINT_URL is no valid address");
  const endpoint = own || env["AWS_ENDPOINT_URL_S3"] || env["AWS_ENDPOINT_URL"];
  // Python's SDK reads the second.
  const region = env["AWS_REGION"] || env["AWS_DEFAULT_REGION"];
  const config: S3ClientConfig = {
    maxAttempts: 4,
    followRegionRedirects: true,
    ...(region && { region }),
    ...(endpoint && {
      endpoint,
      forcePathStyle: env["MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"] !== "virtual",
      // Many stores that are not Amazon's do not know the checksums that Amazon's does.
      ...(!env["AWS_REQUEST_CHECKSUM_CALCULATION"] && { requestChecksumCalculation: "WHEN_REQUIRED" }),
      ...(!env["AWS_RESPONSE_CHECKSUM_VALIDATION"] && { responseChecksumValidation: "WHEN_REQUIRED" }),
    }),
    requestHandler: {
      connectionTimeout: 30_000,
      requestTimeout: 120_000,
      ...(/^(true|1)$/i.test(env["MLFLOW_S3_IGNORE_TLS"] ?? "") && {
        httpsAgent: new Agent({ rejectUnauthorized: false, keepAlive: true }),
      }),
    },
  };
  const client = new S3Client(config);
  // As Python's SDK does where nobody names a region; Amazon's answer then tells the right one.
  const named = await client.config.region().catch(() => undefined);
  return named === undefined ? new S3Client({ ...config, region: "us-east-1" }) : client;
}

async function wholeOf(part: FilePart): Promise<Uint8Array> {
  const source = await part.open();
  try {
    return await fill(source, part.size);
  } finally {
    await source.close();
  }
}

async function fill(chunks: AsyncIterable<Uint8Array>, size: number): Promise<Uint8Array> {
  const whole = Buffer.allocUnsafeSlow(size);
  let at = 0;
  for await (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  if (at < size) throw cutOff(at, size);
  return whole;
}

function cutOff(at: number, size: number): Error {
  return Object.assign(new Error(`the answer ends after ${at} of ${size} bytes`), { code: "ECONNRESET" });
}

function chunksOf(body: GetObjectCommandOutput["Body"]): AsyncIterable<Uint8Array> {
  return body as unknown as AsyncIterable<Uint8Array>;
}

function nothing(): Uint8Array {
  return new Uint8Array();
}
