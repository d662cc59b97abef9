/** Metrics computed from scalars: by Python's reckoning, and the same whatever dies, is lost or asked for later. */
import path from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import { TraceletError } from "../../src/errors.ts";
import { openDatabase } from "../../src/sqlite.ts";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { guessType } from "../../src/sync/source/metric-types.ts";
import { type MetricOptions, metricRulesOf } from "../../src/sync/transform/metrics/rules.ts";
import { verify } from "../../src/verify/mlflow/verify.ts";
import type { VerifiedRun } from "../../src/verify/result.ts";
import { eventFile, ownRecord, sessionStart, WALL_TIME } from "../support/event-writer.ts";
import type { MemoryRun } from "../support/memory-backend.ts";
import { askPython } from "./python.ts";
import { Watching } from "./watched.ts";
import { codes, curve, fileOf, interleaved, only, type Point, records, sentAgain, version, World } from "./world.ts";

const ALL = { includeTags: [], excludeTags: [], nan: "keep" } as const;
const FIVE = { derive: { "{tag}_smoothed": { mean: 5, match: "*loss*" } } };

function asking(metrics: MetricOptions, more: Partial<SyncOptions["transform"]> = {}): Pick<SyncOptions, "transform"> {
  return { transform: { ...ALL, ...more, metrics: metricRulesOf(metrics) } };
}

/** Every point there is, as tag, step and value. */
function points(run: MemoryRun): [tag: string, step: number, value: number][] {
  return [...run.points.keys()].map((point) => {
    const parts = point.split(" ");
    const [step, , value] = parts.splice(-3);
    return [parts.join(" "), Number(step), Number(value)];
  });
}

/** The points of a metric, by step. */
function metric(run: MemoryRun, name: string): [step: number, value: number][] {
  return points(run)
    .flatMap(([tag, step, value]): [number, number][] => (tag === name ? [[step, value]] : []))
    .sort(([a], [b]) => a - b);
}

/** Every metric there is. */
function metrics(run: MemoryRun): string[] {
  return [...new Set(points(run).map(([tag]) => tag))].sort();
}

const noisy = (tag: string, from: number, to: number): Point[] =>
  curve(tag, from, to).map((point) => ({
    ...point,
    value: Math.fround(1 / (point.step + 1) + ((point.step * 7) % 5)),
  }));

