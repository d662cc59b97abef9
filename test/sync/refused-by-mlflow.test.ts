/** A value that MLflow refuses is set aside, the others go on, whatever dies in between. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import type { ArtifactStore } from "../../src/backends/artifacts/artifact.ts";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { readCredentials } from "../../src/backends/mlflow/credentials.ts";
import { RestStore } from "../../src/backends/mlflow/rest-store.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import { type MlflowStore } from "../../src/backends/mlflow/store.ts";
import { resolveTrackingUri } from "../../src/backends/mlflow/tracking-uri.ts";
import { exitCode } from "../../src/cli/sync-report.ts";
import { TraceletError } from "../../src/errors.ts";
import { ContentRefused } from "../../src/net/refusal.ts";
import { openDatabase } from "../../src/sqlite.ts";
import { QuarantineFiles } from "../../src/sync/state/quarantine.ts";
import { eventFile, textEvent } from "../support/event-writer.ts";
import { FaultServer, MlflowImitation, refusal } from "./fault-server.ts";
import { codes, curve, fileOf, interleaved, only, scalarsOf, version, World } from "./world.ts";

interface Line {
  readonly id: string;
  readonly [name: string]: unknown;
}

/** A world whose destination is MLflow's own database, with rules that refuse rows. */
class Refusing {
  readonly world = World.create();
  readonly file = path.join(this.world.root, "mlflow.db");
  /** Asked before each of the store's calls, as `logBatch` or `put`; what it throws is thrown. */
  before: (method: string, value: unknown) => void = () => {};

  constructor(...rules: readonly string[]) {
    void SqliteStore.open(this.file).close();
    this.look((database) => {
      for (const [i, rule] of rules.entries()) {
        const [table, when] = rule.split(": ");
        database.exec(
          `CREATE TRIGGER rule${i} BEFORE INSERT ON ${table} WHEN ${when} BEGIN SELECT RAISE(ABORT, '${rule.replaceAll("'", "")}'); END`,
        );
      }
    });
  }

  look<T>(work: (database: ReturnType<typeof openDatabase>) => T): T {
    const database = openDatabase(this.file, { busyTimeout: 5000 });
    try {
      return work(database);
    } finally {
      database.close();
    }
  }

  async sync(options: { quarantine?: boolean } = {}) {
    const store = this.#watched(SqliteStore.open(this.file));
    const backend = new MlflowBackend({
      store,
      experiment: "e",
      version: "1",
      keepsMarks: true,
      giveUpAfterMs: 1000,
    });
    const quarantine =
      options.quarantine === false ? undefined : new QuarantineFiles(this.world.stateDir, "mlflow db e");
    try {
      return await this.world.sync({ backend, quarantine });
    } finally {
      await backend.close();
    }
  }

  /** `key step`, sorted. */
  points(): string[] {
    const rows = this.look((database) => database.prepare("SELECT key, step FROM metrics").all());
    return rows.map(({ key, step }) => `${key} ${step}`).sort();
  }

  /** What is in the quarantine, each value once. */
  setAside(): Line[] {
    const folder = path.join(this.world.stateDir, "quarantine");
    const lines = readdirSync(folder).flatMap((name) =>
      readFileSync(path.join(folder, name), "utf8").trim().split("\n"),
    );
    return [...new Map(lines.map((line) => JSON.parse(line) as Line).map((line) => [line.id, line])).values()];
  }

  #watched(real: MlflowStore): MlflowStore {
    const watched = <T extends object>(target: T, names: readonly string[]): T =>
      new Proxy(target, {
        get: (of, name) => {
          const value: unknown = Reflect.get(of, name);
          if (typeof value !== "function") return value;
          return async (...args: unknown[]) => {
            if (names.includes(String(name))) this.before(String(name), args.at(-1));
            const result: unknown = await (value.apply(of, args) as unknown);
            return name === "artifacts" ? watched(result as ArtifactStore, ["put"]) : result;
          };
        },
      });
    const store = watched(real, ["logBatch"]);
    return new Proxy(store, {
      get: (of, name) =>
        name === "batchSize" || name === "experimentUrl" ? Reflect.get(real, name) : Reflect.get(of, name),
    });
  }
}

