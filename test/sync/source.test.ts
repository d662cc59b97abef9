/** What a source promises the engine, whatever holds the files: a file system, or a store whose objects are replaced whole. */
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { SyncOptions } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import type { WatchOptions } from "../../src/sync/engine/watch.ts";
import { EVENT_FILE } from "../support/logdirs.ts";
import { ObjectStore } from "../support/object-store.ts";
import { Watching } from "./watched.ts";
import {
  codes,
  curve,
  expectPoints,
  fileOf,
  interleaved,
  only,
  outcomes,
  records,
  sentAgain,
  version,
  World,
} from "./world.ts";

/** Where the files of a world are. A file is named as a `Logdir` names it. */
interface Shelf {
  readonly source: Pick<SyncOptions, "source"> & Partial<Pick<SyncOptions, "logdirs">>;
  put(file: string, bytes: Uint8Array): void;
  get(file: string): Buffer;
  remove(run: string): void;
  rename(run: string, to: string): void;
}

function onThisMachine({ logdir }: World): Shelf {
  return {
    source: {},
    put: (file, bytes) => {
      // Whatever its name.
      if (!isOther(file)) return logdir.write(file, bytes);
      mkdirSync(path.dirname(path.join(logdir.root, file)), { recursive: true });
      writeFileSync(path.join(logdir.root, file), bytes);
    },
    get: (file) => logdir.read(file),
    remove: (run) => logdir.remove(run),
    rename: (run, to) => logdir.rename(run, to),
  };
}

/** Whether it is named whole, and is no event file. */
function isOther(file: string): boolean {
  return /\.(?:txt|yaml|pbtxt|tsv)$/.test(file);
}

function inStore(store: ObjectStore): Shelf {
  const keyOf = (file: string) => (file.includes("tfevents") || isOther(file) ? file : `${file}/${EVENT_FILE}`);
  return {
    // Nothing of it is on this machine.
    source: { source: store.source, logdirs: [] },
    put: (file, bytes) => store.put(keyOf(file), bytes),
    get: (file) => store.get(keyOf(file)),
    remove: (run) => store.remove(`${run}/`),
    rename: (run, to) => store.rename(`${run}/`, `${to}/`),
  };
}

class Scene {
  readonly world: World = World.create();
  readonly shelf: Shelf;

  constructor(shelfOf: (world: World) => Shelf) {
    this.shelf = shelfOf(this.world);
  }

  append(file: string, bytes: Uint8Array): void {
    this.shelf.put(file, Buffer.concat([this.shelf.get(file), bytes]));
  }

  sync(options: Partial<SyncOptions> = {}): Promise<SyncResult> {
    return this.world.sync({ ...this.shelf.source, ...options });
  }

  watch(options: Partial<WatchOptions> = {}): Watching {
    return new Watching(this.world, { ...this.shelf.source, ...options });
  }
}

