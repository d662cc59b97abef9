/** W&B's own protocol: GraphQL for what a run is, a file stream for its rows, signed addresses for its files. */
import { TraceletError } from "../../errors.ts";
import type { Access } from "../../net/access.ts";
import { HttpClient } from "../../net/client.ts";
import { asContentRefused, ContentRefused } from "../../net/refusal.ts";
import type { JsonObject } from "../../net/request.ts";
import type { Patience } from "../../net/retries.ts";
import { AnswerTooLarge } from "../../net/transfer.ts";
import { asConfigRefused } from "./config-refused.ts";
import { wasDeleted } from "./deleted.ts";
import { CREATE_RUN_FILES, RUN_RESUME_STATUS, RUNS, UPSERT_BUCKET, VIEWER } from "./documents.ts";
import { objectOf } from "./json.ts";
import { howToLogIn } from "./login.ts";
import { WandbReader } from "./reader.ts";
import { isDeletedRun, misunderstood, readError, serviceOf } from "./service.ts";
import type {
  ListedRun,
  RunAddress,
  RunFields,
  RunFile,
  RunStatus,
  StreamPart,
  UpsertedRun,
  WandbStore,
} from "./store.ts";
import { pageAt, webPageOf } from "./web-page.ts";

/** Runs in a page; how many the first has where the newest are asked for, and how much longer each next one is. */
const [PAGE, FIRST_PAGE, PAGE_GROWTH] = [500, 8, 8];
/** Pages of runs asked for at a time: each may be as large as an answer can be. */
const PAGES_AT_ONCE = 2;

export interface WandbApiOptions extends Patience {
  readonly base: string;
  /** Address of its web page, if not the usual one. */
  readonly page?: string | undefined;
  readonly access: Access;
  readonly stopGraceMs?: number | undefined;
}

/** Files whose addresses are asked for at a time. */
const MAX_ADDRESSES = 64;

export class WandbApi implements WandbStore {
  /** W&B's client sends about 10 MiB at most. */
  readonly maxRequestBytes: number = 8 * 1024 * 1024;
  readonly base: string;
  readonly #page: string;
  readonly #http: HttpClient;

  /** @throws TraceletError `usage` if TLS material or a proxy's address cannot be used */
  constructor(options: WandbApiOptions) {
    this.base = options.base;
    this.#page = options.page ?? webPageOf(options.base, {});
    this.#http = new HttpClient({ ...options, service: serviceOf(howToLogIn(options.base, this.#page)) });
  }

  async defaultEntity(): Promise<string | undefined> {
    const { entity } = objectOf((await this.graphql("Viewer", VIEWER, {}))["viewer"]);
    return typeof entity === "string" && entity !== "" ? entity : undefined;
  }

  async status({ entity, project, name }: RunAddress): Promise<RunStatus | undefined> {
    const data = await this.graphql("RunResumeStatus", RUN_RESUME_STATUS, { entity, project, name });
    const { bucket } = objectOf(data["model"]);
    return bucket === null || bucket === undefined ? undefined : this.#statusOf(objectOf(bucket));
  }