const LOSS = curve("loss", 0, 30);
const ACC = curve("acc", 0, 30);
const points = (of: readonly { tag: string; step: number }[]) => of.map(({ tag, step }) => `${tag} ${step}`).sort();

describe("points", () => {
  test("one is set aside with where it is and why; all else is sent, once; the sync says so and fails", async () => {
    const refusing = new Refusing("metrics: new.key = 'loss' AND new.step = 7");
    refusing.world.logdir.write("run/events.tfevents.1.a", fileOf(interleaved(LOSS, ACC)));
    refusing.world.logdir.write("run/events.tfevents.2.b", fileOf(curve("late", 30, 33), 9));
    const result = await refusing.sync();
    const rest = [...LOSS, ...ACC, ...curve("late", 30, 33)].filter(({ tag, step }) => tag !== "loss" || step !== 7);
    expect(refusing.points()).toEqual(points(rest));
    expect(scalarsOf(result)).toEqual({ read: 63, sent: 62, failed: 0, skipped: { refused: 1 } });
    expect(only(result).outcome).toBe("sent");
    expect(codes(result)).toEqual(["quarantined"]);
    expect(exitCode(result)).toBe(1);
    const file = path.join(refusing.world.logdir.root, "run/events.tfevents.1.a");
    const bytes = readFileSync(file);
    expect(refusing.setAside()).toEqual([
      expect.objectContaining({
        run: "run",
        remoteId: only(result).remoteId,
        kind: "scalars",
        tag: "loss",
        step: 7,
        value: 7 / 4,
        file,
        reason: "metrics: new.key = loss AND new.step = 7",
      }),
    ]);
    // The record at the offset is the one: its length, and the tag in it.
    const offset = Number(refusing.setAside()[0]?.["offset"]);
    const length = Number(bytes.readBigUInt64LE(offset));
    const record = bytes.subarray(offset + 12, offset + 12 + length);
    expect([record.includes("loss"), record.readDoubleLE(1)]).toEqual([true, LOSS[7]?.wallTime]);
    const again = await refusing.sync();
    expect([again.runs[0]?.outcome, exitCode(again)]).toEqual(["unchanged", 0]);
  });

  test("of a second file are told to be of it", async () => {
    const refusing = new Refusing("metrics: new.step >= 31");
    refusing.world.logdir.write("run/events.tfevents.1.a", fileOf(LOSS));
    refusing.world.logdir.write("run/events.tfevents.2.b", fileOf(curve("late", 30, 33), 9));
    await refusing.sync();
    expect(refusing.setAside().map(({ tag, step, file }) => [tag, step, path.basename(String(file))])).toEqual([
      ["late", 31, "events.tfevents.2.b"],
      ["late", 32, "events.tfevents.2.b"],
    ]);
  });

  test("all of them: the run fails, nothing is set aside, and all is sent once that is over", async () => {
    const refusing = new Refusing("metrics: 1");
    refusing.world.logdir.write("run/events.tfevents.1.a", fileOf(LOSS));
    const result = await refusing.sync();
    expect(only(result)).toMatchObject({ outcome: "failed", error: { code: "rejected" } });
    expect(() => refusing.setAside()).toThrow("ENOENT");
    refusing.look((database) => database.exec("DROP TRIGGER rule0"));
    expect(exitCode(await refusing.sync())).toBe(0);
    expect(refusing.points()).toEqual(points(LOSS));
  });

  test("without a place to set them aside a refusal is an error of the run", async () => {
    const refusing = new Refusing("metrics: new.step = 7");
    refusing.world.logdir.write("run/events.tfevents.1.a", fileOf(LOSS));
    expect(only(await refusing.sync({ quarantine: false }))).toMatchObject({ outcome: "failed" });
  });
});