describe.each([
  ["files of this machine", onThisMachine],
  ["objects of a store", () => inStore(new ObjectStore())],
])("%s", (_, shelfOf) => {
  test("all is sent; then nothing, and the destination is not called", async () => {
    const scene = new Scene(shelfOf);
    const { backend } = scene.world;
    scene.shelf.put("a", fileOf(curve("loss", 0, 50)));
    scene.shelf.put("b/deep", fileOf(curve("loss", 0, 20), 1));
    scene.shelf.put("b/deep/hparams.yaml", Buffer.from("lr: 0.5\n"));
    scene.shelf.put("b/deep/notes.txt", Buffer.from("no event file"));
    expect(outcomes(await scene.sync())).toEqual({ a: "sent", "b/deep": "sent" });
    expectPoints(backend.run("a"), curve("loss", 0, 50));
    expectPoints(backend.run("b/deep"), curve("loss", 0, 20));
    expect(backend.run("b/deep").params.get("lr")).toBe(0.5);
    expect(outcomes(await scene.sync())).toEqual({ a: "unchanged", "b/deep": "unchanged" });
    expect(backend.calls).toEqual([]);
  });

  test("growth: only what is new is sent, also with the state lost, and a cut record waits", async () => {
    const scene = new Scene(shelfOf);
    const { backend } = scene.world;
    scene.shelf.put("a", fileOf(curve("loss", 0, 30)));
    await scene.sync();
    const more = records(curve("loss", 30, 50));
    scene.append("a", more.subarray(0, more.length - 7));
    await scene.sync();
    expectPoints(backend.run("a"), curve("loss", 0, 49));
    scene.append("a", more.subarray(more.length - 7));
    scene.world.loseState();
    await scene.sync();
    expectPoints(backend.run("a"), curve("loss", 0, 50));
    expect(sentAgain(backend.run("a"))).toBe(0);
  });

  test("an interruption anywhere: the next sync goes on, and no point comes twice", async () => {
    const scene = new Scene(shelfOf);
    const { backend } = scene.world;
    backend.batchSize = 10;
    scene.shelf.put("a", fileOf(interleaved(curve("loss", 0, 40), curve("acc", 0, 40))));
    for (let n = 0; n < 6; n++) {
      const stop = new AbortController();
      backend.fault = ({ method }) => {
        if (method === "write") stop.abort();
        return undefined;
      };
      await scene.sync({ signal: stop.signal });
    }
    backend.fault = () => undefined;
    await scene.sync();
    expectPoints(backend.run("a"), [...curve("loss", 0, 40), ...curve("acc", 0, 40)]);
    expect(sentAgain(backend.run("a"))).toBe(0);
  });

  test("a file in whose place another one lies is another run, and one that is shorter is read again", async () => {
    const scene = new Scene(shelfOf);
    scene.shelf.put("a", fileOf(curve("loss", 0, 30)));
    await scene.sync();
    scene.shelf.put("a", fileOf(curve("other", 0, 40), 5));
    expect(codes(await scene.sync())).toContain("replaced");
    expect(scene.world.backend.runs).toHaveLength(2);
    scene.shelf.put("a", fileOf(curve("other", 0, 10), 5));
    expect(codes(await scene.sync())).toContain("truncated");
    expect(scene.world.backend.runs).toHaveLength(2);
  });

  test("a run that was renamed goes on in the same one, and a copy is a run of its own", async () => {
    const scene = new Scene(shelfOf);
    const { backend } = scene.world;
    scene.shelf.put("old", fileOf(curve("loss", 0, 30)));
    await scene.sync();
    scene.shelf.rename("old", "new");
    scene.append("new", records(curve("loss", 30, 40)));
    await scene.sync();
    expect(backend.runs.map(({ name }) => name)).toEqual(["new"]);
    expectPoints(backend.run("new"), curve("loss", 0, 40));
    expect(sentAgain(backend.run("new"))).toBe(0);
    scene.shelf.put("copy", scene.shelf.get("new"));
    await scene.sync();
    expect(backend.runs.map(({ name }) => name).sort()).toEqual(["copy", "new"]);
  });

  test("what add_scalars makes is a part of its run", async () => {
    const scene = new Scene(shelfOf);
    scene.shelf.put("a/events.out.tfevents.1.host.7.0", fileOf(curve("loss", 0, 5)));
    scene.shelf.put("a/loss_train/events.out.tfevents.2.host.7.1", fileOf(curve("loss", 0, 5), 1));
    expect(outcomes(await scene.sync())).toEqual({ a: "sent" });
  });

  test("the source's own files, and embeddings", async () => {
    const scene = new Scene(shelfOf);
    const file = `a/${EVENT_FILE}`;
    scene.shelf.put(file, fileOf(curve("loss", 0, 5)));
    const config = 'embeddings { tensor_name: "e" tensor_path: "e/tensors.tsv" metadata_path: "../secret.tsv" }';
    scene.shelf.put("a/projector_config.pbtxt", Buffer.from(config));
    scene.shelf.put("a/e/tensors.tsv", Buffer.from("1\t2\n"));
    expect(only(await scene.sync({ attachSource: true })).problems).toEqual([]);
    const { files } = scene.world.backend.run("a");
    expect(files.get("e tensors")).toBe("1\t2\n");
    expect(files.has("e metadata")).toBe(false);
    expect(files.get(EVENT_FILE)).toBe(scene.shelf.get(file).toString("latin1"));
    expect(only(await scene.sync({ attachSource: true })).outcome).toBe("unchanged");
  });

  test("watched: what grows, what comes, and what goes", async () => {
    const scene = new Scene(shelfOf);
    const { backend } = scene.world;
    scene.shelf.put("a", fileOf(curve("loss", 0, 10)));
    const watching = scene.watch();
    await watching.until(() => expectPoints(backend.run("a"), curve("loss", 0, 10)));
    for (let step = 10; step < 30; step += 5) {
      scene.append("a", records(curve("loss", step, step + 5)));
      await watching.until(() => expectPoints(backend.run("a"), curve("loss", 0, step + 5)));
    }
    scene.shelf.put("b", version(1));
    scene.append("b", records(curve("loss", 0, 3)));
    await watching.until(() => expectPoints(backend.run("b"), curve("loss", 0, 3)));
    scene.shelf.remove("a");
    await watching.until(() => expect(backend.run("a").status).not.toBe("running"));
    await watching.end();
    expect(sentAgain(backend.run("a")) + sentAgain(backend.run("b"))).toBe(0);
    expect(watching.messages("error")).toEqual([]);
  });

  test("watched, then synced, then watched: each goes on where the one before has ended", async () => {
    const scene = new Scene(shelfOf);
    const { backend } = scene.world;
    scene.shelf.put("a", fileOf(curve("loss", 0, 10)));
    for (let round = 1; round <= 4; round++) {
      if (round % 2 === 0) await scene.sync();
      else {
        const watching = scene.watch();
        await watching.until(() => expectPoints(backend.run("a"), curve("loss", 0, 10 * round)));
        await watching.end();
      }
      expectPoints(backend.run("a"), curve("loss", 0, 10 * round));
      scene.append("a", records(curve("loss", 10 * round, 10 * round + 10)));
    }
    expect(sentAgain(backend.run("a"))).toBe(0);
  });
});

