/** How what MLflow refuses is found in a batch. */
import { describe, expect, test } from "vitest";
import { storeAround } from "../../src/backends/mlflow/bisect.ts";
import { DryRunStore } from "../../src/backends/mlflow/dry-run-store.ts";
import { type LogBatch, type MetricColumns, type MlflowStore } from "../../src/backends/mlflow/store.ts";
import { ContentRefused } from "../../src/net/refusal.ts";

interface Point {
  readonly key: string;
  readonly step: number;
}

/** An MLflow that refuses each batch that holds something of which `refuses` says why. */
class Picky {
  readonly store: MlflowStore;
  readonly points = new Set<string>();
  readonly params = new Set<string>();
  requests = 0;
  readonly refuses: (what: { point?: Point; param?: string; tag?: string }) => string | undefined;

  constructor(refuses: Picky["refuses"]) {
    this.refuses = refuses;
    this.store = Object.assign(new DryRunStore(), {
      logBatch: async (_id: string, batch: LogBatch) => this.#logBatch(batch),
    });
  }

  #logBatch({ metrics, params, tags }: LogBatch): void {
    this.requests++;
    const points = pointsOf(metrics);
    const reasons = [
      ...points.map((point) => this.refuses({ point })),
      ...[...params.keys()].map((param) => this.refuses({ param })),
      ...[...tags.keys()].map((tag) => this.refuses({ tag })),
    ];
    const reason = reasons.find((each) => each !== undefined);
    if (reason !== undefined) throw refusal(reason);
    for (const { key, step } of points) this.points.add(`${key} ${step}`);
    for (const key of params.keys()) this.params.add(key);
  }
}

function refusal(reason: string): ContentRefused {
  return new ContentRefused(`the server says: ${reason}`, reason, {});
}

function pointsOf({ keys, key, step, length }: MetricColumns): Point[] {
  return Array.from({ length }, (_, i) => ({ key: keys[key[i] as number] as string, step: Number(step[i]) }));
}

/** `perKey` points of each key, written step by step. */
function columns(keys: readonly string[], perKey: number): MetricColumns {
  const length = keys.length * perKey;
  return {
    keys,
    key: Int32Array.from({ length }, (_, i) => i % keys.length),
    step: BigInt64Array.from({ length }, (_, i) => BigInt(Math.floor(i / keys.length))),
    timestamp: new Float64Array(length),
    value: new Float64Array(length),
    length,
  };
}

const KNOWN = new Map([["known", "tag"]]);
const WHOLE = refusal("all of it");

async function around(store: Picky, metrics: MetricColumns, params: readonly string[] = []) {
  const content = { metrics, params: new Map(params.map((key) => [key, "v"])) };
  const refused = await storeAround(store.store, "run", content, KNOWN, WHOLE);
  const all = pointsOf(metrics);
  return {
    metrics: [...refused.metrics].map(([i, { reason }]) => `${all[i]?.key} ${all[i]?.step}: ${reason}`),
    params: [...refused.params].map(([key, { reason }]) => `${key}: ${reason}`),
  };
}