test("a hyperparameter: its record counts as left out", async () => {
  const refusing = new Refusing("params: length(new.value) > 500");
  refusing.world.logdir.write("run/events.tfevents.1.a", fileOf(LOSS));
  refusing.world.logdir.write("run/hparams.yaml", Buffer.from(`lr: 0.1\nnotes: ${"x".repeat(501)}\n`));
  const result = await refusing.sync();
  expect(refusing.look((database) => database.prepare("SELECT key, value FROM params").all())).toEqual([
    { key: "lr", value: "0.1" },
  ]);
  expect(refusing.setAside()).toMatchObject([
    { kind: "hparams", tag: "notes", value: "x".repeat(501), step: null, file: null, offset: null },
  ]);
  expect([refusing.points(), exitCode(result)]).toEqual([points(LOSS), 1]);
});

describe("whatever dies in between", () => {
  /** The process ends at the n-th call of the store that `matches`. */
  const dieAt = (refusing: Refusing, matches: (method: string, value: unknown) => boolean) => {
    let died = false;
    refusing.before = (method, value) => {
      if (died || matches(method, value)) {
        died = true;
        throw new TraceletError("unreachable", "the process has died");
      }
    };
  };

  test.each(Array.from({ length: 12 }, (_, n) => n + 1))("at request %d: nothing is lost or doubled", async (n) => {
    const refusing = new Refusing("metrics: new.key = 'loss' AND new.step = 7");
    refusing.world.logdir.write("run/events.tfevents.1.a", fileOf(interleaved(LOSS, ACC)));
    let calls = 0;
    dieAt(refusing, () => ++calls === n);
    expect(only(await refusing.sync()).outcome).toBe("failed");
    if (n % 2 === 0) refusing.world.loseState();
    refusing.before = () => {};
    expect(scalarsOf(await refusing.sync()).skipped).toEqual({ refused: 1 });
    expect(refusing.points()).toEqual(
      points([...LOSS, ...ACC].filter(({ tag, step }) => tag !== "loss" || step !== 7)),
    );
    expect(refusing.setAside()).toMatchObject([{ tag: "loss", step: 7 }]);
  });

  test("between the quarantine and the marks: the value is written twice, and told to be one", async () => {
    const refusing = new Refusing("metrics: new.step = 7");
    refusing.world.logdir.write("run/events.tfevents.1.a", fileOf(LOSS));
    const folder = path.join(refusing.world.stateDir, "quarantine");
    const written = () => {
      try {
        return readdirSync(folder).map((name) => readFileSync(path.join(folder, name), "utf8").split("\n").length - 1);
      } catch {
        return [];
      }
    };
    dieAt(refusing, () => written().length > 0);
    expect(only(await refusing.sync()).outcome).toBe("failed");
    const marks = () =>
      refusing.look((database) => database.prepare("SELECT value FROM tags WHERE key LIKE 'tracelet.file.%'").all());
    expect(JSON.parse(String(marks()[0]?.["value"]))).toMatchObject({ offset: 0 });
    refusing.before = () => {};
    await refusing.sync();
    expect(written()).toEqual([2]);
    expect(refusing.setAside()).toHaveLength(1);
    expect(refusing.points()).toEqual(points(LOSS.filter(({ step }) => step !== 7)));
    expect(JSON.parse(String(marks()[0]?.["value"]))).not.toMatchObject({ offset: 0 });
  });
});