describe("from configuration", () => {
  test("the mean of the last five of each loss, as a processor in Python logs it", async () => {
    const world = World.create();
    const written = interleaved(noisy("train_loss", 0, 40), noisy("accuracy", 0, 40));
    world.logdir.write("a", fileOf(written));
    await world.sync(asking(FIVE));
    const processor = `
logged = []
history = {}
for name, value, iteration in data:
    history.setdefault(name, []).append((iteration, value))
    if "loss" in name.lower():
        if len(history[name]) >= 5:
            recent_values = [v for _, v in history[name][-5:]]
            logged.append([iteration, sum(recent_values) / len(recent_values)])
answer = logged`;
    const logged = askPython(
      processor,
      written.map(({ tag, value, step }) => [tag, value, step]),
    );
    const run = world.backend.run("a");
    expect(metric(run, "train_loss_smoothed")).toEqual(logged);
    expect(metrics(run)).toEqual(["accuracy", "train_loss", "train_loss_smoothed"]);
  });

  test("least and greatest of a window, an average as TensorBoard smooths, arithmetic, and the best", async () => {
    const world = World.create();
    const [a, b] = [noisy("val/loss", 0, 30), noisy("acc", 0, 30)];
    world.logdir.write("a", fileOf(interleaved(a, b)));
    await world.sync(
      asking({
        derive: {
          "{tag}/min": { min: 3, match: "val/*" },
          "{tag}/max": { max: 3, match: "val/*" },
          "{tag}/ema": { ema: 0.6, match: "val/*" },
          ratio: { expr: "-({val/loss} - acc) ^ 2 / max(acc, 0.5)" },
        },
        best: ["*"],
      }),
    );
    const run = world.backend.run("a");
    const [losses, accuracies] = [a, b].map((points) => points.map(({ value }) => value));
    const smoothing = `
a, b = data
last, smoothed = 0.0, []
for i, y in enumerate(a):
    last = last * 0.6 + (1 - 0.6) * y
    smoothed.append(last / (1 - 0.6 ** (i + 1)))
answer = [smoothed, [-(x - y) ** 2 / max(y, 0.5) for x, y in zip(a, b)]]`;
    const [smoothed, ratio] = askPython(smoothing, [losses, accuracies]) as [number[], number[]];
    const close = (of: [number, number][], to: number[], from = 0) => {
      expect(of.map(([step]) => step)).toEqual(to.map((_, i) => i + from));
      for (const [i, [, value]] of of.entries()) expect(value).toBeCloseTo(to[i] as number, 12);
    };
    const windows = (pick: (...of: number[]) => number) =>
      (losses as number[]).slice(2).map((_, i) => pick(...(losses as number[]).slice(i, i + 3)));
    close(metric(run, "val/loss/min"), windows(Math.min), 2);
    close(metric(run, "val/loss/max"), windows(Math.max), 2);
    close(metric(run, "val/loss/ema"), smoothed);
    close(metric(run, "ratio"), ratio);
    expect(metric(run, "best/val/loss").at(-1)?.[1]).toBe(Math.min(...(losses as number[])));
    expect(metric(run, "best/acc").at(-1)?.[1]).toBe(Math.max(...(accuracies as number[])));
    expect(metric(run, "best/acc/step").at(-1)?.[1]).toBe(
      (accuracies as number[]).indexOf(Math.max(...(accuracies as number[]))),
    );
  });

  test("renamed metrics, and code that changes, adds and skips", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(interleaved(curve("old/x", 0, 2), curve("secret", 0, 2), curve("b", 0, 2))));
    const options = asking({
      rename: ["old/*=new/*/y", "b=c\\=d"],
      transform: (record) => {
        if (record.tag === "secret") return undefined;
        return record.tag === "b" ? [record, { tag: "b2", value: record.value * 2 }] : record;
      },
    });
    const result = await world.sync(options);
    const run = world.backend.run("a");
    // An escaped = belongs to the old name alone.
    expect(metrics(run)).toEqual(["b2", "c\\=d", "new/x/y"]);
    expect(metric(run, "b2")).toEqual([
      [0, 0],
      [1, 0.5],
    ]);
    expect(only(result).tally.kinds.get("scalars")).toMatchObject({ read: 6, derived: 2, sent: 6 });
  });

  test("metrics that exchange their names keep them apart, also where the state is lost", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(interleaved(curve("x", 0, 4), noisy("y", 0, 4))));
    const options = asking({ rename: ["x=y", "y=x"] });
    expect(codes(await world.sync(options))).toEqual([]);
    world.loseState();
    world.logdir.append("a", records(interleaved(curve("x", 4, 6), noisy("y", 4, 6))));
    expect(codes(await world.sync(options))).toEqual([]);
    const run = world.backend.run("a");
    expect(metrics(run)).toEqual(["x", "y"]);
    expect(metric(run, "y")).toEqual(curve("x", 0, 6).map(({ step, value }) => [step, value]));
  });

  test("a name that is used stays its owner's: whoever comes first in the file", async () => {
    const world = World.create();
    const logged = curve("loss_smoothed", 0, 9).map((point) => ({ ...point, value: 100 }));
    world.logdir.write("a", fileOf(interleaved(curve("loss", 0, 9), logged)));
    const result = await world.sync(asking(FIVE));
    const run = world.backend.run("a");
    expect(metric(run, "loss_smoothed").every(([, value]) => value === 100)).toBe(true);
    const [other] = metrics(run).filter((name) => name.startsWith("loss_smoothed "));
    expect(metric(run, other as string)).toHaveLength(5);
    expect(codes(result)).toContain("renamed");
    // The same where nothing but the destination remembers.
    world.loseState();
    await world.sync(asking(FIVE));
    world.logdir.append("a", records(interleaved(curve("loss", 9, 12), curve("loss_smoothed", 9, 12))));
    world.loseState();
    await world.sync(asking(FIVE));
    expect(metric(run, other as string)).toHaveLength(8);
    expect(metric(run, "loss_smoothed")).toHaveLength(12);
  });

  test("filters look at their names, too; what is computed sees what they skip", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(interleaved(curve("loss", 0, 9), curve("debug/loss", 0, 9))));
    await world.sync(asking(FIVE, { excludeTags: ["debug/*", "loss"] }));
    expect(metrics(world.backend.run("a"))).toEqual(["loss_smoothed"]);
    expect(metric(world.backend.run("a"), "loss_smoothed")).toHaveLength(5);
  });

  test("a run of several directories: names with their directories, expressions over all of them", async () => {
    const world = World.create();
    world.logdir.write("r/train", fileOf(curve("Loss", 0, 6)));
    world.logdir.write(
      "r/val",
      fileOf(
        curve("Loss", 0, 6).map((point) => ({ ...point, value: point.value + 1 })),
        1,
      ),
    );
    const options = { ...asking({ derive: { gap: { expr: "{val/Loss} - {train/Loss}" }, "{tag}_m": { mean: 6 } } }) };
    await world.sync({ ...options, group: "parent" });
    const run = world.backend.run("r");
    expect(metrics(run)).toEqual(["gap", "train/Loss", "train/Loss_m", "val/Loss", "val/Loss_m"]);
    expect(metric(run, "gap")).toEqual([0, 1, 2, 3, 4, 5].map((step) => [step, 1]));
  });

  test("an expression whose metrics a run lacks is noted, where they may be others", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(interleaved(curve("val/loss", 0, 3), curve("train/loss", 0, 3))));
    const notes = async (expr: string) => {
      world.loseState();
      const { notes } = only(await world.sync(asking({ derive: { [expr]: { expr } } })));
      return notes.filter(({ code }) => code === "no-metric").map(({ message }) => message);
    };
    const said = (expr: string, metric: string, meant: string) =>
      `nothing comes of the expression for "${expr}": the run has no metric "${metric}"${meant}`;
    const quotients = "val/loss - train/loss";
    expect(await notes(quotients)).toEqual([
      said(quotients, "val", "; did you mean {val/loss}?"),
      said(quotients, "loss", "; did you mean {val/loss}?"),
      said(quotients, "train", "; did you mean {train/loss}?"),
    ]);
    expect(await notes("{val/loss} - acc")).toEqual([said("{val/loss} - acc", "acc", "")]);
    expect(await notes("{Val/Loss} * 2")).toEqual([said("{Val/Loss} * 2", "Val/Loss", "; did you mean {val/loss}?")]);
    // Another kind of run.
    expect(await notes("reward - cost")).toEqual([]);
    expect(await notes("{val/loss} - {train/loss}")).toEqual([]);
  });

  test.each([
    ["two operations", { derive: { "{tag}_x": { mean: 5, max: 2 } } }, "exactly one of"],
    ["none", { derive: { "{tag}_x": { match: "*" } } }, "exactly one of"],
    ["no {tag}", { derive: { x: { mean: 5, match: "*loss" } } }, "{tag}"],
    ["half a point", { derive: { "{tag}_x": { mean: 2.5 } } }, "number of points"],
    ["no weight", { derive: { "{tag}_x": { ema: 1 } } }, "weight"],
    ["an unfinished expression", { derive: { x: { expr: "a - " } } }, "ends too early"],
    ["a function that there is not", { derive: { x: { expr: "eval(a)" } } }, "no function eval"],
    ["other signs", { derive: { x: { expr: "a; b" } } }, '";" is not part'],
    ["an expression without a metric", { derive: { x: { expr: "1 + 1" } } }, "names no metric"],
    ["a rename to nothing", { rename: ["a="] }, "no name"],
    ["a rename with a star too many", { rename: ["a=b*"] }, "no name"],
  ])("%s is refused", (_, options, message) => {
    expect(() => metricRulesOf(options)).toThrow(TraceletError);
    expect(() => metricRulesOf(options)).toThrow(message);
  });
});

