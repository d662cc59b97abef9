/** Damage, files that go away, hyperparameters that cannot be read. */
import { cpSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { discover } from "../../src/reader/discover.ts";
import { record, textEvent } from "../support/event-writer.ts";
import { cases } from "../support/expected.ts";
import {
  codes,
  curve,
  expectPoints,
  fileOf,
  only,
  outcomes,
  records,
  scalarsOf,
  sentAgain,
  version,
  World,
} from "./world.ts";

describe("damage", () => {
  const good = fileOf(curve("loss", 0, 5));
  const more = records(curve("loss", 5, 10));

  test("in the midst: passed over, reported now and at every later sync", async () => {
    const world = World.create();
    world.logdir.write("train", Buffer.concat([good, Buffer.from("not a record at all"), more]));
    const loss = { start: good.length, end: good.length + 19, reason: "length-crc" };
    const first = only(await world.sync());
    expect(first.losses).toMatchObject([loss]);
    expect(first.losses[0]?.path).toBe(world.logdir.path("train"));
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
    for (let i = 0; i < 2; i++) {
      const unchanged = only(await world.sync());
      expect(unchanged).toMatchObject({ outcome: "unchanged", losses: [loss] });
    }
    world.logdir.append("train", records(curve("loss", 10, 12)));
    expect(only(await world.sync()).losses).toMatchObject([loss]);
    world.loseState();
    expect(only(await world.sync()).losses).toMatchObject([loss]);
  });

  test("at the end: reported, and looked at again when the file grows", async () => {
    const world = World.create();
    world.logdir.write("train", Buffer.concat([good, Buffer.from("not a record at all")]));
    expect(only(await world.sync()).losses).toMatchObject([{ reason: "damaged-tail", start: good.length }]);
    expect(only(await world.sync()).losses).toMatchObject([{ reason: "damaged-tail", start: good.length }]);
    world.logdir.append("train", more);
    const third = only(await world.sync());
    expect(third.losses).toMatchObject([{ reason: "length-crc", start: good.length, end: good.length + 19 }]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
  });

  test("as all that is new, with nothing to send", async () => {
    const bad = records(curve("loss", 5, 6));
    bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1;
    const world = World.create();
    world.logdir.write("train", good);
    await world.sync();
    world.logdir.append("train", Buffer.concat([bad, version()]));
    for (let i = 0; i < 3; i++) {
      const result = only(await world.sync());
      expect(result).toMatchObject({ outcome: "unchanged", losses: [{ reason: "payload-crc", start: good.length }] });
    }
    world.logdir.append("train", more);
    expect(only(await world.sync()).losses).toMatchObject([{ reason: "payload-crc", start: good.length }]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
  });

  test("in a file that holds nothing else", async () => {
    const bad = fileOf(curve("loss", 0, 1));
    bad[bad.length - 1] = (bad[bad.length - 1] as number) ^ 1;
    const world = World.create();
    world.logdir.write("train", Buffer.concat([bad, version()]));
    for (let i = 0; i < 2; i++) {
      expect(only(await world.sync())).toMatchObject({ outcome: "empty", losses: [{ reason: "payload-crc" }] });
    }
  });

  test("a record above the limit is skipped", async () => {
    const world = World.create();
    world.logdir.write("train", Buffer.concat([good, record(textEvent("note", 1, "x".repeat(5000))), more]));
    const result = only(await world.sync({ maxRecordBytes: 1000 }));
    expect(result.losses).toMatchObject([{ reason: "too-large", start: good.length }]);
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
  });
});

describe("files that cannot be read", () => {
  function threeFiles(): World {
    const world = World.create();
    world.logdir.write("train/tfevents.1", fileOf(curve("a", 0, 5)));
    world.logdir.write("train/tfevents.2", fileOf(curve("b", 0, 5), 1));
    world.logdir.write("train/tfevents.3", fileOf(curve("c", 0, 5), 2));
    world.logdir.write("other", fileOf(curve("loss", 0, 5), 3));
    return world;
  }

  /** Do something to the second file when the sync of its run has come this far. */
  const spoiled = (world: World, spoil: () => void) => ({
    onStart: () => spoil(),
    concurrency: 1,
    logdirs: [world.logdir.root],
  });

  test("deleted or swapped between listing and reading: the others are sent", async () => {
    const ways: [code: string, kind: string, (world: World) => void][] = [
      ["ENOENT", "gone", (world) => world.logdir.remove("train/tfevents.2")],
      ["EINVAL", "refused", (world) => world.logdir.swapForDirectory("train/tfevents.2")],
    ];
    for (const [code, kind, spoil] of ways) {
      const world = threeFiles();
      const result = await world.sync(spoiled(world, () => spoil(world)));
      expect(outcomes(result)).toEqual({ other: "sent", train: "sent" });
      expect(result.runs[1]?.problems).toEqual([{ path: world.logdir.path("train/tfevents.2"), code, kind }]);
      expectPoints(world.backend.run("train"), [...curve("a", 0, 5), ...curve("c", 0, 5)]);
    }
  });

  test("a copy under way that has become the whole file since it was listed is no problem", async () => {
    for (const temporary of [".tfevents.2.AbC123", "tfevents.2.partial"]) {
      const world = threeFiles();
      world.logdir.rename("train/tfevents.2", `train/${temporary}`);
      const result = await world.sync(
        spoiled(world, () => world.logdir.rename(`train/${temporary}`, "train/tfevents.2")),
      );
      expect(result.runs.flatMap(({ problems, notes, error }) => [problems, notes, error ?? []].flat())).toEqual([]);
      expectPoints(world.backend.run("train"), [...curve("a", 0, 5), ...curve("c", 0, 5)]);
      await world.sync();
      expectPoints(
        world.backend.run("train"),
        ["a", "b", "c"].flatMap((tag) => curve(tag, 0, 5)),
      );
    }
  });

  test.each([true, false])(
    "deleted while its run is being opened (marks: %s): the others are sent",
    async (keepsMarks) => {
      const world = threeFiles();
      world.backend.keepsMarks = keepsMarks;
      world.backend.fault = ({ method, run }) => {
        if (method === "open" && run === "train") world.logdir.remove("train/tfevents.2");
        return undefined;
      };
      const result = await world.sync();
      expect(outcomes(result)).toEqual({ other: "sent", train: "sent" });
      expect(result.runs[1]?.problems).toMatchObject([{ code: "ENOENT" }]);
      expectPoints(world.backend.run("train"), [...curve("a", 0, 5), ...curve("c", 0, 5)]);
    },
  );

  test("deleted at any moment of a first sync: nothing is thrown, the others are sent", async () => {
    // `signal.aborted` is asked at every step of a run, so a getter is a clock that tells each of them.
    for (let moment = 1; moment < 12; moment++) {
      const world = threeFiles();
      world.backend.batchSize = 2;
      let asked = 0;
      const signal = new AbortController().signal;
      Object.defineProperty(signal, "aborted", {
        get() {
          if (++asked === moment) world.logdir.remove("train/tfevents.2");
          return false;
        },
      });
      const result = await world.sync({ signal, wantsRun: (name) => name === "train" });
      expect(outcomes(result)).toEqual({ train: "sent" });
      const tags = [...world.backend.run("train").points.keys()].map((point) => point[0]);
      expect(tags.filter((tag) => tag !== "b")).toHaveLength(10);
    }
  });

  test("come back later: nothing is lost or doubled, and nothing is said of a replacement", async () => {
    const world = threeFiles();
    await world.sync();
    const bytes = world.logdir.read("train/tfevents.2");
    world.logdir.append("train/tfevents.1", records(curve("a", 5, 6)));
    await world.sync(spoiled(world, () => world.logdir.swapForDirectory("train/tfevents.2")));
    world.logdir.remove("train/tfevents.2");
    world.logdir.write("train/tfevents.2", Buffer.concat([bytes, records(curve("b", 5, 7))]));
    const result = await world.sync();
    expect(codes(result)).toEqual([]);
    expect(scalarsOf(result)).toMatchObject({ sent: 2 });
    expectPoints(world.backend.run("train"), [...curve("a", 0, 6), ...curve("b", 0, 7), ...curve("c", 0, 5)]);
  });

  test("all of a known run's files: a problem, not a new run", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    await world.sync();
    world.logdir.append("train", records(curve("loss", 5, 6)));
    const result = only(await world.sync(spoiled(world, () => world.logdir.swapForDirectory("train"))));
    expect(result.problems).toMatchObject([{ code: "EINVAL" }]);
    expect(result.notes).toEqual([]);
  });

  test("a file that shrinks while it is read is read as far as it goes", async () => {
    const world = World.create();
    world.backend.batchSize = 2;
    world.logdir.write("train", fileOf(curve("loss", 0, 10)));
    const cut = fileOf(curve("loss", 0, 4)).length;
    const result = await world.sync({ onStart: () => world.logdir.truncate("train", cut + 3) });
    expect(outcomes(result)).toEqual({ train: "sent" });
    expectPoints(world.backend.run("train"), curve("loss", 0, 4));
    world.logdir.truncate("train", cut);
    world.logdir.append("train", records(curve("loss", 4, 10)));
    await world.sync();
    expectPoints(world.backend.run("train"), curve("loss", 0, 10));
  });

  test("the source is left as it is", async () => {
    const world = threeFiles();
    const before = readFileSync(world.logdir.path("train/tfevents.1"));
    await world.sync();
    expect(readFileSync(world.logdir.path("train/tfevents.1"))).toEqual(before);
    expect(discover(world.logdir.root).runs.flatMap(({ files }) => files)).toHaveLength(4);
  });
});

describe("hparams.yaml", () => {
  test("is sent once, and again when it has changed", async () => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\nlayers: 3\n"));
    await world.sync();
    expect(world.backend.run("train").hparams).toEqual(
      new Map<string, unknown>([
        ["lr", 0.1],
        ["layers", 3n],
      ]),
    );
    world.backend.run("train").hparams.clear();
    expect(only(await world.sync()).outcome).toBe("unchanged");
    world.logdir.append("train", records(curve("loss", 5, 6)));
    await world.sync();
    expect(world.backend.run("train").hparams).toEqual(new Map());
    world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.2\n"));
    await world.sync();
    expect(world.backend.run("train").hparams).toEqual(new Map([["lr", 0.2]]));
    expect(sentAgain(world.backend.run("train"))).toBe(0);
  });

  test("is sent again when the sync that sent it died", async () => {
    for (const when of ["before", "after"] as const) {
      const world = World.create();
      world.logdir.write("train", fileOf(curve("loss", 0, 5)));
      world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\n"));
      world.backend.fault = ({ method }) => (method === "write" ? { when } : undefined);
      await world.sync();
      world.backend.fault = () => undefined;
      await world.sync();
      expect(world.backend.run("train").hparams).toEqual(new Map([["lr", 0.1]]));
    }
  });

  test("alone with a file without values makes one run, also if its first sync dies", async () => {
    for (let n = 1; n <= 3; n++) {
      const world = World.create();
      world.logdir.write("train", version());
      world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\n"));
      world.backend.fault = (call) => (call.n === n ? { when: "after" } : undefined);
      await world.sync();
      world.backend.fault = () => undefined;
      world.logdir.append("train", records(curve("loss", 0, 5)));
      await world.sync();
      expect(world.backend.runs).toHaveLength(1);
      expectPoints(world.backend.run("train"), curve("loss", 0, 5));
      expect(world.backend.run("train").hparams).toEqual(new Map([["lr", 0.1]]));
    }
  });

  test.each([
    ["no YAML", "lr: [0.1\n"],
    ["no mapping", "- 0.1\n"],
    ["an HTML page", "<!DOCTYPE html>\n<html></html>\n"],
  ])("that is %s is said once, for what it is, and again when it has changed", async (_, text) => {
    const world = World.create();
    world.logdir.write("train", fileOf(curve("loss", 0, 5)));
    const file = world.logdir.path("train/hparams.yaml");
    world.logdir.write("train/hparams.yaml", Buffer.from(text));
    expect(only(await world.sync())).toMatchObject({ problems: [{ path: file }], error: undefined });
    for (let i = 0; i < 2; i++) {
      expect(only(await world.sync())).toMatchObject({ problems: [], outcome: "unchanged" });
    }
    world.logdir.write("train/hparams.yaml", Buffer.from(`${text} `));
    expect(only(await world.sync())).toMatchObject({ problems: [{ path: file }], error: undefined });
    expectPoints(world.backend.run("train"), curve("loss", 0, 5));
    world.logdir.write("train/hparams.yaml", Buffer.from("lr: 0.1\n"));
    expect(only(await world.sync())).toMatchObject({ problems: [], outcome: "sent" });
    expect(world.backend.run("train").hparams).toEqual(new Map([["lr", 0.1]]));
  });
});

describe("a file that is named like an event file and is none", () => {
  test("is said for what it is, and neither damage nor an error", async () => {
    const world = World.create();
    cpSync(path.join(import.meta.dirname, "../../fixtures/copies-and-backups/runs"), path.join(world.root, "runs"), {
      recursive: true,
    });
    world.logdir.write("b/tfevents.lfs", Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"));
    world.logdir.write("b/tfevents.html", Buffer.from("<!DOCTYPE html>\n<html></html>\n"));
    for (let i = 0; i < 2; i++) {
      const { runs } = await world.sync();
      expect(runs.flatMap(({ losses, problems }) => [...losses, ...problems])).toEqual([]);
      if (i > 0) break;
      const said = runs
        .flatMap(({ notes }) => notes.map(({ message }) => message.replace(/.*is not/, "is not")))
        .sort();
      expect(said).toEqual([
        "is not an event file: a Git LFS pointer; git lfs pull brings the file",
        "is not an event file: a page of HTML or XML",
        "is not an event file: gzip-compressed",
        "is not an event file: what macOS keeps beside a file (AppleDouble)",
      ]);
    }
    // The copies hold no other points than the one whole file.
    const { a } = cases().find(({ name }) => name === "copies-and-backups")?.runs ?? {};
    const points = Object.entries(a?.tags ?? {}).flatMap(([tag, { points: of }]) =>
      of.map((p) => `${tag} ${p[0]} ${p[1]}`),
    );
    expect(world.backend.run("a").points.size).toBe(new Set(points).size);
  });
});