describe("files", () => {
  const logdir = () =>
    Buffer.concat([
      version(),
      eventFile(textEvent("good", 1, "a"), textEvent("bad", 2, "b"), textEvent("good", 3, "c")),
    ]);
  const tooLarge = new ContentRefused("the server refuses it: HTTP 413", "HTTP 413", {});

  test("one is refused: its value is set aside, the others are stored", async () => {
    const refusing = new Refusing();
    refusing.world.logdir.write("run/events.tfevents.1.a", logdir());
    refusing.before = (method, value) => {
      if (method === "put" && (value as { path: string }).path === "text/bad/2.md") throw tooLarge;
    };
    const result = await refusing.sync();
    const kinds = only(result).tally.kinds.get("text");
    expect([kinds?.sent, [...(kinds?.skipped ?? [])]]).toEqual([2, [["refused", 1]]]);
    expect(refusing.setAside()).toMatchObject([{ kind: "text", tag: "bad", step: 2, value: null, reason: "HTTP 413" }]);
    expect(exitCode(result)).toBe(1);
  });

  test("one that would take the place of another is refused: the other stays, and counts as sent", async () => {
    const refusing = new Refusing();
    const file = "run/events.tfevents.1.a";
    refusing.world.logdir.write(file, eventFile(textEvent("a", 1, "first"), textEvent("b", 1, "first")));
    await refusing.sync();
    refusing.before = (method, value) => {
      if (method === "put" && (value as { path: string }).path === "text/a/1.md") throw tooLarge;
    };
    refusing.world.logdir.append(file, eventFile(textEvent("a", 1, "later"), textEvent("c", 1, "later")));
    const text = only(await refusing.sync()).tally.kinds.get("text");
    expect([text?.sent, [...(text?.skipped ?? [])]]).toEqual([1, [["refused", 1]]]);
    expect(refusing.setAside()).toMatchObject([{ tag: "a", step: 1 }]);
  });

  test("all are refused, and the list of them as well: the run fails, and nothing is set aside", async () => {
    const refusing = new Refusing();
    refusing.world.logdir.write("run/events.tfevents.1.a", logdir());
    refusing.before = (method) => {
      if (method === "put") throw tooLarge;
    };
    expect(only(await refusing.sync())).toMatchObject({ outcome: "failed", error: tooLarge });
    expect(() => refusing.setAside()).toThrow("ENOENT");
  });
});

describe("over REST", () => {
  async function rest(refuses: (body: string) => ReturnType<typeof refusal> | undefined) {
    const mlflow = new MlflowImitation();
    const server = await FaultServer.start((request) => refuses(request.body) ?? mlflow.handle(request));
    const uri = resolveTrackingUri(server.url, {}, "/");
    if (uri.scheme === "sqlite") throw new Error("not a server");
    const credentials = readCredentials(undefined, { MLFLOW_TRACKING_TOKEN: "CANARY" }, "/nonexistent");
    const store = new RestStore({ uri, credentials, giveUpAfterMs: 1 });
    const metrics = {
      keys: ["a"],
      key: new Int32Array(1),
      step: new BigInt64Array(1),
      timestamp: new Float64Array(1),
      value: new Float64Array(1),
      length: 1,
    };
    const batch = { metrics, params: new Map<string, string>(), tags: new Map<string, string>() };
    const log = async () => {
      try {
        await store.logBatch("run", batch);
      } finally {
        await store.close();
        await server.close();
      }
    };
    return { log: log() };
  }

  test.each([
    [400, true],
    [413, true],
    [422, true],
    [404, false],
    [405, false],
  ])("HTTP %d may be for the content: %s", async (status, may) => {
    const { log } = await rest(() => refusal(status, "INVALID_PARAMETER_VALUE", "no: CANARY"));
    const error: unknown = await log.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TraceletError);
    expect(error instanceof ContentRefused).toBe(may);
    if (error instanceof ContentRefused) expect(error.reason).toBe(`HTTP ${status} INVALID_PARAMETER_VALUE: no: ***`);
  });

  test.each([
    [refusal(404, "RESOURCE_DOES_NOT_EXIST", "no run"), "deleted"],
    [refusal(400, "INVALID_PARAMETER_VALUE", "must be in the 'active' state"), "deleted"],
    [refusal(401, "UNAUTHENTICATED", "who?"), "auth"],
    [refusal(403, "PERMISSION_DENIED", "no"), "auth"],
    [refusal(500, "INTERNAL_ERROR", "x"), "unreachable"],
  ])("what is not for the content stays what it is: %j", async (answer, code) => {
    const { log } = await rest(() => answer);
    const error: unknown = await log.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code });
    expect(error).not.toBeInstanceOf(ContentRefused);
  });
});