describe("whatever happens", () => {
  test("a restart takes back what it writes anew, also of a window that reaches over it", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    await world.sync(asking({ ...FIVE, best: ["loss"] }));
    const again = curve("loss", 7, 12).map((point) => ({
      ...point,
      value: point.value + 8,
      wallTime: point.wallTime + 100,
    }));
    const start = eventFile(sessionStart(7));
    const restarted = Buffer.concat([version(50), start, records(again)]);
    world.logdir.write("a/events.out.tfevents.9999999999.host.2.0", restarted);
    await world.sync(asking({ ...FIVE, best: ["loss"] }));
    const value = (step: number) => (step < 7 ? step / 4 : step / 4 + 8);
    const run = world.backend.run("a");
    for (const step of [7, 8, 9, 10, 11]) {
      const mean = [0, 1, 2, 3, 4].reduce((sum, back) => sum + value(step - 4 + back), 0) / 5;
      expect(metric(run, "loss_smoothed")).toContainEqual([step, mean]);
    }
    // The least loss is still that of the beginning, and what stands last says so.
    expect(metric(run, "best/loss").at(-1)).toEqual([10, 0]);
    expect(metric(run, "best/loss/step").at(-1)).toEqual([10, 0]);
    const whole = World.create();
    whole.logdir.write("a", fileOf(curve("loss", 0, 10)));
    whole.logdir.write("a/events.out.tfevents.9999999999.host.2.0", restarted);
    await whole.sync(asking({ ...FIVE, best: ["loss"] }));
    for (const point of whole.backend.run("a").points.keys()) expect([...run.points.keys()]).toContain(point);
  });

  test("files that grow at the same time do not see each other, however they are read", async () => {
    const at = (tag: string, from: number, to: number, wall: number) =>
      curve(tag, from, to).map((point) => ({
        ...point,
        value: point.value + wall,
        wallTime: WALL_TIME + point.step * 10 + wall,
      }));
    const [one, two] = [at("loss", 0, 20, 1), at("loss", 0, 20, 3)];
    const other = "a/events.out.tfevents.9999999999.host.2.0";
    const together = World.create();
    together.logdir.write("a", fileOf(one));
    together.logdir.write(other, fileOf(two, 0.5));
    await together.sync(asking(FIVE));
    const apart = World.create();
    apart.logdir.write("a", fileOf(one.slice(0, 3)));
    apart.logdir.write(other, fileOf(two.slice(0, 8), 0.5));
    await apart.sync(asking(FIVE));
    apart.loseState();
    apart.logdir.append("a", records(one.slice(3)));
    await apart.sync(asking(FIVE));
    apart.logdir.append(other, records(two.slice(8)));
    await apart.sync(asking(FIVE));
    const stored = (world: World) => [...world.backend.run("a").points.keys()].sort();
    expect(stored(apart)).toEqual(stored(together));
    expect(metric(together.backend.run("a"), "loss_smoothed")).toHaveLength(32);
  });

  test.each([false, true])(
    "what is asked for later is sent of all that was sent before; state lost: %s",
    async (lost) => {
      const world = World.create();
      world.logdir.write("a", fileOf(interleaved(curve("loss", 0, 9), curve("acc", 0, 9))));
      await world.sync();
      if (lost) world.loseState();
      await world.sync(asking(FIVE));
      const run = world.backend.run("a");
      expect(metric(run, "loss_smoothed")).toHaveLength(5);
      expect(sentAgain(run)).toBe(0);
      // Another mean must not go on under the same name.
      if (lost) world.loseState();
      const changed = await world.sync(asking({ derive: { "{tag}_smoothed": { mean: 3, match: "*loss*" } } }));
      const message = expect.stringContaining("was sent as mean: 5, and is mean: 3 now");
      expect(only(changed).error).toMatchObject({ code: "usage", message });
      expect(metric(run, "loss_smoothed")).toHaveLength(5);
      await world.sync(asking({ derive: { ...FIVE.derive, "{tag}_3": { mean: 3, match: "*loss*" } } }));
      expect(metric(run, "loss_3")).toHaveLength(7);
      expect(metric(run, "loss_smoothed")).toHaveLength(5);
      // What is no longer asked for stays.
      if (lost) world.loseState();
      const without = await world.sync(asking({ rename: ["acc=accuracy"] }));
      expect(metrics(run)).toEqual(["acc", "accuracy", "loss", "loss_3", "loss_smoothed"]);
      expect(metric(run, "accuracy")).toHaveLength(9);
      expect(codes(without)).toContain("narrowed");
      expect(sentAgain(run)).toBe(0);
    },
  );
});

