/** What a sync leaves out on purpose is counted, value for value. */
import { writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { exitCode } from "../../src/cli/sync-report.ts";
import type { Kind } from "../../src/reader/datum.ts";
import type { Page } from "../../src/sync/backend.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import {
  event,
  eventFile,
  imageEvent,
  record,
  scalarEvent,
  sessionStart,
  textEvent,
  WALL_TIME,
} from "../support/event-writer.ts";
import { codes, curve, expectPoints, fileOf, interleaved, only, records, scalarsOf, version, World } from "./world.ts";

describe("what is left out is counted", () => {
  const restarted = eventFile(sessionStart(5));

  function restartedRun(world: World): void {
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 10)));
    world.logdir.write("train/tfevents.2", Buffer.concat([version(1), restarted, records(curve("loss", 5, 12))]));
  }

  test("restarts explicit: what a session start makes obsolete", async () => {
    const world = World.create();
    restartedRun(world);
    expect(scalarsOf(await world.sync())).toEqual({ read: 17, sent: 12, failed: 0, skipped: { obsolete: 5 } });
    expectPoints(world.backend.run("train"), curve("loss", 0, 12));
  });

  test("restarts explicit, with the start in an earlier sync", async () => {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("loss", 0, 4)));
    world.logdir.write("train/tfevents.2", Buffer.concat([version(1), restarted, records(curve("loss", 5, 12))]));
    await world.sync();
    // The first writer's last words, which its restart has made obsolete.
    world.logdir.append("train/tfevents.1", records(curve("loss", 4, 7)));
    expect(scalarsOf(await world.sync())).toEqual({ read: 3, sent: 1, failed: 0, skipped: { obsolete: 2 } });
    expectPoints(
      world.backend.run("train"),
      curve("loss", 0, 12).filter(({ step }) => step !== 12),
    );
  });

  test("restarts any: only strictly increasing steps", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf([...curve("loss", 0, 10), ...curve("loss", 7, 12), ...curve("other", 0, 3)]));
    const result = await world.sync({ restarts: "any" });
    expect(scalarsOf(result)).toEqual({ read: 18, sent: 15, failed: 0, skipped: { obsolete: 3 } });
  });

  test("restarts keep: everything", async () => {
    const world = World.create();
    restartedRun(world);
    expect(scalarsOf(await world.sync({ restarts: "keep" }))).toEqual({ read: 17, sent: 17, failed: 0, skipped: {} });
  });

  test("filters of tags and runs, and NaN", async () => {
    const world = World.create();
    const nan = eventFile(scalarEvent("train/loss", 99, Number.NaN), scalarEvent("train/loss", 100, Infinity));
    const points = interleaved(curve("train/loss", 0, 5), curve("train/lr", 0, 5), curve("eval/loss", 0, 5));
    world.logdir.write("a", Buffer.concat([fileOf(points), nan]));
    world.logdir.write("b", fileOf(points, 1));
    const result = await world.sync({
      transform: { includeTags: ["train/*"], excludeTags: ["*lr"], nan: "skip" },
      wantsRun: (name) => name === "a",
    });
    expect(result.excludedRuns).toBe(1);
    expect(scalarsOf(result)).toEqual({ read: 17, sent: 6, failed: 0, skipped: { excluded: 10, nan: 1 } });
    expect(world.backend.runs.map(({ name }) => name)).toEqual(["a"]);
  });

  test("batches that a filter empties again and again", async () => {
    const world = World.create();
    world.backend.batchSize = 4;
    world.logdir.write("train", fileOf([...curve("noise", 0, 50), ...curve("loss", 0, 3), ...curve("noise", 50, 90)]));
    const transform = { includeTags: ["loss"], excludeTags: [], nan: "keep" } as const;
    expect(scalarsOf(await world.sync({ transform }))).toEqual({
      read: 93,
      sent: 3,
      failed: 0,
      skipped: { excluded: 90 },
    });
    expect(world.backend.batches).toEqual([3]);
    expect(only(await world.sync({ transform })).outcome).toBe("unchanged");
  });

  test("kinds, of the files beside the event files too; taken in again they are sent", async () => {
    const world = World.create();
    const payloads = [textEvent("note", 1, "hello"), imageEvent("img", 1, Buffer.alloc(5))];
    world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 3)), eventFile(...payloads)]));
    world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\n"));
    writeFileSync(path.join(world.logdir.root, "train", "projector_config.pbtxt"), 'embeddings { tensor_name: "e" }');
    const ALL = { includeTags: [], excludeTags: [], nan: "keep" } as const;
    const excludeKinds = new Set<Kind>(["scalars", "text", "hparams", "embeddings"]);
    const { tally } = only(await world.sync({ transform: { ...ALL, excludeKinds } }));
    expect(
      Object.fromEntries([...tally.kinds].map(([kind, { skipped }]) => [kind, Object.fromEntries(skipped)])),
    ).toEqual({ scalars: { excluded: 3 }, text: { excluded: 1 }, images: {} });
    const run = world.backend.run("train");
    expect([run.points.size, [...run.data.keys()], run.hparams.size]).toEqual([0, ["images img 1"], 0]);
    expect(world.backend.pages).toEqual(new Set());
    expect(only(await world.sync({ transform: { ...ALL, excludeKinds } })).outcome).toBe("unchanged");
    await world.sync();
    expect([...run.hparams]).toEqual([["lr", 0.1]]);
  });

  test("steps of media, in each file for itself; a page shows those that were sent", async () => {
    const world = World.create();
    world.backend.batchSize = 3;
    const texts = (from: number, to: number) =>
      curve("loss", from, to).flatMap(({ step, value }) => [
        scalarEvent("loss", step, value),
        textEvent("note", step, `text of ${step}.`),
      ]);
    world.logdir.write("train/tfevents.1", Buffer.concat([version(), eventFile(...texts(0, 7))]));
    world.logdir.write("train/tfevents.2", Buffer.concat([version(1), eventFile(...texts(7, 10))]));
    const pages: Page[] = [];
    world.backend.attach = async (_run, all) => {
      for await (const page of all) pages.push(page);
      return [{ code: "oversize", message: "a page" }];
    };
    const transform = { includeTags: [], excludeTags: [], nan: "keep", every: 2, maxSteps: 3 } as const;
    const result = await world.sync({ transform });
    expect(scalarsOf(result)).toMatchObject({ read: 10, sent: 10 });
    const skipped = new Map([
      ["every", 4],
      ["max-steps", 1],
    ]);
    expect(only(result).tally.kinds.get("text")).toMatchObject({ read: 10, sent: 5, skipped });
    const kept = [0, 2, 4, 7, 9];
    expect([...world.backend.run("train").data.keys()]).toEqual(kept.map((step) => `text note ${step}`));
    expect(codes(result)).toEqual(["oversize"]);
    expect(pages).toHaveLength(1);
    const shown = curve("", 0, 10).filter(({ step }) => pages[0]?.html.includes(`text of ${step}.`));
    expect(shown.map(({ step }) => step)).toEqual(kept);
  });

  test("images that are too large, with one note a tag", async () => {
    const world = World.create();
    world.backend.batchSize = 2;
    const images = [4, 5, 6, 7].map((size) => imageEvent("img", size, Buffer.alloc(size)));
    world.logdir.write("train", Buffer.concat([version(), eventFile(...images, scalarEvent("loss", 1, 1), ...images)]));
    const lines: string[] = [];
    const result = await world.sync({ limits: { maxImageBytes: 5 }, trace: (line) => void lines.push(line) });
    const skipped = new Map([["max-image-size", 4]]);
    expect(only(result).tally.kinds.get("images")).toMatchObject({ read: 8, sent: 4, skipped });
    expect(codes(result)).toEqual(["oversize"]);
    expect([...world.backend.run("train").data.keys()]).toEqual(["images img 4", "images img 5"]);
    expect(lines.filter((line) => line.includes("skipped"))).toHaveLength(4);
  });

  test("a value that nobody can decode", async () => {
    const bad = event({
      wallTime: WALL_TIME,
      step: 1,
      summary: {
        // Bytes that are no floats.
        value: [
          {
            tag: "i",
            tensor: { dtype: "DT_FLOAT", tensorShape: { dim: [{ size: 2 }] }, tensorContent: Buffer.alloc(3) },
          },
        ],
      },
    });
    const world = World.create();
    world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 2)), record(bad)]));
    const { kinds } = only(await world.sync()).tally;
    expect(kinds.get("unreadable")).toMatchObject({ read: 1, sent: 0, skipped: new Map([["undecodable", 1]]) });
  });

  test("values that a writer has left empty are said once, for what they are", async () => {
    const empty = (tag: string, step: number, metadata?: object) =>
      record(event({ wallTime: WALL_TIME, step, summary: { value: [{ tag, ...(metadata && { metadata }) }] } }));
    const world = World.create();
    // As torch's add_video writes them without moviepy; and of plugins that would have a tensor.
    const plugins = ["text", "images", "scalars", "mine"].map((pluginName) => ({ pluginData: { pluginName } }));
    const more = plugins.map((metadata, n) => empty(`p${n}`, 1, metadata));
    world.logdir.write("train", Buffer.concat([fileOf(curve("loss", 0, 2)), empty("video", 7), ...more]));
    const first = only(await world.sync());
    expect(first.tally.kinds.get("unreadable")).toMatchObject({ read: 5, skipped: new Map([["empty", 5]]) });
    expect(first.notes).toMatchObject([
      { code: "without-content", message: expect.stringContaining('first "video" at step 7') },
    ]);
    expect([first.losses, first.problems]).toEqual([[], []]);
    expect(only(await world.sync())).toMatchObject({ outcome: "unchanged", notes: [] });
    expectPoints(world.backend.run("train"), curve("loss", 0, 2));
  });

  test("torch's add_video without moviepy is no damage", async () => {
    const world = World.create();
    const { runs } = await world.sync({ logdirs: [path.join(import.meta.dirname, "../../fixtures/torch/runs/media")] });
    const noted = runs.flatMap(({ notes }) => notes.filter(({ code }) => code === "without-content"));
    expect(noted).toMatchObject([{ message: expect.stringContaining('first "video/by torch" at step 1 ') }]);
    expect(exitCode({ runs, problems: [], error: undefined } as unknown as SyncResult)).toBe(0);
  });

  test.each(["the state is there", "the state is lost"])("steps are counted on where %s", async (state) => {
    const transform = { includeTags: [], excludeTags: [], nan: "keep", every: 2, maxSteps: 4 } as const;
    const texts = (from: number, to: number) =>
      eventFile(...Array.from({ length: to - from }, (_, i) => textEvent("t", from + i, `step ${from + i}`)));
    const world = World.create();
    world.logdir.write("train", Buffer.concat([version(), texts(0, 1)]));
    for (const [from, to] of [
      [1, 2],
      [2, 5],
      [5, 12],
    ] as const) {
      await world.sync({ transform });
      if (state === "the state is lost") world.loseState();
      world.logdir.append("train", texts(from, to));
    }
    await world.sync({ transform });
    expect([...world.backend.run("train").data]).toEqual([0, 2, 4, 6].map((step) => [`text t ${step}`, 1]));
  });

  test("every value is traced", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf([...curve("loss", 0, 2), ...curve("noise", 0, 1)]));
    const lines: string[] = [];
    await world.sync({
      transform: { includeTags: [], excludeTags: ["noise"], nan: "keep" },
      trace: (line) => void lines.push(line.replace(/@\d+/, "@")),
    });
    expect(lines.sort()).toEqual([
      "train: @ scalars loss step 0: written",
      "train: @ scalars loss step 1: written",
      "train: @ scalars noise step 0: skipped (excluded)",
    ]);
  });
});
