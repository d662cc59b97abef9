/** Several destinations at once: none holds another up, and each catches up alone. */
import path from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { TraceletError } from "../../src/errors.ts";
import type { Backend } from "../../src/sync/backend.ts";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import { syncAll } from "../../src/sync/engine/sync-all.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { watchAll } from "../../src/sync/engine/watch.ts";
import type { WatchEvent, WatchStatus } from "../../src/sync/engine/watch-status.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { localSource } from "../../src/sync/tree/local-source.ts";
import type { Source } from "../../src/sync/tree/source.ts";
import { AppendOnlyBackend, type AppendOnlyRun } from "../support/append-only-backend.ts";
import { MemoryBackend } from "../support/memory-backend.ts";
import { curve, expectPoints, expectToAddUp, fileOf, outcomes, records, sentAgain, World } from "./world.ts";

const PATIENCE = { timeout: 120_000, interval: 10 };

/** What the user asked for, whatever the destination. */
const CHOICE: Omit<SyncOptions, "logdirs" | "backend" | "checkpoints" | "concurrency" | "signal"> = {
  group: "run",
  restarts: "explicit",
  transform: { includeTags: [], excludeTags: [], nan: "keep" },
  attachSource: false,
  maxRecordBytes: 1 << 20,
  wantsRun: () => true,
};

/** Destinations by name, and one state directory for all of them. */
class Several {
  readonly world: World;
  readonly backends: Readonly<Record<string, Backend>>;

  constructor(backends: Readonly<Record<string, Backend>>, world: World = World.create()) {
    this.backends = backends;
    this.world = world;
  }

  get stateDir(): string {
    return this.world.stateDir;
  }

  destinations(): { backend: Backend; checkpoints: Checkpoints; concurrency: number }[] {
    return Object.entries(this.backends).map(([name, backend]) => {
      const checkpoints = Checkpoints.open(this.stateDir, name);
      onTestFinished(() => checkpoints.close());
      return { backend, checkpoints, concurrency: 4 };
    });
  }

  /** As one process would. */
  start(options: Partial<SyncOptions> = {}): Promise<SyncResult>[] {
    const { signal } = new AbortController();
    const logdirs = [this.world.logdir.root];
    return syncAll({ ...CHOICE, logdirs, signal, ...options, destinations: this.destinations() });
  }

  async sync(): Promise<SyncResult[]> {
    const results = await Promise.all(this.start());
    for (const { runs } of results) runs.forEach(expectToAddUp);
    return results;
  }

  watch(source?: Source): {
    of: (name: string) => WatchStatus;
    events: Map<string, WatchEvent[]>;
    ended: Promise<boolean>[];
  } {
    const stop = new AbortController();
    const names = Object.keys(this.backends);
    const statuses = new Map<string, WatchStatus>();
    const events = new Map<string, WatchEvent[]>(["", ...names].map((name) => [name, []]));
    const destinations = this.destinations().map((destination, index) => {
      const name = names[index] as string;
      const onStart = (status: WatchStatus) => void statuses.set(name, status);
      return { ...destination, onStart, onEvent: (event: WatchEvent) => void events.get(name)?.push(event) };
    });
    const ended = watchAll({
      ...{ ...CHOICE, logdirs: [this.world.logdir.root], destinations, signal: stop.signal, ...(source && { source }) },
      ...{ flushIntervalMs: 20, idleTimeoutMs: 60_000, patienceMs: 60_000, events: true, pollMs: 50, rescanMs: 1000 },
      onEvent: (event) => void events.get("")?.push(event),
    });
    onTestFinished(async () => {
      stop.abort();
      await Promise.allSettled(ended);
    });
    return { of: (name) => statuses.get(name) as WatchStatus, events, ended };
  }
}

/** Of a destination that can only be appended to, as a keyed one tells them. */
function pointsOf(runs: readonly AppendOnlyRun[], name: string): readonly string[] {
  return runs.filter((run) => run.name === name).flatMap(({ points }) => points);
}

/** A destination of which no answer comes until it is let go on. */
function frozen(backend: Backend): { backend: Backend; thaw: () => void } {
  let thaw = () => {};
  const thawed = new Promise<void>((resolve) => (thaw = resolve));
  const proxy = new Proxy(backend, {
    get(target, name: keyof Backend) {
      const value = target[name];
      if (typeof value !== "function" || name === "location" || name === "close") return value;
      return async (...args: unknown[]) => {
        await thawed;
        return (value as (...all: unknown[]) => unknown).apply(target, args);
      };
    },
  });
  return { backend: proxy, thaw };
}

/** How often a tree is looked over, or watched. */
class CountingSource implements Source {
  discoveries = 0;
  watches = 0;
  readonly #source: Source;