test("a watch goes on with its windows: as the file grows, in a new file, after a file that could not be read", async () => {
  const world = World.create();
  world.backend.batchSize = 3;
  world.logdir.write("a", fileOf(curve("loss", 0, 3)));
  const watching = new Watching(world, asking(FIVE));
  const smoothed = (to: number) => Array.from({ length: to - 4 }, (_, i) => [i + 4, (i + 2) / 4]);
  for (let step = 3; step < 30; step += 3) {
    world.logdir.append("a", records(curve("loss", step, step + 3)));
    if (step % 9 === 0) world.backend.fault = ({ n }) => (n % 4 === 0 ? { when: "between" } : undefined);
    await watching.until(() => expect(metric(world.backend.run("a"), "loss")).toHaveLength(step + 3));
    world.backend.fault = () => undefined;
  }
  await watching.until(() => expect(metric(world.backend.run("a"), "loss_smoothed")).toEqual(smoothed(30)));
  world.logdir.write("a/events.out.tfevents.9999999999.host.2.0", fileOf(curve("loss", 30, 33), 29.5));
  await watching.until(() => expect(metric(world.backend.run("a"), "loss_smoothed")).toEqual(smoothed(33)));
});

describe("a plain reckoning comes to the same", () => {
  interface Act {
    readonly kind: "points" | "restart" | "new file" | "sync" | "fault" | "lose" | "old state";
    readonly n: number;
  }

  const act: fc.Arbitrary<Act> = fc.record({
    kind: fc.constantFrom("points", "points", "points", "restart", "new file", "sync", "fault", "lose", "old state"),
    n: fc.nat(20),
  });
  const rule = fc.oneof(
    fc.record({ kind: fc.constantFrom("mean", "min", "max"), n: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ kind: fc.constant("ema"), n: fc.constantFrom(0, 0.5, 0.9) }),
    fc.record({ kind: fc.constant("expr"), n: fc.constant(0) }),
  );

  interface Seen {
    readonly point: Point;
    /** Its place among all that was written. */
    readonly at: number;
  }

  test("of random points, restarts, files, rules and deaths", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { minLength: 5, maxLength: 25 }),
        fc.array(rule, { maxLength: 3 }),
        fc.constantFrom("explicit" as const, "any" as const),
        async (acts, rules, restarts) => {
          const world = new World();
          try {
            const derive = Object.fromEntries(
              rules.map(({ kind, n }, i) => [
                kind === "expr" ? `made${i}` : `{tag}/made${i}`,
                kind === "expr" ? { expr: "a - b" } : { [kind]: n },
              ]),
            );
            const options = { ...asking({ derive }), restarts };
            world.backend.batchSize = 7;
            const seen: Seen[] = [];
            const starts: { at: number; step: number }[] = [];
            let [files, step, clock, at] = [0, 0, 1, 0];
            const name = () => `a/events.out.tfevents.${1_700_000_000 + files}.host.1.0`;
            world.logdir.write(name(), version(0));
            let back = () => {};
            for (const { kind, n } of [...acts, { kind: "sync", n: 0 } as Act]) {
              world.backend.fault = () => undefined;
              if (kind === "points") {
                for (let i = 0; i < n; i++) {
                  for (const tag of n % 3 === 0 ? ["a"] : ["a", "b"]) {
                    const value = ((step * 7 + n * 3 + files) % 16) / 4;
                    const point = { tag, step, value, wallTime: WALL_TIME + clock++ };
                    seen.push({ point, at: at++ });
                    world.logdir.append(name(), records([point]));
                  }
                  step++;
                }
              } else if (kind === "restart" || kind === "new file") {
                files++;
                if (kind === "restart") {
                  step = Math.max(0, step - n);
                  starts.push({ at: at++, step });
                }
                const start = kind === "restart" ? [eventFile(sessionStart(step))] : [];
                world.logdir.write(name(), Buffer.concat([version(clock++), ...start]));
              } else if (kind === "lose") world.loseState();
              else if (kind === "old state") {
                back();
                back = world.keepState();
              } else {
                const when = (["before", "between", "after"] as const)[n % 3] as "before";
                if (kind === "fault") world.backend.fault = (call) => (call.n === 1 + (n % 5) ? { when } : undefined);
                await world.sync(options);
              }
            }
            const expected = (obsoleteToo: boolean) => {
              const made: string[] = [];
              for (const { point, at } of seen) {
                /** What takes back a point that was written before it, under the policy. */
                const takers = restarts === "explicit" ? starts : seen.map((each) => ({ at: each.at, ...each.point }));
                const isTaken = (old: Seen, until: number) =>
                  takers.some(
                    (taker) =>
                      taker.at > old.at &&
                      taker.at <= until &&
                      taker.step <= old.point.step &&
                      (!("tag" in taker) || taker.tag === old.point.tag),
                  );
                const isObsolete = isTaken({ point, at }, Infinity);
                if (isObsolete && !obsoleteToo) continue;
                const counts = (other: Seen) => other.at <= at && !isTaken(other, at);
                const line = seen
                  .filter((other) => other.point.tag === point.tag && counts(other))
                  .map(({ point: p }) => p.value);
                const put = (tag: string, value: number) =>
                  made.push(`${tag} ${point.step} ${point.wallTime} ${value}`);
                put(point.tag, point.value);
                for (const [i, { kind, n }] of rules.entries()) {
                  const window = line.slice(-n);
                  const tag = `${point.tag}/made${i}`;
                  if (kind === "mean" && line.length >= n) put(tag, window.reduce((sum, value) => sum + value) / n);
                  if (kind === "min" && line.length >= n) put(tag, Math.min(...window));
                  if (kind === "max" && line.length >= n) put(tag, Math.max(...window));
                  if (kind === "ema") {
                    const sum = line.reduce((before, value) => before * n + (1 - n) * value, 0);
                    put(tag, sum / (1 - n ** line.length));
                  }
                  if (kind === "expr" && point.tag === "b") {
                    const first = seen.find((other) => other.at === at - 1) as Seen;
                    put(`made${i}`, first.point.value - point.value);
                  }
                }
              }
              return made;
            };
            if (seen.length === 0) return;
            const there = new Set(world.backend.run("a").points.keys());
            for (const point of expected(false)) expect(there).toContain(point);
            const may = new Set(expected(true));
            for (const point of there) expect(may).toContain(point);
          } finally {
            world.end();
          }
        },
      ),
      { numRuns: Number(process.env["TRACELET_TEST_RUNS"] ?? 30) },
    );
  });
});