describe("what is refused is found, and all else is stored", () => {
  test.each([0, 1, 499, 989])("the one point at step %d of 990, in few requests", async (bad) => {
    const store = new Picky(({ point }) => (point?.step === bad ? `step ${bad}` : undefined));
    const refused = await around(store, columns(["loss"], 990));
    expect(refused.metrics).toEqual([`loss ${bad}: step ${bad}`]);
    expect(store.points.size).toBe(989);
    expect(store.requests).toBeLessThanOrEqual(2 + 5 + 1 + 2 * 10);
  });

  test("a param, and points of several keys", async () => {
    const bad = new Set(["b 3", "c 0", "c 9"]);
    const store = new Picky(({ point, param }) => {
      if (param === "p1") return "too long";
      return point && bad.has(`${point.key} ${point.step}`) ? `bad at ${point.step}` : undefined;
    });
    const refused = await around(store, columns(["a", "b", "c"], 10), ["p0", "p1", "p2"]);
    expect(refused.metrics.sort()).toEqual(["b 3: bad at 3", "c 0: bad at 0", "c 9: bad at 9"]);
    expect(refused.params).toEqual(["p1: too long"]);
    expect([store.points.size, [...store.params]]).toEqual([27, ["p0", "p2"]]);
  });

  test("a key of which all is refused costs no request a point", async () => {
    const store = new Picky(({ point }) => (point?.key === "a:b" ? "not allowed" : undefined));
    const refused = await around(store, columns(["x", "a:b", "y"], 330));
    expect(refused.metrics).toHaveLength(330);
    expect(store.points.size).toBe(660);
    expect(store.requests).toBeLessThan(20);
  });

  test("keys in letters that the database does not store, however many, and params in them", async () => {
    const foreign = Array.from({ length: 150 }, (_, i) => `損失${i}`);
    const reason = "HTTP 400 BAD_REQUEST: (pymysql.err.DataError) (1366, \"Incorrect string value: '\\xE6'\")";
    const picky = new Picky(({ point, param }) => (/損/.test(point?.key ?? param ?? "") ? reason : undefined));
    const { metrics, params } = await around(picky, columns(["loss", ...foreign], 6), ["lr", "損"]);
    expect(new Set(metrics.map((each) => each.split(" ")[0]))).toEqual(new Set(foreign));
    expect([metrics.length, params]).toEqual([900, [`損: ${reason}`]]);
    expect([picky.points.size, [...picky.params]]).toEqual([6, ["lr"]]);
    expect(picky.requests).toBeLessThan(320);
    // And where nothing is left that is taken.
    const nothing = new Picky(({ tag }) => (tag === undefined ? reason : undefined));
    expect((await around(nothing, columns(foreign.slice(0, 20), 6))).metrics).toHaveLength(120);
  });

  test("a key is not refused for some of its points", async () => {
    const store = new Picky(({ point }) => (point && point.step % 40 !== 5 ? undefined : point && "some steps"));
    const refused = await around(store, columns(["loss", "acc"], 200));
    expect(refused.metrics).toHaveLength(10);
    expect(store.points.size).toBe(390);
  });

  test("the batch's only value", async () => {
    const store = new Picky(({ point }) => point && `Invalid metric name: '${point.key}'`);
    expect((await around(store, columns(["a:b"], 1))).metrics).toHaveLength(1);
    expect((await around(store, columns(["a:b"], 990))).metrics).toHaveLength(990);
  });
});

describe("it stays an error, and nothing is found", () => {
  test.each<[string, Picky["refuses"]]>([
    ["where even what the run has is refused", () => "run 1 is not active"],
    ["where every value is", ({ tag }) => (tag === undefined ? "the request is invalid" : undefined)],
    ["where every value is, each in other words", ({ point }) => point && `no ${point.key} ${point.step}`],
    ["where more is than can be by chance", ({ point }) => (point && point.step % 2 === 1 ? "odd" : undefined)],
  ])("%s", async (_, refuses) => {
    const store = new Picky(refuses);
    await expect(around(store, columns(["loss"], 990))).rejects.toBe(WHOLE);
    expect(store.requests).toBeLessThan(2500);
  });

  test("where it was for the tags only", async () => {
    await expect(around(new Picky(() => undefined), columns([], 0))).rejects.toBe(WHOLE);
    expect(await around(new Picky(() => undefined), columns(["a"], 3))).toEqual({ metrics: [], params: [] });
  });

  test("where another error comes between", async () => {
    const gone = new Error("gone");
    let requests = 0;
    const store = new Picky(({ point }) => {
      if (++requests > 20) throw gone;
      return point?.step === 3 ? "no" : undefined;
    });
    await expect(around(store, columns(["loss"], 10))).rejects.toBe(gone);
  });
});