describe("a store that answers with an error", () => {
  const STATUS = [404, 403, 503] as const;
  const KIND = { 404: "gone", 403: "refused", 503: "again" };

  test.each(STATUS)("%i for an object: said, the others are sent, and it goes on in the same run", async (status) => {
    const store = new ObjectStore();
    const scene = new Scene(() => inStore(store));
    const { backend } = scene.world;
    for (const run of ["a", "b"]) scene.shelf.put(run, fileOf(curve("loss", 0, 10), run.length));
    await scene.sync();
    for (const run of ["a", "b"]) scene.append(run, records(curve("loss", 10, 20)));
    store.fault = ({ method, key }) => (method === "GET" && key.startsWith("a/") ? status : undefined);
    const failed = await scene.sync();
    expect(failed.runs.find(({ name }) => name === "a")?.problems).toEqual([
      { path: `${store.name}/a/${EVENT_FILE}`, code: String(status), kind: KIND[status] },
    ]);
    expectPoints(backend.run("b"), curve("loss", 0, 20));
    store.fault = () => undefined;
    await scene.sync();
    expect(backend.runs).toHaveLength(2);
    expectPoints(backend.run("a"), curve("loss", 0, 20));
    expect(sentAgain(backend.run("a"))).toBe(0);
  });

  test.each(STATUS)("%i for the list: the sync has no logdir, a watch goes on once it is answered", async (status) => {
    const store = new ObjectStore();
    const scene = new Scene(() => inStore(store));
    scene.shelf.put("a", fileOf(curve("loss", 0, 10)));
    let isAway = true;
    store.fault = ({ method }) => (method === "LIST" && isAway ? status : undefined);
    await expect(scene.sync()).rejects.toMatchObject({ code: "logdir", message: expect.stringContaining(store.name) });
    const watching = scene.watch();
    await watching.until(() => expect(watching.messages("warning")).toHaveLength(1));
    expect(watching.messages("warning")[0]).toContain(`${store.name} (${status})`);
    isAway = false;
    await watching.until(() => expectPoints(scene.world.backend.run("a"), curve("loss", 0, 10)));
    isAway = true;
    await watching.until(() => expect(watching.messages("warning")).toHaveLength(2));
    scene.append("a", records(curve("loss", 10, 20)));
    isAway = false;
    await watching.until(() => expectPoints(scene.world.backend.run("a"), curve("loss", 0, 20)));
    await watching.end();
    expect(scene.world.backend.run("a").status).not.toBe("failed");
  });

  test.each([
    ["known here", false],
    ["of another machine", true],
  ])("at any request of a sync of a run %s: none is made twice, and no point sent twice", async (_, losesState) => {
    let isHit = true;
    for (let n = 0; isHit; n += 1 + Math.floor(n / 3)) {
      const store = new ObjectStore();
      const scene = new Scene(() => inStore(store));
      const { backend } = scene.world;
      scene.shelf.put("a", fileOf(curve("loss", 0, 10)));
      await scene.sync();
      backend.batchSize = 10_000;
      scene.append("a", records(curve("loss", 10, 16_000)));
      if (losesState) scene.world.loseState();
      isHit = false;
      let asked = 0;
      store.fault = ({ method }) => {
        if (method !== "GET" || asked++ !== n) return undefined;
        isHit = true;
        return 503;
      };
      await scene.sync();
      store.fault = () => undefined;
      await scene.sync();
      expect([n, backend.runs.length]).toEqual([n, 1]);
      expectPoints(backend.run("a"), curve("loss", 0, 16_000));
      expect(sentAgain(backend.run("a"))).toBe(0);
    }
  });

  test("now and then in a watch: all arrives in one run, and nothing twice", async () => {
    const store = new ObjectStore();
    const scene = new Scene(() => inStore(store));
    const { backend } = scene.world;
    scene.shelf.put("a", fileOf(curve("loss", 0, 10)));
    let asked = 0;
    let isMoody = true;
    store.fault = ({ method }) => (isMoody && method === "GET" && ++asked % 7 === 0 ? 503 : undefined);
    const watching = scene.watch();
    for (let step = 10; step < 200; step += 10) {
      const before = asked;
      scene.append("a", records(curve("loss", step, step + 10)));
      await watching.until(() => expect(asked).toBeGreaterThan(before));
    }
    isMoody = false;
    scene.append("a", records(curve("loss", 200, 201)));
    await watching.until(() => expectPoints(backend.run("a"), curve("loss", 0, 201)));
    await watching.end();
    expect(backend.runs).toHaveLength(1);
    expect(sentAgain(backend.run("a"))).toBe(0);
    // 412: it had been replaced since it was listed.
    const other = watching.messages("error").filter((message) => !/ could not be read: (?:503|412)$/.test(message));
    expect(other).toEqual([]);
  });

  test("an object that is replaced while it is read is read as it is now by the next look", async () => {
    const store = new ObjectStore();
    const scene = new Scene(() => inStore(store));
    scene.shelf.put("a", fileOf(curve("loss", 0, 10)));
    let isFirst = true;
    store.fault = ({ method }) => {
      if (method === "GET" && isFirst) {
        isFirst = false;
        scene.append("a", records(curve("loss", 10, 20)));
      }
      return undefined;
    };
    expect(only(await scene.sync()).problems).toMatchObject([{ code: "412", kind: "again" }]);
    await scene.sync();
    expectPoints(scene.world.backend.run("a"), curve("loss", 0, 20));
  });

  test("what is no answer of the store is no problem of a file", async () => {
    const store = new ObjectStore();
    const scene = new Scene(() => inStore(store));
    scene.shelf.put("a", fileOf(curve("loss", 0, 10)));
    store.fault = ({ method }) => {
      if (method === "GET") throw new TypeError("a bug");
      return undefined;
    };
    await expect(scene.sync()).rejects.toThrow("a bug");
  });
});

