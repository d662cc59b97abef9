/** All points of a metric, over MLflow's REST API. */
import type { HttpClient } from "../../net/client.ts";
import { ContentRefused } from "../../net/refusal.ts";
import type { JsonObject } from "../../net/request.ts";
import { isAscii } from "../storable-text.ts";
import { list, nextToken, parseExact, pointColumns, unexpected } from "./rest-answers.ts";
import { ANY_EXPERIMENT, API } from "./rest-requests.ts";
import type { MetricColumns } from "./store.ts";

/** What MLflow's own client asks for at once. */
const POINTS_PER_PAGE = 25_000;
/** How often to ask for a page that arrives damaged. */
const MAX_DAMAGED = 5;

/** A page at a time. @throws what `HttpClient` throws */
export async function* metricHistory(http: HttpClient, runId: string, key: string): AsyncGenerator<MetricColumns> {
  let token = "";
  for (;;) {
    const page = await historyPage(http, runId, key, token).catch((error: unknown): JsonObject => {
      // What the database cannot compare, it does not hold.
      if (error instanceof ContentRefused) return {};
      throw error;
    });
    const metrics = list(page["metrics"]);
    // An MLflow that knows no pages takes no notice of the number, and gives all at once.
    if (metrics.length > 0) yield pointColumns(key, metrics);
    const next = nextToken(page, token);
    if (next === "") return;
    if (metrics.length === 0) throw unexpected();
    token = next;
  }
}

async function historyPage(http: HttpClient, runId: string, key: string, token: string): Promise<JsonObject> {
  const query = {
    run_id: runId,
    metric_key: key,
    max_results: String(POINTS_PER_PAGE),
    ...(token !== "" && { page_token: token }),
  };
  const path = `${API}metrics/get-history`;
  const counterpart = isAscii(key) ? {} : ANY_EXPERIMENT;
  const request = { method: "GET", path, query, retryLostReply: true, frequent: true, ...counterpart } as const;
  for (let attempt = 1; attempt <= MAX_DAMAGED; attempt++) {
    // As a file: of how many points an answer is, is not known, and its numbers have to be looked at as text.
    const { bytes } = await http.download(request);
    const page = parseExact(bytes);
    if (page !== undefined) return page;
  }
  throw unexpected();
}