describe("an expression over two directories whose files write steps again", () => {
  const OVER_BOTH = { ...asking({ derive: { gap: { expr: "{val/x} - {train/x}" } } }), group: "parent" as const };
  const rows = (from: number, values: readonly number[], time: number): Point[] =>
    values.map((value, i) => ({ tag: "x", step: from + i, value, wallTime: WALL_TIME + time + i }));
  const second = (member: string) => `r/${member}/events.out.tfevents.9999999999.host.2.0`;

  test.each(["at once", "as it grows", "with its state lost"])(
    "the first values are joined, then the second: %s",
    async (how) => {
      const world = World.create();
      const look = async () => {
        if (how === "at once") return;
        await world.sync(OVER_BOTH);
        if (how === "with its state lost") world.loseState();
      };
      world.logdir.write("r/train", fileOf(rows(0, [1, 1], 0)));
      world.logdir.write("r/val", fileOf(rows(0, [10, 10], 1), 1));
      await look();
      world.logdir.write(second("train"), fileOf(rows(1, [2, 2], 20), 20));
      await look();
      world.logdir.write(second("val"), fileOf(rows(1, [20, 20], 21), 21));
      await world.sync(OVER_BOTH);
      expect(metric(world.backend.run("r"), "gap").sort(([a, x], [b, y]) => a - b || x - y)).toEqual([
        [0, 9],
        [1, 9],
        [1, 18],
        [2, 18],
      ]);
    },
  );

  const act = fc.record({
    kind: fc.constantFrom("train", "train", "val", "val", "file", "again", "restart", "sync", "lose"),
    n: fc.nat(5),
  });

  test("random points, files, restarts of both, and losses", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(act, { minLength: 5, maxLength: 25 }),
        fc.constantFrom("explicit" as const, "keep" as const),
        async (acts, restarts) => {
          const world = new World();
          try {
            const options = { ...OVER_BOTH, restarts };
            const members = ["train", "val"] as const;
            const written = { train: [] as Point[], val: [] as Point[] };
            const next = { train: 0, val: 0 };
            let [clock, files] = [1, 0];
            const name = { train: "", val: "" };
            const begin = (member: "train" | "val", ...records: Buffer[]) => {
              name[member] = `r/${member}/events.out.tfevents.${1_700_000_000 + ++files}.host.1.0`;
              world.logdir.write(name[member], Buffer.concat([version(clock++), ...records]));
            };
            for (const member of members) begin(member);
            for (const { kind, n } of [...acts, { kind: "sync", n: 0 }]) {
              if (kind === "train" || kind === "val") {
                const points = rows(
                  next[kind],
                  Array.from({ length: n }, (_, i) => (clock * 8 + i) / 4),
                  clock,
                );
                clock += n;
                next[kind] += n;
                written[kind].push(...points);
                world.logdir.append(name[kind], records(points));
              } else if (kind === "file" || kind === "again") {
                const member = n % 2 === 0 ? "train" : "val";
                if (kind === "again") next[member] = Math.max(0, next[member] - n);
                begin(member);
              } else if (kind === "restart") {
                const step = Math.max(0, Math.min(next.train, next.val) - n);
                for (const member of members) {
                  next[member] = step;
                  begin(member, eventFile(sessionStart(step)));
                  if (restarts === "explicit") written[member] = written[member].filter((point) => point.step < step);
                }
              } else if (kind === "lose") world.loseState();
              else await world.sync(options);
            }
            const expected: string[] = [];
            for (const step of new Set(written.train.map((point) => point.step))) {
              const [train, val] = members.map((member) => written[member].filter((point) => point.step === step));
              for (const [k, a] of (train as Point[]).entries()) {
                const b = val?.[k];
                if (b !== undefined) expected.push(`${step} ${b.value - a.value}`);
              }
            }
            const isRestarted = restarts === "explicit" && acts.some(({ kind }) => kind === "restart");
            const run = world.backend.runs.some(({ name }) => name === "r")
              ? metric(world.backend.run("r"), "gap")
              : [];
            const there = run.map((point) => point.join(" ")).sort();
            // What was derived before a restart took it back stays.
            if (isRestarted) expect(there).toEqual(expect.arrayContaining(expected));
            else expect(there).toEqual(expected.sort());
          } finally {
            world.end();
          }
        },
      ),
      { numRuns: Number(process.env["TRACELET_TEST_RUNS"] ?? 30) },
    );
  });
});

