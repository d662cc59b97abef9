/** `s3://bucket/prefix`: an object store, through Amazon's SDK. */
import { Agent } from "node:https";
import type { GetObjectCommandOutput, S3Client, S3ClientConfig } from "@aws-sdk/client-s3";
import { TraceletError } from "../errors.ts";
import type { Environment } from "./access.ts";
import {
  type Digest,
  digestOf,
  type ObjectStore,
  type PartOf,
  partBytes,
  partsOf,
  partsOfDirectory,
  type StoredObject,
} from "./object-store.ts";
import { ContentRefused } from "./refusal.ts";
import type { Upload } from "./request.ts";
import { type Patience, Retries } from "./retries.ts";

/** Loaded when the first store is opened. */
type Sdk = typeof import("@aws-sdk/client-s3");
type Transfer = typeof import("@aws-sdk/lib-storage");

/** Four of these are held in memory while a file is sent. */
const PART_BYTES = 8 * 1024 * 1024;

export interface S3StoreOptions<File> {
  readonly bucket: string;
  /** Without slashes at its ends. */
  readonly prefix: string;
  readonly place: S3Place;
  /** For what the SDK reads by itself: `AWS_REGION`, credentials, checksums. */
  readonly env: Environment;
  readonly patience: Patience;
  readonly partOf: PartOf<File>;
  readonly hints: {
    /** What to do without credentials, or without the package, beside giving them. */
    readonly instead: string;
    /** The name of the setting that holds the endpoint. */
    readonly endpoint: string;
  };
}

/** Where the store is, if it is not Amazon's, and how to ask it. */
export interface S3Place {
  readonly endpoint?: string | undefined;
  /** Whether the bucket is a part of the host's name rather than of the path. */
  readonly isVirtualHosted?: boolean;
  /** Whether anybody's certificate will do. */
  readonly ignoresTls?: boolean;
  /** The account that the bucket has to belong to. */
  readonly owner?: string | undefined;
}

export class S3Store<File> implements ObjectStore<File> {
  readonly #sdk: Sdk;
  readonly #transfer: Transfer;
  readonly #client: S3Client;
  readonly #bucket: { readonly Bucket: string; readonly ExpectedBucketOwner?: string };
  readonly #prefix: string;
  readonly #retries: Retries;
  readonly #hints: S3StoreOptions<File>["hints"];
  readonly #partOf: PartOf<File>;
  /** To show. */
  readonly #place: string;

  private constructor(sdk: Sdk, transfer: Transfer, client: S3Client, options: S3StoreOptions<File>) {
    this.#sdk = sdk;
    this.#transfer = transfer;
    this.#client = client;
    const { owner } = options.place;
    this.#bucket = { Bucket: options.bucket, ...(owner && { ExpectedBucketOwner: owner }) };
    this.#prefix = options.prefix === "" ? "" : `${options.prefix}/`;
    this.#retries = new Retries(options.patience);
    this.#hints = options.hints;
    this.#partOf = options.partOf;
    this.#place = `s3://${options.bucket}`;
  }

  /** @throws TraceletError `unsupported` if the package is not installed */
  static async open<File>(options: S3StoreOptions<File>): Promise<S3Store<File>> {
    const [sdk, transfer] = await load(options.hints.instead);
    return new S3Store(sdk, transfer, await clientFor(sdk, options), options);
  }

