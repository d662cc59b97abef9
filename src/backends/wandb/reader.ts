/** What W&B's public API gives back of a run: its rows as `scan_history` reads them, its files, config, summary, and state. */
import type { JsonObject } from "../../net/request.ts";
import { AnswerTooLarge } from "../../net/transfer.ts";
import { HISTORY_PAGE, RUN, RUN_FILES } from "./documents.ts";
import { objectOf } from "./json.ts";
import { misunderstood } from "./service.ts";
import type { RunAddress } from "./store.ts";

export interface RunRecord {
  /** `running`, `finished`, `failed`, `crashed`, … */
  readonly state: string;
  /** JSON. */
  readonly config: string;
  /** JSON. */
  readonly summary: string;
  /** How many rows the server counts. */
  readonly rows: number;
  /** How many lines of system metrics it counts. */
  readonly events: number;
  /** The greatest `_step`, as far as steps are looked at; -1 if there is none. */
  readonly lastStep: number;
}

export interface KeptFile {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
  /** In Base64; undefined where the service keeps none. */
  readonly md5: string | undefined;
}

/** What it is asked through. */
export interface GraphqlApi {
  readonly base: string;
  graphql(operationName: string, query: string, variables: object): Promise<JsonObject>;
}

/** How far above the number of rows steps are looked at: tracelet's are that number, another program's may be any. */
const MAX_BEYOND = 1_000_000;
/** Steps of a page, as in W&B's client; fewer where rows are long. */
const PAGE = 1000;
/** Characters of a page's rows, by what those of the last page had. */
const PAGE_LENGTH = 8 * 1024 * 1024;
/** A page has at most this multiple of the last one's steps. */
const PAGE_GROWTH = 2;

export class WandbReader {
  readonly #api: GraphqlApi;

  constructor(api: GraphqlApi) {
    this.#api = api;
  }

  /** Undefined if there is no such run. */
  async record(address: RunAddress): Promise<RunRecord | undefined> {
    const run = await this.#run("Run", RUN, { ...address });
    if (run === undefined) return undefined;
    const { state, config, summaryMetrics, historyLineCount, eventsLineCount, historyKeys } = run;
    const { lastStep } = objectOf(historyKeys);
    const rows = typeof historyLineCount === "number" ? historyLineCount : 0;
    return {
      state: String(state),
      config: typeof config === "string" && config !== "" ? config : "{}",
      summary: typeof summaryMetrics === "string" && summaryMetrics !== "" ? summaryMetrics : "{}",
      rows,
      events: typeof eventsLineCount === "number" ? eventsLineCount : 0,
      lastStep: Math.min(Math.max(typeof lastStep === "number" ? lastStep : -1, rows - 1), rows + MAX_BEYOND),
    };
  }

  /** All rows, page by page, by their `_step`s. @param lastStep of the run's record */
  async *rows(address: RunAddress, lastStep: number): AsyncGenerator<readonly string[]> {
    let size = PAGE;
    for (let minStep = 0; minStep <= lastStep; ) {
      const steps = Math.min(size, lastStep + 1 - minStep);
      const page = await this.#page(address, minStep, steps).catch((error: unknown) => {
        if (!(error instanceof AnswerTooLarge) || steps === 1) throw error;
        return undefined;
      });
      if (page === undefined) {
        size = Math.floor(steps / 2);
        continue;
      }
      yield page;
      minStep += steps;
      const length = page.reduce((sum, row) => sum + row.length, 1);
      const fitting = Math.floor((steps * PAGE_LENGTH) / length);
      size = Math.max(1, Math.min(fitting, size * PAGE_GROWTH, PAGE));
    }
  }

  async #page({ entity, project, name: run }: RunAddress, minStep: number, steps: number): Promise<readonly string[]> {
    const range = { minStep, maxStep: minStep + steps, pageSize: steps };
    const page = await this.#run("HistoryPage", HISTORY_PAGE, { entity, project, run, ...range });
    const history: unknown = page?.["history"] ?? [];
    if (!Array.isArray(history) || !history.every((row) => typeof row === "string"))
      throw misunderstood(this.#api.base, "rows of a run's history");
    return history;
  }

  async files(address: RunAddress): Promise<KeptFile[]> {
    const all: KeptFile[] = [];
    for (let fileCursor: string | null = null; ; ) {
      const page: JsonObject | undefined = await this.#run("RunFiles", RUN_FILES, { ...address, fileCursor });
      const { edges, pageInfo } = objectOf(page?.["files"]);
      for (const edge of Array.isArray(edges) ? (edges as readonly unknown[]) : []) {
        const { name, sizeBytes, md5 } = objectOf(objectOf(edge)["node"]);
        if (typeof name !== "string") throw misunderstood(this.#api.base, "the name of a file");
        // A number of 64 bits may come as a text.
        all.push({ name, size: Number(sizeBytes), md5: typeof md5 === "string" && md5 !== "" ? md5 : undefined });
      }
      const { hasNextPage, endCursor } = objectOf(pageInfo);
      if (hasNextPage !== true) return all;
      // A server that says the same again and again would be asked for ever.
      if (typeof endCursor !== "string" || endCursor === fileCursor)
        throw misunderstood(this.#api.base, "another page of files");
      fileCursor = endCursor;
    }
  }

  async #run(operation: string, document: string, variables: object): Promise<JsonObject | undefined> {
    const { project } = await this.#api.graphql(operation, document, variables);
    const { run } = objectOf(project);
    return run === null || run === undefined ? undefined : objectOf(run);
  }
}