/** An MLflow's database as a destination. */
class Mlflow {
  readonly #world: World;
  readonly #file: string;

  constructor(world: World) {
    this.#world = world;
    this.#file = path.join(world.root, "mlflow.db");
  }

  async sync(options: Partial<SyncOptions>): Promise<SyncResult> {
    const store = SqliteStore.open(this.#file);
    const backend = new MlflowBackend({ store, ...MLFLOW, keepsMarks: true, giveUpAfterMs: 1000 });
    try {
      return await this.#world.sync({ backend, ...options });
    } finally {
      await backend.close();
    }
  }

  async verify(options: Pick<SyncOptions, "transform">): Promise<VerifiedRun> {
    const store = SqliteStore.open(this.#file, { readOnly: true });
    try {
      const { runs } = await verify({
        ...MLFLOW,
        ...options,
        store,
        logdirs: [this.#world.logdir.root],
        group: "run",
        restarts: "explicit",
        attachSource: false,
        maxRecordBytes: 1 << 20,
        wantsRun: () => true,
        concurrency: 1,
        signal: new AbortController().signal,
      });
      return runs[0] as VerifiedRun;
    } finally {
      await store.close();
    }
  }

  rows(sql: string): readonly Record<string, unknown>[] {
    const database = openDatabase(this.#file, { busyTimeout: 1000 });
    try {
      return database.prepare(sql).all();
    } finally {
      database.close();
    }
  }
}

const MLFLOW = { experiment: "e", version: "1.2.3", maxArtifactBytes: undefined };

test("verify computes the same: nothing missing, nothing extra, and what is not as computed is found", async () => {
  const world = World.create();
  const mlflow = new Mlflow(world);
  world.logdir.write("a", fileOf(interleaved(noisy("loss", 0, 20), noisy("acc", 0, 20))));
  const metrics = metricRulesOf({ ...FIVE, best: ["*"], rename: ["acc=accuracy"], metricTypes: {} });
  const transform = { ...ALL, metrics };
  await mlflow.sync({ transform: ALL });
  await mlflow.sync({ transform });
  expect((await mlflow.verify({ transform })).outcome).toBe("equal");
  world.logdir.append("a", records(interleaved(noisy("loss", 20, 25), noisy("acc", 20, 25))));
  expect((await mlflow.verify({ transform })).findings.counts.points.missing).toBeGreaterThanOrEqual(15);
  await mlflow.sync({ transform });
  const { outcome } = await mlflow.verify({ transform });
  expect(outcome).toBe("equal");
  const keys = mlflow.rows("SELECT key, count(*) AS n FROM metrics WHERE key NOT LIKE 'best/%' GROUP BY key");
  expect(Object.fromEntries(keys.map(({ key, n }) => [key, n]))).toEqual({
    acc: 20,
    accuracy: 25,
    loss: 25,
    loss_smoothed: 21,
  });
});

describe("types", () => {
  test.each([
    ["train_loss", "loss", "min"],
    ["Loss/Train/CrossEntropy", "loss", "min"],
    ["valLoss", "loss", "min"],
    ["val/accuracy", "accuracy", "max"],
    ["metrics/train_acc", "accuracy", "max"],
    ["eval/f1-score", "score", "max"],
    ["rollout/ep_rew_mean", undefined, undefined],
    ["Learning_Rate", "learning_rate", undefined],
    ["lr-Adam/pg1", "learning_rate", undefined],
    ["test_rmse", "error", "min"],
    ["grad_norm", "gradient", undefined],
    ["time/fps", "throughput", undefined],
    ["epoch", undefined, undefined],
    ["lossless", undefined, undefined],
  ])("%s is guessed to be %s", (tag, type, goal) => {
    expect(guessType(tag)?.type).toBe(type);
    expect(guessType(tag)?.goal).toBe(goal);
  });

  test("travel with the metric, by the user's rules or guessed; a record of the training says it, too", async () => {
    const world = World.create();
    const record = (tag: string, type: string) =>
      eventFile(
        ownRecord("metric", JSON.stringify({ tag, type, metadata: { unit: "m" } }), { tag: `tracelet/metric/${tag}` }),
      );
    const written = interleaved(curve("a", 0, 3), curve("b", 0, 3), curve("val/loss", 0, 3), curve("val/acc", 0, 3));
    const told = [record("b", "distance"), record("val/acc", "")];
    world.logdir.write("r", Buffer.concat([version(), records(written), ...told]));
    const metrics = metricRulesOf({
      metricTypes: { a: { type: "reward", goal: "max" } },
      rename: ["b=c"],
      best: ["a", "b"],
    });
    const mlflow = new Mlflow(world);
    const result = await mlflow.sync({ transform: { ...ALL, metrics } });
    const tags = mlflow.rows("SELECT key, value FROM tags WHERE key LIKE 'tracelet.metric.%' ORDER BY key");
    expect(tags.map(({ key, value }) => [key, JSON.parse(String(value))])).toEqual([
      ["tracelet.metric.a", { metric: "a", type: "reward", goal: "max" }],
      ["tracelet.metric.c", { metric: "c", type: "distance", metadata: { unit: "m" } }],
      ["tracelet.metric.val/acc", { metric: "val/acc", type: "accuracy", goal: "max", metadata: { unit: "m" } }],
      ["tracelet.metric.val/loss", { metric: "val/loss", type: "loss", goal: "min" }],
    ]);
    expect(only(result).notes).toContainEqual({ code: "no-goal", message: expect.stringContaining('"b"') });
  });
});
