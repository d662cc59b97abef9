/** What happens between a logdir, a destination and the state, told as scripts of the world. */
import path from "node:path";
import { describe, expect, test } from "vitest";
import { TraceletError } from "../../src/errors.ts";
import { discover } from "../../src/reader/discover.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { event, eventFile, imageEvent, record, textEvent, WALL_TIME } from "../support/event-writer.ts";
import { EVENT_FILE } from "../support/logdirs.ts";
import type { Call } from "../support/memory-backend.ts";
import { pointText } from "../support/memory-backend.ts";
import { readFiles, type ScalarValue } from "../support/read-values.ts";
import {
  codes,
  curve,
  expectPoints,
  fileOf,
  interleaved,
  only,
  outcomes,
  records,
  scalarsOf,
  sentAgain,
  version,
  World,
} from "./world.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const methods = (calls: readonly Call[]) => calls.map(({ method }) => method);

describe("the plain way", () => {
  test("the first sync sends everything, and says how the run ended", async () => {
    const world = World.create();
    const points = interleaved(curve("loss", 0, 30), curve("accuracy", 0, 30));
    world.logdir.write("train", fileOf(points));
    const run = only(await world.sync());
    expect(run).toMatchObject({
      name: "train",
      outcome: "sent",
      remoteId: "id-1",
      notes: [],
      problems: [],
      losses: [],
    });
    expect(run.tally.kinds.get("scalars")).toMatchObject({ read: 60, sent: 60, failed: 0 });
    const remote = world.backend.run("train");
    expectPoints(remote, points);
    expect(remote).toMatchObject({ status: "finished", startTime: WALL_TIME, endTime: WALL_TIME + 29 });
  });

  test("every fixture's scalars arrive as the reader reads them", async () => {
    for (const name of ["torch", "tf1", "tf2", "tensorboardx", "lightning", "odd", "example"]) {
      const world = World.create();
      const logdir = path.join(FIXTURES, name, "runs");
      await world.sync({ logdirs: [logdir], group: "none", restarts: "keep" });
      for (const run of discover(logdir).runs) {
        const values = (await readFiles(run)).flatMap((file) => file.values);
        if (values.length === 0) continue;
        const scalars = values.filter((value): value is ScalarValue => value.kind === "scalars");
        const expected = scalars.map(({ tag, step, wallTime, value }) => pointText(tag, step, wallTime, value));
        const remote = world.backend.run(run.name === "." ? "runs" : run.name);
        expect([...remote.points.keys()].sort()).toEqual([...new Set(expected)].sort());
      }
    }
  });

  test("nothing new: the destination is not called at all", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("loss", 0, 10)));
    world.logdir.write("b/c", fileOf(curve("loss", 0, 10), 1));
    await world.sync();
    const result = await world.sync();
    expect(outcomes(result)).toEqual({ a: "unchanged", "b/c": "unchanged" });
    expect(world.backend.calls).toEqual([]);
  });

  test("growth: only what is new is sent", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.append("train", records(curve("loss", 10, 14)));
    const result = await world.sync();
    expect(scalarsOf(result)).toMatchObject({ read: 4, sent: 4 });
    expect(methods(world.backend.calls)).toEqual(["open", "write", "finish"]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 14));
    expect(sentAgain(world.backend.run("train"))).toBe(0);
  });

  test("a record cut anywhere at the end waits, and is sent when it is completed", async () => {
    const last = records(curve("loss", 10, 11));
    for (let cut = 1; cut < last.length; cut++) {
      const world = World.create();
      world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 10)), last.subarray(0, cut)]));
      const first = only(await world.sync());
      expect(first).toMatchObject({ outcome: "sent", losses: [], waiting: [{ state: "incomplete" }] });
      expect(first.waiting[0]).toMatchObject({ end: world.logdir.size("train") });
      world.logdir.append("train", last.subarray(cut));
      const second = await world.sync();
      expect(scalarsOf(second)).toMatchObject({ read: 1, sent: 1 });
      expect(only(second).waiting).toEqual([]);
      expectPoints(world.backend.run("train"), curve("loss", 0, 11));
    }
  });

  test("zeros at the end, as a preallocating file system leaves them, are filled in later", async () => {
    const world = World.create();
    const whole = fileOf(curve("loss", 0, 10));
    const cut = fileOf(curve("loss", 0, 6)).length;
    world.logdir.write("train", Buffer.concat([whole.subarray(0, cut), Buffer.alloc(whole.length - cut)]));
    const first = only(await world.sync());
    expect(first).toMatchObject({ losses: [], waiting: [{ state: "zeros", start: cut }] });
    world.logdir.write("train", whole);
    await world.sync();
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
    expect(sentAgain(world.backend.run("train"))).toBe(0);
  });

  test("a new file in a known run goes into the same remote run", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 10)));
    await world.sync();
    world.logdir.write("train/tfevents.2", fileOf(curve("loss", 10, 20), 1));
    const result = await world.sync();
    expect(scalarsOf(result)).toMatchObject({ read: 10, sent: 10 });
    expectPoints(world.backend.run("train"), curve("loss", 0, 20));
  });

  test("growth of a run's first file goes on beside its second", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 5)));
    world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 5), 1));
    await world.sync();
    world.logdir.append("train/tfevents.1", records(curve("a", 5, 8)));
    world.logdir.append("train/tfevents.2", records(curve("b", 5, 8)));
    expect(scalarsOf(await world.sync())).toMatchObject({ read: 6, sent: 6 });
    expectPoints(world.backend.run("train"), [...curve("a", 0, 8), ...curve("b", 0, 8)]);
  });

  test("several files of one run fill one batch", async () => {
    const world = World.create();
    for (let i = 0; i < 5; i++) world.logdir.write(`train/tfevents.${i}`, fileOf(curve(`loss ${i}`, 0, 10), i));
    await world.sync();
    expect(world.backend.batches).toEqual([50]);
  });

  test("batches are as large as the destination wants them", async () => {
    const world = World.create();
    world.backend.batchSize = 7;
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 20)));
    world.logdir.write("train/tfevents.2", fileOf(curve("accuracy", 0, 5), 1));
    await world.sync();
    expect(world.backend.batches).toEqual([7, 7, 7, 4]);
  });

  test("a run without values is empty, and becomes a run when it has some", async () => {
    const world = World.create();
    world.logdir.write("train", version());
    world.logdir.write("nothing", Buffer.alloc(0));
    expect(outcomes(await world.sync())).toEqual({ nothing: "empty", train: "empty" });
    expect(world.backend.calls).toEqual([]);
    world.logdir.append("train", records(curve("loss", 0, 3)));
    expect(outcomes(await world.sync())).toEqual({ nothing: "empty", train: "sent" });
    expectPoints(world.backend.run("train"), curve("loss", 0, 3));
  });

  test("a run beside its files without values stays unchanged without a call", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 3)));
    world.logdir.write("train/tfevents.2", version(1));
    world.logdir.write("train/tfevents.3", Buffer.alloc(0));
    await world.sync();
    const again = only(await world.sync());
    expect(again).toMatchObject({ outcome: "unchanged", notes: [] });
    expect(world.backend.calls).toEqual([]);
  });

  test("growth without values makes no call", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 3)));
    await world.sync();
    world.logdir.append("train", eventFile(event({ wallTime: WALL_TIME, logMessage: { message: "hello" } })));
    expect(only(await world.sync()).outcome).toBe("unchanged");
    expect(world.backend.calls).toEqual([]);
  });

  test("the logdir itself as a run, and a single file as a logdir, are named by their directory", async () => {
    const world = World.create();
    world.logdir.write(`./${EVENT_FILE}`, fileOf(curve("loss", 0, 3)));
    await world.sync();
    expect(world.backend.run("runs").points.size).toBe(3);
    await world.sync({ logdirs: [path.join(world.logdir.root, EVENT_FILE)] });
    expect(world.backend.runs).toHaveLength(1);
    expect(world.backend.calls).toEqual([]);
  });

  test("hyperparameter sessions decide how a run ended", async () => {
    const session = (content: object) =>
      event({
        wallTime: WALL_TIME,
        summary: { value: [{ tag: "_hparams_/x", metadata: { pluginData: { pluginName: "hparams", content } } }] },
      });
    // HParamsPluginData { session_end_info: { status: FAILURE } } and { session_start_info: {} }.
    const end = session(Buffer.from([0x22, 0x02, 0x08, 0x02]));
    const start = session(Buffer.from([0x1a, 0x00]));
    const world = World.create();
    world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 3)), record(end)]));
    await world.sync();
    expect(world.backend.run("train").status).toBe("failed");
    world.logdir.append("train", records(curve("loss", 3, 4)));
    await world.sync();
    expect(world.backend.run("train").status).toBe("failed");
    world.logdir.append("train", record(start));
    await world.sync();
    expect(world.backend.run("train").status).toBe("finished");
  });

  test("a failed session stays failed when the end of its sync was lost", async () => {
    const content = Buffer.from([0x22, 0x02, 0x08, 0x02]);
    const metadata = { pluginData: { pluginName: "hparams", content } };
    const end = event({ wallTime: WALL_TIME, summary: { value: [{ tag: "_hparams_/session_end_info", metadata }] } });
    for (const stateToo of [false, true]) {
      const world = World.create();
      world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 3)), record(end)]));
      world.backend.fault = ({ method }) => (method === "finish" ? { when: "before" } : undefined);
      await world.sync();
      world.backend.fault = () => undefined;
      if (stateToo) world.loseState();
      await world.sync();
      expect(world.backend.run("train").status).toBe("failed");
    }
  });
});