  async *runsNamed(entity: string, project: string, names: readonly string[]): AsyncGenerator<ListedRun> {
    const list = async (part: readonly string[]) => {
      const runs: ListedRun[] = [];
      for await (const run of this.#runs(entity, project, { name: { $in: part } }, PAGE)) runs.push(run);
      return runs;
    };
    const parts: (readonly string[])[] = [];
    for (let at = 0; at < names.length; at += PAGE) parts.push(names.slice(at, at + PAGE));
    for (let at = 0; at < parts.length; at += PAGES_AT_ONCE)
      for (const runs of await Promise.all(parts.slice(at, at + PAGES_AT_ONCE).map(list))) yield* runs;
  }

  newestRuns(entity: string, project: string): AsyncGenerator<ListedRun> {
    return this.#runs(entity, project, {}, FIRST_PAGE);
  }

  rows(address: RunAddress, count: number): AsyncGenerator<readonly string[]> {
    return new WandbReader(this).rows(address, count - 1);
  }

  /** @param first how many runs the first page is to have; the server may give fewer */
  async *#runs(entity: string, project: string, filter: object, first: number): AsyncGenerator<ListedRun> {
    const variables = { entity, project, order: "-created_at", filters: JSON.stringify(filter) };
    let cursor: string | null = null;
    let most = PAGE;
    for (let perPage = first; ; perPage = Math.min(most, perPage * PAGE_GROWTH)) {
      const ask = (count: number): Promise<JsonObject> =>
        this.graphql("Runs", RUNS, { ...variables, cursor, perPage: count }).catch((error: unknown) => {
          if (!(error instanceof AnswerTooLarge) || count === 1) throw error;
          most = Math.floor(count / 2);
          return ask(most);
        });
      const data = await ask(perPage);
      // A project is there once a run was.
      if (data["project"] === null || data["project"] === undefined) return;
      const { edges, pageInfo } = objectOf(objectOf(data["project"])["runs"]);
      for (const edge of Array.isArray(edges) ? (edges as readonly unknown[]) : []) {
        const node = objectOf(objectOf(edge)["node"]);
        const state = typeof node["state"] === "string" ? node["state"] : "";
        yield { ...this.#contentOf(node), name: this.#text(node["name"], "the name of a run"), state };
      }
      const { endCursor, hasNextPage } = objectOf(pageInfo);
      if (hasNextPage !== true) return;
      // A server that says the same again and again would be asked for ever.
      if (endCursor === cursor) throw misunderstood(this.base, "another page of runs");
      cursor = this.#text(endCursor, "the place of a page of runs");
    }
  }

  #contentOf({
    historyLineCount,
    eventsLineCount,
    config,
  }: JsonObject): Pick<RunStatus, "lines" | "events" | "config"> {
    return {
      lines: this.#count(historyLineCount),
      events: this.#count(eventsLineCount),
      config: typeof config === "string" && config !== "" ? config : "{}",
    };
  }

  #statusOf(run: JsonObject): RunStatus {
    const { id, displayName, summaryMetrics, notes } = run;
    return {
      ...this.#contentOf(run),
      storageId: this.#text(id, "the id of a run"),
      displayName: typeof displayName === "string" ? displayName : "",
      summary: typeof summaryMetrics === "string" && summaryMetrics !== "" ? summaryMetrics : "{}",
      ...(typeof notes === "string" && { notes }),
    };
  }

  async upsert(address: RunAddress, fields: RunFields): Promise<UpsertedRun> {
    const { storageId, group, ...others } = fields;
    const given = Object.entries({ ...others, id: storageId, groupName: group }).filter(
      ([, value]) => value !== undefined,
    );
    const data = await this.graphql("UpsertBucket", UPSERT_BUCKET, {
      ...UNSET,
      ...address,
      ...Object.fromEntries(given),
    }).catch((error: unknown) => {
      if (!(error instanceof TraceletError) || !isDeletedRun(error.message))
        throw asConfigRefused(error, address, fields.config);
      throw wasDeleted(address, error);
    });
    const { bucket, inserted } = objectOf(data["upsertBucket"]);
    const run = objectOf(bucket);
    const project = objectOf(run["project"]);
    return {
      storageId: this.#text(run["id"], "the id of a run"),
      name: this.#text(run["name"], "the name of a run"),
      project: this.#text(project["name"], "the name of a project"),
      entity: this.#text(objectOf(project["entity"])["name"], "the name of an entity"),
      displayName: typeof run["displayName"] === "string" ? run["displayName"] : "",
      isNew: inserted === true,
    };
  }

  async stream(
    { entity, project, name }: RunAddress,
    { history, events, summary, uploaded, exitCode }: StreamPart,
  ): Promise<boolean> {
    const path = ["files", entity, project, name, "file_stream"].map(encodeURIComponent).join("/");
    const files = {
      ...(history !== undefined && {
        "wandb-history.jsonl": { offset: history.offset, content: history.lines },
      }),
      ...(events !== undefined && { "wandb-events.jsonl": { offset: events.offset, content: events.lines } }),
      ...(summary !== undefined && { "wandb-summary.json": { offset: 0, content: [summary] } }),
    };
    const body = {
      ...(Object.keys(files).length > 0 && { files }),
      ...(uploaded !== undefined && { uploaded }),
      ...(exitCode !== undefined && { complete: true, exitcode: exitCode }),
    };
    const { stopped } = await this.#http.request({
      method: "POST",
      path: `/${path}`,
      shownAs: "file_stream",
      body: JSON.stringify(body),
      retryLostReply: true,
    });
    return stopped === true;
  }

  async upload(address: RunAddress, files: readonly RunFile[]): Promise<ReadonlyMap<string, ContentRefused>> {
    const refused = new Map<string, ContentRefused>();
    // Signed addresses expire: no more of them are asked for than are used soon.
    for (let first = 0; first < files.length; first += MAX_ADDRESSES) {
      const some = files.slice(first, first + MAX_ADDRESSES);
      const { addresses, headers } = await this.#addresses(address, some);
      await Promise.all(
        some.map(async (file, i) => {
          const error = await this.#put(file, addresses[i] as URL, headers);
          if (error !== undefined) refused.set(file.path, error);
        }),
      );
    }
    return refused;
  }

  /** Where to put each of the files, and with which headers. */
  async #addresses(
    { entity, project, name }: RunAddress,
    files: readonly RunFile[],
  ): Promise<{ readonly addresses: readonly URL[]; readonly headers: Record<string, string> }> {
    const variables = { entity, project, run: name, files: files.map(({ path }) => path) };
    const data = await this.graphql("CreateRunFiles", CREATE_RUN_FILES, variables);
    const { files: offered, uploadHeaders } = objectOf(data["createRunFiles"]);
    const urls = new Map<unknown, unknown>();
    for (const each of Array.isArray(offered) ? (offered as readonly unknown[]) : []) {
      const { name: path, uploadUrl } = objectOf(each);
      urls.set(path, uploadUrl);
    }
    const addresses = files.map(({ path }) => {
      // W&B's client takes whole addresses alone, so that servers give those; one without a host could only mean this server.
      const text = this.#text(urls.get(path), "an address for an upload");
      if (!URL.canParse(text, `${this.base}/`)) throw misunderstood(this.base, "an address for an upload");
      const url = new URL(text, `${this.base}/`);
      if (!/^https?:$/.test(url.protocol)) throw misunderstood(this.base, "an address for an upload");
      return url;
    });
    return { addresses, headers: this.#headers(uploadHeaders) };
  }

  /** @returns how the file was refused for what it holds */
  async #put(
    { path, body }: RunFile,
    { origin, pathname, search }: URL,
    headers: Record<string, string>,
  ): Promise<ContentRefused | undefined> {
    try {
      await this.#http.elsewhere(origin, "storage").upload({
        method: "PUT",
        path: pathname + search,
        shownAs: `the upload of ${path}`,
        body,
        contentType: false,
        headers,
        retryLostReply: true,
        inTurn: true,
      });
      return undefined;
    } catch (error) {
      const known = asContentRefused(error);
      if (known instanceof ContentRefused) return known;
      throw known;
    }
  }

  location(entity: string, project: string, name?: string): string {
    return pageAt(this.#page, entity, project, ...(name === undefined ? [] : ["runs", name]));
  }

  get retries(): number {
    return this.#http.retries;
  }

  close(): Promise<void> {
    return this.#http.close();
  }

  /** @returns the `data` of the answer @throws TraceletError `rejected` if it has errors, whatever its status */
  async graphql(operationName: string, query: string, variables: object): Promise<JsonObject> {
    const answer = await this.#http.request({
      method: "POST",
      path: "/graphql",
      shownAs: operationName,
      body: JSON.stringify({ query, variables, operationName }),
      // All of them set what is to be, and may be sent again.
      retryLostReply: true,
    });
    const { data, errors } = answer;
    // GraphQL may answer 200 to what it has not done.
    if (Array.isArray(errors) && errors.length > 0) {
      const { said } = readError(answer, "");
      throw new TraceletError("rejected", `${this.base} refuses ${operationName}: ${said}`);
    }
    return objectOf(data);
  }

  /** `Name: value`, as Node takes it. */
  #headers(offered: unknown): Record<string, string> {
    const headers: Record<string, string> = {};
    for (const line of Array.isArray(offered) ? (offered as readonly unknown[]) : []) {
      const header = typeof line === "string" ? /^([\w-]+):\s*([\x20-\x7e]*)$/.exec(line) : null;
      if (header === null) throw misunderstood(this.base, "the headers of an upload");
      headers[(header[1] as string).toLowerCase()] = header[2] as string;
    }
    return headers;
  }

  #text(value: unknown, what: string): string {
    if (typeof value === "string" && value !== "") return value;
    throw misunderstood(this.base, what);
  }

  #count(value: unknown): number {
    if (value === null || value === undefined) return 0;
    if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
    throw misunderstood(this.base, "the number of a run's lines");
  }
}

/** W&B's client sends all of them, null where they stay as they are. */
const UNSET = {
  id: null,
  name: null,
  project: null,
  entity: null,
  groupName: null,
  description: null,
  displayName: null,
  notes: null,
  commit: null,
  config: null,
  host: null,
  debug: null,
  program: null,
  repo: null,
  jobType: null,
  state: null,
  sweep: null,
  tags: null,
  summaryMetrics: null,
} as const;
