/** Runs of an experiment, found by their tags over MLflow's REST API. */
import type { HttpClient } from "../../net/client.ts";
import { Refusal } from "../../net/refusal.ts";
import type { JsonObject } from "../../net/request.ts";
import { list, nextToken, runRecord, unexpected } from "./rest-answers.ts";
import { API, json, literal, tagName, tokenAt } from "./rest-requests.ts";
import type { RunLists, RunRecord, RunTags } from "./store.ts";

/** Few, since each run comes with the latest value of each of its metrics. */
const RUNS_PER_PAGE = 25;
/** Of ours, of which only their tags are looked at. */
const TAGGED_PER_PAGE = 100;
/** Runs of one source are few; a server could go on for ever. */
const MAX_PAGES_OF_RUNS = 400;
/** The same of all runs of an experiment. */
const MAX_PAGES_OF_ALL = 100_000;

export class RestSearch implements RunLists {
  readonly listsCheaply = false;
  readonly #http: HttpClient;
  readonly #run: (id: string) => Promise<RunRecord | undefined>;

  /** @param run asks for one run */
  constructor(http: HttpClient, run: (id: string) => Promise<RunRecord | undefined>) {
    this.#http = http;
    this.#run = run;
  }

  async runsByTag(experimentId: string, key: string, value?: string): Promise<RunRecord[]> {
    const runs: RunRecord[] = [];
    const filter = `${tagName(key)} ${value === undefined ? "LIKE '%'" : `= ${literal(value)}`}`;
    for (let token = "", pages = 0; ; pages++) {
      const page = await this.#search(experimentId, filter, RUNS_PER_PAGE, token);
      runs.push(...list(page["runs"]).map(runRecord));
      const next = nextToken(page, token);
      if (next === "") return runs;
      if (pages >= MAX_PAGES_OF_RUNS) throw unexpected();
      token = next;
    }
  }

  async hasRunsWithTag(experimentId: string, key: string): Promise<boolean> {
    const page = await this.#search(experimentId, `${tagName(key)} LIKE '%'`, 1);
    return list(page["runs"]).length > 0;
  }

  async *taggedRuns(experimentId: string, key: string, which: "all" | "deleted"): AsyncGenerator<RunTags> {
    const view = which === "all" ? "ALL" : "DELETED_ONLY";
    for (let token = "", pages = 0; pages < MAX_PAGES_OF_ALL; pages++) {
      const page = await this.#search(experimentId, `${tagName(key)} LIKE '%'`, TAGGED_PER_PAGE, token, view);
      yield* list(page["runs"]).map(runRecord);
      token = nextToken(page, token);
      if (token === "") return;
    }
    throw unexpected();
  }

  async runTags(experimentId: string, ids: readonly string[]): Promise<RunTags[]> {
    if (ids.length === 0) return [];
    const runs: RunTags[] = [];
    for (let at = 0; at < ids.length; at += TAGGED_PER_PAGE) {
      const some = ids.slice(at, at + TAGGED_PER_PAGE);
      const filter = `attributes.run_id IN (${some.map(literal).join(", ")})`;
      const page = await this.#search(experimentId, filter, TAGGED_PER_PAGE).catch((error: unknown) => {
        // MLflow before 2.3 does not know IN.
        if (error instanceof Refusal && error.status === 400) return undefined;
        throw error;
      });
      if (page !== undefined) runs.push(...list(page["runs"]).map(runRecord));
      else runs.push(...(await Promise.all(some.map(this.#run))).filter((run) => run !== undefined));
    }
    return runs;
  }

  async countsRuns(experimentId: string, key: string, count: number): Promise<"fewer" | "exactly" | "more"> {
    const token = count === 1 ? "" : tokenAt(count - 1);
    const page = await this.#search(experimentId, `${tagName(key)} LIKE '%'`, 1, token);
    if (list(page["runs"]).length === 0) return "fewer";
    return nextToken(page, token) === "" ? "exactly" : "more";
  }

  #search(
    experimentId: string,
    filter: string,
    maxResults: number,
    pageToken = "",
    view: "ALL" | "DELETED_ONLY" = "ALL",
  ): Promise<JsonObject> {
    const body = json({
      experiment_ids: [experimentId],
      filter,
      run_view_type: view,
      max_results: maxResults,
      order_by: ["attributes.start_time DESC"],
      ...(pageToken !== "" && { page_token: pageToken }),
    });
    return this.#http.request({ method: "POST", path: `${API}runs/search`, body, retryLostReply: true });
  }
}