  constructor(root: string) {
    this.#source = localSource([root]);
  }

  discover(): ReturnType<Source["discover"]> {
    this.discoveries++;
    return this.#source.discover();
  }

  watch(options: Parameters<Source["watch"]>[0]): ReturnType<Source["watch"]> {
    this.watches++;
    return this.#source.watch(options);
  }
}

describe("once", () => {
  test("all of them have the same points; what fails catches up alone", async () => {
    const [first, second, appended] = [new MemoryBackend(), new MemoryBackend(), [] as AppendOnlyRun[]];
    const several = new Several({ first, second, appended: new AppendOnlyBackend(appended) });
    const { logdir } = several.world;
    logdir.write("a", fileOf(curve("loss", 0, 2500)));
    logdir.write("b", fileOf(curve("loss", 0, 10)));
    second.fault = ({ n }) => (n > 3 ? { when: "after" } : undefined);
    const [one, two, three] = (await several.sync()) as [SyncResult, SyncResult, SyncResult];
    expect(outcomes(one)).toEqual({ a: "sent", b: "sent" });
    expect(outcomes(three)).toEqual({ a: "sent", b: "sent" });
    expect(two.error?.code).toBe("unreachable");
    expect(one.error).toBeUndefined();
    const sent = [...appended].map(({ points }) => points.length);
    expect(sent.sort((a, b) => a - b)).toEqual([10, 2500]);

    second.fault = () => undefined;
    first.calls.length = 0;
    const [again, caughtUp, third] = (await several.sync()) as [SyncResult, SyncResult, SyncResult];
    expect(outcomes(again)).toEqual({ a: "unchanged", b: "unchanged" });
    expect(outcomes(third)).toEqual({ a: "unchanged", b: "unchanged" });
    expect(first.calls).toEqual([]);
    expect(caughtUp.error).toBeUndefined();
    for (const backend of [first, second]) {
      expectPoints(backend.run("a"), curve("loss", 0, 2500));
      expectPoints(backend.run("b"), curve("loss", 0, 10));
    }
    expect([...pointsOf(appended, "a")].sort()).toEqual([...first.run("a").points.keys()].sort());
  });

  test("who answers is done while another does not answer", async () => {
    const [answers, silent] = [new MemoryBackend(), new MemoryBackend()];
    const { backend, thaw } = frozen(silent);
    const several = new Several({ silent: backend, answers });
    several.world.logdir.write("a", fileOf(curve("loss", 0, 100)));
    const [late, soon] = several.start() as [Promise<SyncResult>, Promise<SyncResult>];
    expect(outcomes(await soon)).toEqual({ a: "sent" });
    expectPoints(answers.run("a"), curve("loss", 0, 100));
    expect(silent.runs).toEqual([]);
    thaw();
    expect(outcomes(await late)).toEqual({ a: "sent" });
    expectPoints(silent.run("a"), curve("loss", 0, 100));
  });

  test("the logdirs are discovered once for all of them", async () => {
    const several = new Several({ one: new MemoryBackend(), two: new MemoryBackend(), three: new MemoryBackend() });
    several.world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    const source = new CountingSource(several.world.logdir.root);
    const results = await Promise.all(several.start({ source }));
    expect(results.map(outcomes)).toEqual([{ a: "sent" }, { a: "sent" }, { a: "sent" }]);
    expect([source.discoveries, source.watches]).toEqual([1, 0]);
  });

  test("what one refuses is counted there alone", async () => {
    const refused = new MemoryBackend();
    const taken = new MemoryBackend();
    refused.fault = ({ method, run }) =>
      method === "write" && run === "a" ? { when: "before", error: new TraceletError("rejected", "no") } : undefined;
    const several = new Several({ refused, taken });
    several.world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    several.world.logdir.write("b", fileOf(curve("loss", 0, 10)));
    const [one, two] = (await several.sync()) as [SyncResult, SyncResult];
    expect(outcomes(one)).toEqual({ a: "failed", b: "sent" });
    expect(outcomes(two)).toEqual({ a: "sent", b: "sent" });
  });

  test("a logdir that cannot be read ends it for all before anything is sent", async () => {
    const [one, two] = [new MemoryBackend(), new MemoryBackend()];
    const several = new Several({ one, two });
    const logdirs = [path.join(several.world.root, "nowhere")];
    const ends = await Promise.allSettled(several.start({ logdirs }));
    const rejected = { status: "rejected", reason: { code: "logdir" } };
    expect(ends).toMatchObject([rejected, rejected]);
    expect([...one.calls, ...two.calls]).toEqual([]);
  });
});

