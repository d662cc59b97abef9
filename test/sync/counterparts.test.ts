/** An HTTP 5xx that only what a request holds provokes is a refusal; one of a server that is away is none. */
import { afterEach, describe, expect, test } from "vitest";
import { readCredentials } from "../../src/backends/mlflow/credentials.ts";
import { NO_METRICS } from "../../src/backends/mlflow/parts.ts";
import { RestStore } from "../../src/backends/mlflow/rest-store.ts";
import { resolveTrackingUri } from "../../src/backends/mlflow/tracking-uri.ts";
import { TraceletError } from "../../src/errors.ts";
import { ContentRefused } from "../../src/net/refusal.ts";
import { type Answer, FaultServer, html, json, type RecordedRequest, refusal } from "./fault-server.ts";

const open: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

/** What PostgreSQL's driver makes MLflow say of a NUL. */
const NUL = refusal(500, "INTERNAL_ERROR", "A string literal cannot contain NUL (0x00) characters.");
/** What MySQL's makes it say of a letter that is not in the database's character set. */
const OPERATIONAL = refusal(
  503,
  "TEMPORARILY_UNAVAILABLE",
  "(MySQLdb.OperationalError) (1366, 'Incorrect string value')",
);

/** A store before a server, with the requests that this was sent: `poison`, `probe` or their path. */
async function storeBefore(answer: (request: RecordedRequest) => Answer | undefined, { live = false } = {}) {
  const sent: string[] = [];
  const server = await FaultServer.start((request) => {
    const method = /mlflow\/([^?]*)/.exec(request.target)?.[1] ?? "";
    sent.push(/poison|probe/.exec(request.body)?.[0] ?? method);
    return answer(request) ?? json({});
  });
  const uri = resolveTrackingUri(server.url, {}, "/");
  if (uri.scheme === "sqlite") throw new Error("not a server");
  let now = 0;
  const timing = {
    monotonic: () => now,
    wall: () => now,
    random: () => 0.5,
    sleep: async (ms: number) => {
      now += ms;
    },
  };
  const credentials = readCredentials(undefined, {}, "/nonexistent");
  const store = new RestStore({ uri, credentials, giveUpAfterMs: 60_000, live, timing });
  open.push(server, store);
  const log = async (text: string): Promise<unknown> => {
    const batch = { metrics: NO_METRICS, params: new Map([["param", text]]), tags: new Map<string, string>() };
    return store.logBatch("a".repeat(32), batch).catch((error: unknown) => error);
  };
  return { store, sent, log, later: (ms: number) => (now += ms) };
}

const poisoned = (answer: Answer) => (request: RecordedRequest) =>
  request.body.includes("poison") ? answer : undefined;

describe.each([
  ["once", false],
  ["live", true],
] as const)("%s", (_, live) => {
  test.each([
    ["500", NUL],
    ["503", OPERATIONAL],
  ])("%s to the content alone is a refusal, and the next one is known sooner", async (_, answer) => {
    const { sent, log } = await storeBefore(poisoned(answer), { live });
    const error = await log("poison");
    expect(error).toBeInstanceOf(ContentRefused);
    expect((error as ContentRefused).reason).toMatch(/^HTTP 50[03] [A-Z_]+: .*(NUL|Incorrect)/);
    expect(sent).toEqual(["poison", "probe", "poison", "probe", "poison", "probe"]);
    expect(await log("more poison")).toBeInstanceOf(ContentRefused);
    expect(sent.slice(6)).toEqual(["poison", "probe", "poison", "probe"]);
    expect(await log("fine")).toBeUndefined();
  });

  test("what goes well in the end was no refusal", async () => {
    let failures = 2;
    const { log } = await storeBefore(
      (request) => (request.body.includes("poison") && failures-- > 0 ? NUL : undefined),
      {
        live,
      },
    );
    expect(await log("poison")).toBeUndefined();
  });

  test.each([
    ["a server that is away", html(502)],
    [
      "a database that can be read and not be written",
      refusal(503, "TEMPORARILY_UNAVAILABLE", "(OperationalError) disk full"),
    ],
  ])("%s is an outage", async (_, answer) => {
    const { log } = await storeBefore(({ target }) => (target.includes("log-batch") ? answer : undefined), { live });
    expect(await log("poison")).toMatchObject({ code: "unreachable" });
  });

  test("one that says when it is back is an outage", async () => {
    const { sent, log } = await storeBefore(poisoned({ ...html(503), headers: { "retry-after": "20" } }), { live });
    expect(await log("poison")).toMatchObject({ code: "unreachable" });
    expect(sent).not.toContain("probe");
  });
});

test("live, what a proxy answers is tried anew each time from what the run has, and is a refusal at the third", async () => {
  const { sent, log, later } = await storeBefore(poisoned(html(502)), { live: true });
  for (let round = 0; round < 2; round++) {
    const error = await log("poison");
    expect([error instanceof TraceletError, error instanceof ContentRefused]).toEqual([true, false]);
    expect(error).toMatchObject({ code: "unreachable" });
    later(1000);
  }
  expect(await log("poison")).toBeInstanceOf(ContentRefused);
  expect(sent).toEqual(["poison", "probe", "poison", "probe", "poison", "probe"]);
});

describe("a database that cannot compare all letters", () => {
  const illegal = refusal(503, "TEMPORARILY_UNAVAILABLE", "(1267, 'Illegal mix of collations')\n[SQL: SELECT secret]");
  const illegalFor = (path: string) => (request: RecordedRequest) =>
    request.target.includes(path) ? illegal : undefined;

  test("refuses an experiment's name, in its own words without SQL", async () => {
    const { store, sent } = await storeBefore(illegalFor("get-by-name"));
    const error: unknown = await store.experimentByName("損失").catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "rejected", message: expect.stringContaining("Illegal mix of collations") });
    expect((error as Error).message).not.toMatch(/SQL|secret/);
    expect(sent).toContain("experiments/search");
  });

  test("holds no points of such a key", async () => {
    const { store } = await storeBefore(illegalFor("get-history"));
    const pages = [];
    for await (const page of store.metricHistory("a".repeat(32), "損失")) pages.push(page);
    expect(pages).toEqual([]);
  });
});