describe("refusals", () => {
  test("one run refused does not stop the others, and is tried again", async () => {
    const world = World.create();
    for (const name of ["a", "b", "c"]) world.logdir.write(name, fileOf(curve(name, 0, 5)));
    const error = new TraceletError("rejected", "no");
    world.backend.fault = ({ method, run }) =>
      method === "write" && run === "b" ? { when: "before", error } : undefined;
    const result = await world.sync();
    expect(outcomes(result)).toEqual({ a: "sent", b: "failed", c: "sent" });
    expect(result.error).toBeUndefined();
    expect(result.runs[1]).toMatchObject({ error });
    expect(scalarsOf(result)).toMatchObject({ read: 15, sent: 10, failed: 5 });
    world.backend.fault = () => undefined;
    expect(outcomes(await world.sync())).toEqual({ a: "unchanged", b: "sent", c: "unchanged" });
    expectPoints(world.backend.run("b"), curve("b", 0, 5));
  });

  test.each(["auth", "unreachable"] as const)("%s ends all", async (code) => {
    const world = World.create();
    for (const name of ["a", "b", "c"]) world.logdir.write(name, fileOf(curve(name, 0, 5)));
    const error = new TraceletError(code, "no");
    world.backend.fault = ({ run }) => (run === "b" ? { when: "before", error } : undefined);
    const result = await world.sync({ concurrency: 1 });
    expect(outcomes(result)).toEqual({ a: "sent", b: "failed" });
    expect(result.error).toBe(error);
    expect(world.backend.runs.map(({ name }) => name)).toEqual(["a"]);
  });

  test("what is no TraceletError is thrown, and the state stays usable", async () => {
    const world = World.create();
    world.logdir.write("a", fileOf(curve("a", 0, 5)));
    world.logdir.write("b", fileOf(curve("b", 0, 5)));
    world.backend.fault = ({ method }) =>
      method === "write" ? { when: "after", error: new TypeError("a bug") } : undefined;
    await expect(world.sync()).rejects.toThrow("a bug");
    world.backend.fault = () => undefined;
    expect(outcomes(await world.sync())).toEqual({ a: "sent", b: "sent" });
    expectPoints(world.backend.run("b"), curve("b", 0, 5));
  });

  test("a state that cannot be written any more ends all; what was sent is not lost", async () => {
    const world = World.create();
    world.backend.batchSize = 3;
    for (const name of ["a", "b"]) world.logdir.write(name, fileOf(curve(name, 0, 10)));
    const real = Checkpoints.open(world.stateDir, "memory");
    const save = () => {
      throw new TraceletError("state", "the disk is full");
    };
    const checkpoints = new Proxy(real, {
      get(target, name) {
        const value: unknown = name === "save" ? save : Reflect.get(target, name);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    const result = await world.sync({ checkpoints, concurrency: 1 });
    real.close();
    expect(result.error).toMatchObject({ code: "state" });
    expect(outcomes(result)).toEqual({ a: "failed" });
    expect(outcomes(await world.sync())).toEqual({ a: "sent", b: "sent" });
    expectPoints(world.backend.run("a"), curve("a", 0, 10));
    expect(sentAgain(world.backend.run("a"))).toBe(0);
  });

  test("a missing logdir", async () => {
    const world = World.create();
    const logdirs = [path.join(world.root, "nowhere")];
    await expect(world.sync({ logdirs })).rejects.toMatchObject({
      code: "logdir",
      message: expect.stringContaining("nowhere"),
    });
  });
});

describe("being asked to stop", () => {
  test("stops behind the batch under way, counts what was read ahead, and goes on later", async () => {
    for (let n = 1; n < 10; n++) {
      const world = World.create();
      world.backend.batchSize = 5;
      world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 13)));
      world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 13), 1));
      const stop = new AbortController();
      world.backend.fault = (call) => {
        if (call.n === n) stop.abort(new TraceletError("interrupted", "interrupted"));
        return undefined;
      };
      const first = await world.sync({ signal: stop.signal });
      if (!first.interrupted) break;
      expect(world.backend.calls.length).toBeLessThanOrEqual(n + 1);
      world.backend.fault = () => undefined;
      const second = await world.sync();
      expect(codes(second)).toEqual([]);
      expectPoints(world.backend.run("train"), [...curve("a", 0, 13), ...curve("b", 0, 13)]);
      expect(sentAgain(world.backend.run("train"))).toBe(0);
    }
  });

  test("draws no pages and gives no run an end any more; the next sync does", async () => {
    const world = World.create();
    const text = eventFile(...[0, 1, 2].map((step) => textEvent("note", step, "words")));
    world.logdir.write("train", Buffer.concat([version(), text]));
    const stop = new AbortController();
    world.backend.fault = ({ method }) => {
      if (method === "write") stop.abort(new TraceletError("interrupted", "interrupted"));
      return undefined;
    };
    const first = await world.sync({ signal: stop.signal });
    expect([first.interrupted, first.left?.runs, only(first).outcome]).toEqual([true, 1, "interrupted"]);
    expect([world.backend.pages, world.backend.run("train").status]).toEqual([new Set(), "running"]);
    world.backend.fault = () => undefined;
    expect((await world.sync()).left).toBeUndefined();
    expect([world.backend.pages, world.backend.run("train").status]).toEqual([new Set(["text note"]), "finished"]);
    expect(sentAgain(world.backend.run("train"))).toBe(0);
  });

  test("ends behind the first thousand of many small images, which are not sent again", async () => {
    const world = World.create();
    const images = Array.from({ length: 2500 }, (_, step) => imageEvent("sample", step, new Uint8Array([1])));
    world.logdir.write("train", Buffer.concat([version(), eventFile(...images)]));
    const stop = new AbortController();
    world.backend.fault = ({ method }) => {
      if (method === "write") stop.abort(new TraceletError("interrupted", "interrupted"));
      return undefined;
    };
    await world.sync({ signal: stop.signal });
    expect(world.backend.run("train").data.size).toBe(1024);
    world.backend.fault = () => undefined;
    await world.sync();
    const counts = [...world.backend.run("train").data.values()];
    expect([counts.length, new Set(counts)]).toEqual([2500, new Set([1])]);
  });

  test("returns when its time is over, whatever is still under way, and says what is left", async () => {
    const world = World.create();
    world.backend.batchSize = 5;
    world.logdir.write("a", fileOf(curve("loss", 0, 50)));
    world.logdir.write("b", fileOf(curve("loss", 0, 50), 1));
    const [stop, over] = [new AbortController(), new AbortController()];
    const never = new Promise<never>(() => {});
    const { write } = world.backend;
    world.backend.write = async function (run, batch) {
      if (world.backend.batches.length < 3) return write.call(world.backend, run, batch);
      stop.abort(new TraceletError("interrupted", "interrupted"));
      over.abort();
      return never;
    };
    const result = await world.sync({ signal: stop.signal, over: over.signal, concurrency: 1 });
    expect(result).toMatchObject({ interrupted: true, runs: [], left: { runs: 2 } });
    const size = world.logdir.size("a") + world.logdir.size("b");
    expect(result.left?.bytes).toBeLessThan(size);
    expect(result.left?.bytes).toBeGreaterThan(size / 2);
    world.backend.write = write;
    await world.sync();
    for (const name of ["a", "b"]) expectPoints(world.backend.run(name), curve("loss", 0, 50));
  });

  test("at any moment: what was read and not sent any more is counted as such", async () => {
    const skipped = new Set<number>();
    for (let moment = 1; moment < 40; moment++) {
      const world = World.create();
      world.backend.batchSize = 5;
      world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 13)));
      world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 13), 1));
      let asked = 0;
      const signal = new AbortController().signal;
      Object.defineProperty(signal, "aborted", { get: () => ++asked >= moment });
      const { read, sent, skipped: reasons } = scalarsOf(await world.sync({ signal }));
      expect(sent + (reasons["interrupted"] ?? 0)).toBe(read);
      skipped.add(reasons["interrupted"] ?? 0);
    }
    expect(skipped).toContain(3);
  });

  test("a batch that the stop cuts off is interrupted, not failed", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    const stop = new AbortController();
    world.backend.fault = ({ method }) => {
      if (method !== "write") return undefined;
      stop.abort();
      return { when: "before" };
    };
    const result = await world.sync({ signal: stop.signal });
    expect(only(result)).toMatchObject({ outcome: "interrupted", error: undefined });
    expect(scalarsOf(result)).toEqual({ read: 5, sent: 0, failed: 0, skipped: { interrupted: 5 } });
  });

  test("asked before it begins, it does nothing", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    const result = await world.sync({ signal: AbortSignal.abort() });
    expect(result).toMatchObject({ runs: [], interrupted: true });
    expect(world.backend.calls).toEqual([]);
  });
});