  async put({ path, bytes }: { readonly path: string; readonly bytes: Uint8Array }): Promise<void> {
    const object = this.#object(path);
    const { PutObjectCommand } = this.#sdk;
    await this.#patiently(`put ${path}`, (abortSignal) =>
      this.#client.send(new PutObjectCommand({ ...object, Body: bytes, ContentLength: bytes.length }), { abortSignal }),
    );
  }

  async putFile(path: string, file: File, size: number): Promise<void> {
    const object = this.#object(path);
    if (size <= PART_BYTES) {
      await this.put({ path, bytes: await wholeOf(this.#partOf(file, 0, size)) });
      return;
    }
    const partSize = partBytes(size, PART_BYTES);
    await this.#patiently(`put ${path}`, async (signal) => {
      const source = await this.#partOf(file, 0, size).open();
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
      // A store that does not announce the length cannot be asked for part of it.
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

  async list(directory: string): Promise<StoredObject[]> {
    const { ListObjectsV2Command } = this.#sdk;
    const parts = partsOfDirectory(directory);
    const Prefix = this.#prefix + parts.map((part) => `${part}/`).join("");
    const found: StoredObject[] = [];
    let ContinuationToken: string | undefined;
    do {
      const input = { ...this.#bucket, Prefix, ...(ContinuationToken !== undefined && { ContinuationToken }) };
      const page = await this.#patiently("list", (abortSignal) =>
        this.#client.send(new ListObjectsV2Command(input), { abortSignal }),
      );
      for (const { Key = "", Size = 0 } of page.Contents ?? []) {
        // A directory that someone created is an empty object.
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

  /** The SDK retries a request for some seconds; this goes on. */
  async #patiently<T>(what: string, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const never = new AbortController().signal;
    return this.#retries.until(
      this.#place,
      (signal = never) => work(signal),
      (error) => {
        if (error instanceof TraceletError) throw error;
        const { final, ...setback } = this.#judge(error, what);
        if (final !== undefined) throw final;
        return setback;
      },
    );
  }

  get #howToLogIn(): string {
    return `set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE; or ${this.#hints.instead}`;
  }

  /** The SDK's errors are not passed on: they hold the whole request. */
  #judge(error: unknown, what: string): { reason: string; isThrottled: boolean; final?: TraceletError } {
    const { name, message, code, $metadata } = error as AwsError;
    const status = $metadata?.httpStatusCode;
    const said = `${name}${message && message !== name ? `: ${message}` : ""}`.replace(/[\p{Cc}\p{Cf}\s]+/gu, " ");
    const reason = (status === undefined ? said : `HTTP ${status} ${said}`).slice(0, 500);
    const isThrottled = status === 429 || name === "SlowDown";
    const fail = (kind: "auth" | "rejected", does: string, hint: string) => ({
      reason,
      isThrottled,
      final: new TraceletError(kind, `${this.#place} ${does} (${what}): ${reason}`, { hint }),
    });
    if (/^(CredentialsProviderError|ProviderError|TokenProviderError)$/.test(name)) {
      return fail("auth", "needs credentials that are not there", this.#howToLogIn);
    }
    if (status === 413 || name === "EntityTooLarge") {
      return {
        reason,
        isThrottled,
        final: new ContentRefused(`${this.#place} refuses it (${what}): ${reason}`, reason, {}),
      };
    }
    if (name === "NoSuchBucket")
      return fail("rejected", "does not exist", `create the bucket, or check ${this.#hints.endpoint}`);
    if (status === 401 || status === 403 || /^(ExpiredToken|InvalidToken|InvalidAccessKeyId)$/.test(name)) {
      return fail("auth", "does not allow it", this.#howToLogIn);
    }
    const passing = status === undefined || status >= 500 || status === 408 || status === 429 || status < 300;
    if (!passing || /^(Region is missing|InvalidEndpoint)/.test(message)) {
      return fail("rejected", "refuses it", `check the bucket's name, AWS_REGION and ${this.#hints.endpoint}`);
    }
    // A bug has neither an answer nor a network error's name.
    if (status === undefined && code === undefined && !/Timeout|Network|Abort|Socket|ECONN|ENOTFOUND/i.test(said))
      throw error;
    return { reason: code === undefined || said.includes(code) ? reason : `${reason} (${code})`, isThrottled };
  }
}

interface AwsError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

/** Content types for browsers, by extension; everything else is bytes. */
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

async function load(instead: string): Promise<[Sdk, Transfer]> {
  try {
    return await Promise.all([import("@aws-sdk/client-s3"), import("@aws-sdk/lib-storage")]);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw cause;
    throw new TraceletError("unsupported", "the files go to S3, and the package that speaks to it is missing", {
      hint: `npm install @aws-sdk/client-s3 @aws-sdk/lib-storage; or ${instead}`,
      cause,
    });
  }
}

async function clientFor(
  { S3Client }: Sdk,
  { place, env, hints }: Pick<S3StoreOptions<never>, "place" | "env" | "hints">,
): Promise<S3Client> {
  const own = place.endpoint?.trim();
  if (own && !URL.canParse(own)) throw new TraceletError("usage", `${hints.endpoint} is no valid address`);
  const endpoint = own || env["AWS_ENDPOINT_URL_S3"] || env["AWS_ENDPOINT_URL"];
  // Python's SDK reads the second.
  const region = env["AWS_REGION"] || env["AWS_DEFAULT_REGION"];
  const config: S3ClientConfig = {
    maxAttempts: 4,
    followRegionRedirects: true,
    ...(region && { region }),
    ...(endpoint && {
      endpoint,
      forcePathStyle: !place.isVirtualHosted,
      // Many stores that are not Amazon's do not know the checksums that Amazon's does.
      ...(!env["AWS_REQUEST_CHECKSUM_CALCULATION"] && { requestChecksumCalculation: "WHEN_REQUIRED" }),
      ...(!env["AWS_RESPONSE_CHECKSUM_VALIDATION"] && { responseChecksumValidation: "WHEN_REQUIRED" }),
    }),
    requestHandler: {
      connectionTimeout: 30_000,
      requestTimeout: 120_000,
      ...(place.ignoresTls && {
        httpsAgent: new Agent({ rejectUnauthorized: false, keepAlive: true }),
      }),
    },
  };
  const client = new S3Client(config);
  // As Python's SDK does without a region; Amazon's answer then names the right one.
  const named = await client.config.region().catch(() => undefined);
  return named === undefined ? new S3Client({ ...config, region: "us-east-1" }) : client;
}

async function wholeOf(part: Upload): Promise<Uint8Array> {
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