test("one list for each poll, however many read the changes", async () => {
  const store = new ObjectStore();
  store.put(`a/${EVENT_FILE}`, version());
  const watched = await store.source.watch({ events: true, pollMs: 600_000, rescanMs: 600_000, onNote: () => {} });
  onTestFinished(() => watched.close());
  const { signal } = new AbortController();
  const readers = [watched.subscribe(), watched.subscribe()].map(async (subscription) => {
    for await (const { changed } of subscription.changes(signal)) return changed.map(({ name }) => name);
    return [];
  });
  expect(await Promise.all(readers)).toEqual([["a"], ["a"]]);
  expect((await watched.discover()).runs.map(({ name }) => name)).toEqual(["a"]);
  expect(store.requests.map(({ method }) => method)).toEqual(["LIST"]);
});

test("a large object that grows is read where it has grown", async () => {
  const store = new ObjectStore();
  const scene = new Scene(() => inStore(store));
  scene.shelf.put("a", fileOf(curve("loss", 0, 30_000)));
  await scene.sync();
  for (let step = 30_000; step < 35_000; step += 1000) {
    const growth = records(curve("loss", step, step + 1000));
    scene.append("a", growth);
    const before = store.bytesSent;
    await scene.sync();
    // Looked for a first value, scanned for restarts, and sent; and what the file and the place are told by.
    expect(store.bytesSent - before).toBeLessThan(3 * growth.length + 32 * 1024);
  }
  expectPoints(scene.world.backend.run("a"), curve("loss", 0, 35_000));
  expect(store.requests.filter(({ method }) => method === "HEAD")).toEqual([]);
});