describe("watch", () => {
  test("one that is away from the start, and goes away later, catches up alone; nobody waits for it", async () => {
    const [steady, away] = [new MemoryBackend(), new MemoryBackend()];
    const several = new Several({ away, steady });
    const { logdir } = several.world;
    logdir.write("a", fileOf(curve("loss", 0, 5)));
    await several.sync();
    away.isAway = true;
    logdir.append("a", records(curve("loss", 5, 10)));
    const { of, events } = several.watch();
    await vi.waitFor(() => expectPoints(steady.run("a"), curve("loss", 0, 10)), PATIENCE);
    logdir.append("a", records(curve("loss", 10, 20)));
    logdir.write("b", fileOf(curve("loss", 0, 3)));
    await vi.waitFor(() => expectPoints(steady.run("a"), curve("loss", 0, 20)), PATIENCE);
    await vi.waitFor(() => expectPoints(steady.run("b"), curve("loss", 0, 3)), PATIENCE);
    await vi.waitFor(() => expect(of("away").obstacle).toBeDefined(), PATIENCE);
    expect(of("steady").obstacle).toBeUndefined();
    expect(of("away").isCaughtUp).toBe(false);
    expectPoints(away.run("a"), curve("loss", 0, 5));

    const { length } = steady.calls;
    away.isAway = false;
    await vi.waitFor(() => expectPoints(away.run("a"), curve("loss", 0, 20)), PATIENCE);
    await vi.waitFor(() => expectPoints(away.run("b"), curve("loss", 0, 3)), PATIENCE);
    await vi.waitFor(() => expect(of("away").isCaughtUp).toBe(true), PATIENCE);
    expect(steady.calls).toHaveLength(length);
    expect(sentAgain(away.run("a")) + sentAgain(steady.run("a"))).toBe(0);
    expect(events.get("steady")).toEqual([]);
    expect(events.get("away")?.map(({ level }) => level)).toEqual(["error", "info"]);
  });

  test("one that never answers, from its first survey on", async () => {
    const [answers, silent] = [new MemoryBackend(), new MemoryBackend()];
    const several = new Several({ silent, answers });
    const { logdir } = several.world;
    logdir.write("a", fileOf(curve("loss", 0, 5)));
    await several.sync();
    const { backend, thaw } = frozen(silent);
    const { of } = new Several({ silent: backend, answers }, several.world).watch();
    for (let step = 5; step < 30; step += 5) {
      logdir.append("a", records(curve("loss", step, step + 5)));
      await vi.waitFor(() => expectPoints(answers.run("a"), curve("loss", 0, step + 5)), PATIENCE);
    }
    logdir.remove("a");
    logdir.write("b", fileOf(curve("other", 0, 7), 2));
    await vi.waitFor(() => expectPoints(answers.run("b"), curve("other", 0, 7)), PATIENCE);
    expect(of("silent").runs).toBe(0);
    thaw();
    await vi.waitFor(() => expectPoints(silent.run("b"), curve("other", 0, 7)), PATIENCE);
    // Its file was gone before anybody could send the rest of it.
    expectPoints(silent.run("a"), curve("loss", 0, 5));
  });

  test("one that no waiting helps against ends alone", async () => {
    const [steady, broken] = [new MemoryBackend(), new MemoryBackend()];
    const several = new Several({ broken, steady });
    several.world.logdir.write("a", fileOf(curve("loss", 0, 5)));
    broken.fault = ({ method }) =>
      method === "write" ? { when: "before", error: new Error("a bug of the backend") } : undefined;
    const { ended } = several.watch();
    await expect(ended[0]).rejects.toThrow("a bug of the backend");
    several.world.logdir.append("a", records(curve("loss", 5, 10)));
    await vi.waitFor(() => expectPoints(steady.run("a"), curve("loss", 0, 10)), PATIENCE);
  });

  test("the tree is watched once for all of them", async () => {
    const [one, two] = [new MemoryBackend(), new MemoryBackend()];
    const several = new Several({ one, two });
    several.world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    const source = new CountingSource(several.world.logdir.root);
    several.watch(source);
    for (const backend of [one, two])
      await vi.waitFor(() => expectPoints(backend.run("a"), curve("loss", 0, 10)), PATIENCE);
    expect([source.discoveries, source.watches]).toEqual([0, 1]);
  });

  test("what concerns the logdirs is said once, not by each", async () => {
    const several = new Several({ one: new MemoryBackend(), two: new MemoryBackend() });
    several.world.logdir.remove(".");
    const { events } = several.watch();
    await vi.waitFor(() => expect(events.get("")).toHaveLength(1), PATIENCE);
    expect(events.get("")?.[0]?.message).toContain("does not exist, waiting for it");
    several.world.logdir.write("a", fileOf(curve("loss", 0, 5)));
    await vi.waitFor(() => expect(events.get("")).toHaveLength(2), PATIENCE);
    expect([events.get("one"), events.get("two")]).toEqual([[], []]);
  });
});
