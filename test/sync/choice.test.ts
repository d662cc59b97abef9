/**
 * What is asked for is what is there, whatever was asked for before: each option both ways, with the local state kept and
 * lost, against a model that knows the options by their documentation alone.
 */
import { readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { MlflowBackend } from "../../src/backends/mlflow/backend.ts";
import { SqliteStore } from "../../src/backends/mlflow/sqlite-store.ts";
import { TraceletError } from "../../src/errors.ts";
import type { Kind } from "../../src/reader/datum.ts";
import { DEFAULT_MAX_RECORD_BYTES } from "../../src/reader/tfrecord.ts";
import { openDatabase } from "../../src/sqlite.ts";
import { type SyncOptions, sync } from "../../src/sync/engine/once.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { Checkpoints } from "../../src/sync/state/checkpoints.ts";
import { choiceOf, choiceText, isHarmless } from "../../src/sync/transform/choice.ts";
import { verify } from "../../src/verify/mlflow/verify.ts";
import type { VerifiedRun } from "../../src/verify/result.ts";
import {
  event,
  eventFile,
  imageEvent,
  scalarEvent,
  sessionStart,
  textEvent,
  WALL_TIME,
} from "../support/event-writer.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { version } from "./world.ts";

/** A value as the test writes it, or a restart. */
interface Written {
  readonly kind: "scalars" | "histograms" | "images" | "text" | "restart";
  readonly tag: string;
  readonly step: number;
  /** Tells those of one step apart: its place among all. */
  readonly n: number;
  readonly bytes: Uint8Array;
  readonly isNan?: boolean;
  /** Of an image. */
  readonly size?: number;
}

interface Asked {
  readonly only?: readonly Written["kind"][];
  readonly exclude?: string;
  readonly nan?: "skip";
  readonly every?: number;
  readonly maxSteps?: number;
  readonly restarts?: "explicit" | "any" | "keep";
  readonly maxImageBytes?: number;
  readonly maxFileBytes?: number;
  readonly maxRecordBytes?: number;
  readonly histogramMetrics?: boolean;
}

const KINDS = ["scalars", "histograms", "images", "text"] as const;
const PNG = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",
  "base64",
);

function histogram(tag: string, step: number, n: number): Uint8Array {
  const histo = { min: 0, max: 2, num: 4, sum: n, sumSquares: n * n, bucketLimit: [1, 2], bucket: [1, 3] };
  return event({ wallTime: WALL_TIME + n, step, summary: { value: [{ tag, histo }] } });
}

/** Values of each kind at each step, and in the middle a restart that goes back. */
function story(): Written[] {
  const all: Written[] = [];
  const add = (kind: Written["kind"], tag: string, step: number, make: (n: number) => Uint8Array, more = {}) => {
    all.push({ kind, tag, step, n: all.length, bytes: make(all.length), ...more });
  };
  const at = (step: number) => {
    for (const prefix of ["", "debug/"]) {
      const isNan = step % 4 === 1;
      const scalar = (n: number) => scalarEvent(`${prefix}loss`, step, isNan ? Number.NaN : n, WALL_TIME + n);
      add("scalars", `${prefix}loss`, step, scalar, { isNan });
      add("histograms", `${prefix}weights`, step, (n) => histogram(`${prefix}weights`, step, n));
      add("text", `${prefix}notes`, step, (n) => textEvent(`${prefix}notes`, step, `number ${n}`));
      const size = PNG.length + (step % 2) * 20_000;
      const image = Buffer.concat([PNG, Buffer.alloc(size - PNG.length)]);
      add("images", `${prefix}picture`, step, () => imageEvent(`${prefix}picture`, step, image), { size });
    }
  };
  for (let step = 0; step < 6; step++) at(step);
  add("restart", "", 4, () => sessionStart(4));
  for (let step = 4; step < 8; step++) at(step);
  return all;
}

const STORY = story();

/** The values that a choice lets in of a file that holds these. */
function letIn(asked: Asked, written: readonly Written[]): Written[] {
  const policy = asked.restarts ?? "explicit";
  const seen = new Map<string, { number: number; step: number }>();
  return written.filter((value, i) => {
    const { kind, tag, step } = value;
    if (kind === "restart") {
      if (policy === "explicit") seen.clear();
      return false;
    }
    // Steps are counted by what the file holds before them.
    const before = seen.get(`${kind} ${tag}`);
    const number = before === undefined || (policy === "any" && step < before.step) ? 0 : before.number + 1;
    seen.set(`${kind} ${tag}`, { number, step });
    const later = written.slice(i + 1);
    const isObsolete =
      policy === "explicit"
        ? later.some((other) => other.kind === "restart" && other.step <= step)
        : policy === "any" && later.some((other) => other.kind === kind && other.tag === tag && other.step <= step);
    if (isObsolete) return false;
    if (asked.only !== undefined && !asked.only.includes(kind)) return false;
    if (asked.exclude !== undefined && tag.startsWith(asked.exclude.replace("*", ""))) return false;
    if (asked.nan === "skip" && value.isNan === true) return false;
    if (kind !== "scalars") {
      const { every = 1, maxSteps = Infinity } = asked;
      if (number % every !== 0 || number / every >= maxSteps) return false;
    }
    if (value.bytes.length > (asked.maxRecordBytes ?? Infinity)) return false;
    const tooLarge = Math.min(asked.maxImageBytes ?? Infinity, asked.maxFileBytes ?? Infinity);
    return kind !== "images" || (value.size as number) <= tooLarge;
  });
}

function optionsOf(asked: Asked): Pick<SyncOptions, "transform" | "restarts" | "limits" | "maxRecordBytes"> {
  const { only, exclude, nan = "keep", every, maxSteps, restarts = "explicit", maxImageBytes } = asked;
  return {
    transform: {
      excludeKinds: new Set<Kind>(KINDS.filter((kind) => only !== undefined && !only.includes(kind))),
      includeTags: [],
      excludeTags: exclude === undefined ? [] : [exclude],
      nan,
      every,
      maxSteps,
      derive: { histogramMetrics: asked.histogramMetrics ?? false, prMetrics: false },
    },
    restarts,
    limits: { maxImageBytes },
    maxRecordBytes: asked.maxRecordBytes ?? 1 << 20,
  };
}

class Place {
  readonly root: string = temporaryDirectory();
  readonly logdir: Logdir = new Logdir(path.join(this.root, "runs"));
  readonly file: string = path.join(this.root, "mlflow", "mlflow.db");
  stateDir: string = path.join(this.root, "state");

  constructor() {
    onTestFinished(() => this.end());
  }

  end(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  /** Make the only event file hold these. */
  hold(written: readonly Written[]): void {
    this.logdir.write("train", Buffer.concat([version(), eventFile(...written.map(({ bytes }) => bytes))]));
  }

  loseState(): void {
    rmSync(this.stateDir, { recursive: true, force: true });
  }

  backend(asked: Asked): MlflowBackend {
    return new MlflowBackend({
      store: SqliteStore.open(this.file),
      experiment: "mnist",
      version: "1.2.3",
      keepsMarks: true,
      giveUpAfterMs: 1000,
      maxArtifactBytes: asked.maxFileBytes,
    });
  }

  async sync(asked: Asked, batchSize?: number, backend: MlflowBackend = this.backend(asked)): Promise<SyncResult> {
    if (batchSize !== undefined) Object.assign(backend, { batchSize });
    const checkpoints = Checkpoints.open(this.stateDir, "mlflow");
    try {
      const result = await sync({
        ...this.#source(),
        ...optionsOf(asked),
        backend,
        checkpoints,
      });
      expect(result.runs.flatMap(({ error }) => error ?? [])).toEqual([]);
      return result;
    } finally {
      checkpoints.close();
      await backend.close();
    }
  }

  /** What the last choice misses. */
  async missing(asked: Asked): Promise<number> {
    const { counts } = (await this.verify(asked)).findings;
    return [counts.points, counts.lines].reduce((sum, { missing, different }) => sum + missing + different, 0);
  }

  async verify(asked: Asked): Promise<VerifiedRun> {
    const store = SqliteStore.open(this.file, { readOnly: true });
    try {
      const all = { store, experiment: "mnist", version: "1.2.3", maxArtifactBytes: asked.maxFileBytes };
      const { runs } = await verify({ ...this.#source(), ...optionsOf(asked), ...all });
      expect(runs).toHaveLength(1);
      return runs[0] as VerifiedRun;
    } finally {
      await store.close();
    }
  }

  #source(): Pick<SyncOptions, "logdirs" | "group" | "attachSource" | "wantsRun" | "concurrency" | "signal"> {
    return {
      logdirs: [this.logdir.root],
      group: "run",
      attachSource: false,
      wantsRun: () => true,
      concurrency: 1,
      signal: new AbortController().signal,
    };
  }

  change(sql: string): void {
    const database = openDatabase(this.file, { busyTimeout: 1000 });
    database.exec(sql);
    database.close();
  }

  count(sql: string): number {
    const database = openDatabase(this.file, { busyTimeout: 1000 });
    const n = Number(database.prepare(sql).get()?.["n"]);
    database.close();
    return n;
  }

  /** The files that hold a line a histogram, by name. */
  segments(): Map<string, string> {
    const folder = readdirSync(this.root, { recursive: true, encoding: "utf8" }).filter((name) =>
      name.endsWith(".jsonl"),
    );
    return new Map(folder.map((name) => [path.basename(name), readFileSync(path.join(this.root, name), "utf8")]));
  }

  /** What is there, as `kind tag step`, and of kinds that keep them all with the number of the value. */
  there(): string[] {
    const database = openDatabase(this.file, { busyTimeout: 1000 });
    try {
      const runs = database.prepare("SELECT artifact_uri FROM runs").all();
      expect(runs).toHaveLength(1);
      const points = database.prepare("SELECT key, step, timestamp FROM metrics WHERE key LIKE '%loss'").all();
      const folder = String(runs[0]?.["artifact_uri"]);
      const files = (root: string) => {
        try {
          return readdirSync(path.join(folder, root), { recursive: true, encoding: "utf8" });
        } catch {
          return [];
        }
      };
      const lines = files("histograms").filter((name) => name.endsWith(".jsonl"));
      return [
        ...points.map(({ key, step, timestamp }) => `scalars ${key} ${step} ${numberOf(Number(timestamp) / 1000)}`),
        ...lines.flatMap((name) =>
          readFileSync(path.join(folder, "histograms", name), "utf8")
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line) as { tag: string; step: number; wall_time: number })
            .map(({ tag, step, wall_time }) => `histograms ${tag} ${step} ${numberOf(wall_time)}`),
        ),
        ...files("text")
          .filter((name) => name.endsWith(".md"))
          .map(
            (name) =>
              `text ${name.replace(/\/(\d+)\.md$/, " $1")} ${readFileSync(path.join(folder, "text", name), "utf8").replace("number ", "")}`,
          ),
        ...files("images").flatMap((name) => {
          const [, key, step] = /^(.*?)\+step\+(\d+)\+timestamp\+\d+\+[^+]*\.(?:png|webp)$/.exec(name) ?? [];
          return key === undefined ? [] : [`images ${key.replaceAll("~", "/")} ${step}`];
        }),
      ].sort();
    } finally {
      database.close();
    }
  }
}

function numberOf(wallTime: number): number {
  return Math.round(wallTime - WALL_TIME);
}

function nameOf({ kind, tag, step, n }: Written): string {
  return kind === "images" ? `${kind} ${tag} ${step}` : `${kind} ${tag} ${step} ${n}`;
}

/** Of texts and images the last one of a tag and step takes the others' place. */
function names(values: readonly Written[]): Set<string> {
  const last = new Map<string, Written>();
  for (const value of values) {
    const hasPlace = value.kind === "text" || value.kind === "images";
    last.set(hasPlace ? `${value.kind} ${value.tag} ${value.step}` : nameOf(value), value);
  }
  return new Set([...last.values()].map(nameOf));
}

function sentOf({ runs }: SyncResult, kind: Kind): number {
  return runs.reduce((sum, { tally }) => sum + (tally.kinds.get(kind)?.sent ?? 0), 0);
}

function expectThere(place: Place, atLeast: readonly Written[], atMost: readonly Written[]): void {
  const there = place.there();
  expect(there.length, "nothing is there twice").toBe(new Set(there).size);
  const has = new Set(there);
  expect([...names(atLeast)].filter((name) => !has.has(name))).toEqual([]);
  const allowed = new Set(atMost.map(nameOf));
  expect(there.filter((name) => !allowed.has(name))).toEqual([]);
}

const NARROW: readonly (readonly [string, Asked])[] = [
  ["--exclude-tags", { exclude: "debug/*" }],
  ["--only scalars", { only: ["scalars"] }],
  ["--no-histograms", { only: ["scalars", "images", "text"] }],
  ["--no-scalars", { only: ["histograms", "images", "text"] }],
  ["--nan skip", { nan: "skip" }],
  ["--every", { every: 3 }],
  ["--max-steps", { maxSteps: 2 }],
  ["--every and --max-steps", { every: 2, maxSteps: 2 }],
  ["--restarts any", { restarts: "any" }],
  ["--every and --restarts any", { every: 2, restarts: "any" }],
  ["--max-image-size", { maxImageBytes: 100 }],
  ["--max-artifact-size", { maxFileBytes: 15_000 }],
  ["--max-record-size", { maxRecordBytes: 15_000 }],
];

describe.each(NARROW)("%s", (name, narrow) => {
  const wide: Asked = {};
  const growths = [STORY.length / 3, STORY.length - 10, STORY.length].map(Math.floor);

  test.each([false, true])("without it later, what it left out is sent; state lost: %s", async (lost) => {
    const place = new Place();
    const sent: Written[] = [];
    let scalars = 0;
    for (const [i, asked] of [narrow, narrow, wide].entries()) {
      const held = STORY.slice(0, growths[i]);
      place.hold(held);
      if (lost && i > 0) place.loseState();
      scalars += sentOf(await place.sync(asked), "scalars");
      sent.push(...letIn(asked, held));
      expectThere(place, letIn(asked, held), name.includes("size") ? STORY : sent);
    }
    expect(await place.missing(wide)).toBe(0);
    expect(scalars).toBe(new Set(sent.filter(({ kind }) => kind === "scalars")).size);
    const again = await place.sync(wide);
    expect(again.runs.map(({ outcome }) => outcome)).toEqual(["unchanged"]);
  });

  test.each([false, true])("with it later, what is there stays, and it is said; state lost: %s", async (lost) => {
    const place = new Place();
    const [first, all] = [STORY.slice(0, growths[0]), STORY];
    place.hold(first);
    await place.sync(wide);
    if (lost) place.loseState();
    const before = place.there();
    const result = await place.sync(narrow);
    expect(place.there()).toEqual(before);
    const codes = result.runs.flatMap(({ notes }) => notes.map(({ code }) => code));
    const isNarrower = letIn(narrow, first).length < letIn(wide, first).length;
    if (!name.includes("size")) expect(codes).toEqual(isNarrower ? ["narrowed"] : []);
    // Which is no difference, and told apart from what nobody has sent.
    const { findings, outcome } = await place.verify(narrow);
    expect([outcome, findings.differences]).toEqual(["equal", []]);
    const earlier = Object.values(findings.counts).reduce((sum, counts) => sum + counts.earlier, 0);
    if (!isNarrower) expect(earlier).toBe(0);
    else if (!name.includes("image")) expect(earlier).toBeGreaterThan(0);
    place.change("INSERT INTO metrics SELECT key, 99, timestamp, run_uuid, step, is_nan FROM metrics WHERE step = 0");
    const extras = place.count("SELECT count(*) AS n FROM metrics WHERE value = 99");
    expect((await place.verify(narrow)).findings.counts.points).toMatchObject({ extra: extras, missing: 0 });
    place.change("DELETE FROM metrics WHERE value = 99");
    place.hold(all);
    await place.sync(narrow);
    expectThere(place, letIn(narrow, all), [...letIn(wide, first), ...letIn(narrow, all)]);
    expect((await place.sync(narrow)).runs.map(({ outcome }) => outcome)).toEqual(["unchanged"]);
    // And back: the rest of the wider one, and nothing that it had sent before.
    if (lost) place.loseState();
    const back = await place.sync(wide);
    expectThere(place, letIn(wide, all), [...letIn(wide, first), ...letIn(narrow, all), ...letIn(wide, all)]);
    const old = new Set([...letIn(wide, first), ...letIn(narrow, all)]);
    const rest = letIn(wide, all).filter((value) => !old.has(value) && value.kind === "scalars");
    expect(sentOf(back, "scalars")).toBe(rest.length);
  });
});

test.each([false, true])("--histogram-metrics later computes them of all histograms; state lost: %s", async (lost) => {
  const place = new Place();
  place.hold(STORY);
  await place.sync({});
  if (lost) place.loseState();
  const result = await place.sync({ histogramMetrics: true });
  const histograms = letIn({}, STORY).filter(({ kind }) => kind === "histograms").length;
  expect([sentOf(result, "scalars"), sentOf(result, "histograms")]).toEqual([7 * histograms, 0]);
  expect(await place.missing({ histogramMetrics: true })).toBe(0);
});

test.each([false, true])(
  "records too large for --max-record-size are sent with a larger one; state lost: %s",
  async (lost) => {
    const many = Array.from({ length: 500 }, (_, i) => ({ tag: `many/loss`, simpleValue: i }));
    const large = (step: number, n: number): Written => {
      const limits = Array.from({ length: 2000 }, (_, i) => i);
      const histo = { min: 0, max: 2000, num: 2000, sum: 1, sumSquares: 1, bucketLimit: limits, bucket: limits };
      const value = [...many, { tag: "wide/weights", histo }];
      const bytes = event({ wallTime: WALL_TIME + n, step, summary: { value } });
      return { kind: "histograms", tag: "wide/weights", step, n, bytes };
    };
    const small = STORY.filter(({ kind, tag }) => kind === "histograms" && !tag.startsWith("debug"));
    const [a, b, ...rest] = small as [Written, Written, ...Written[]];
    const all = [a, large(3, 901), b, large(4, 902), ...rest];
    const place = new Place();
    place.hold(all);
    const narrow = await place.sync({ maxRecordBytes: 10_000 });
    expect(narrow.runs[0]?.losses.map(({ reason }) => reason)).toEqual(["too-large", "too-large"]);
    expect([sentOf(narrow, "scalars"), sentOf(narrow, "histograms")]).toEqual([0, small.length]);
    if (lost) place.loseState();
    const wide = await place.sync({});
    expect(wide.runs[0]?.losses).toEqual([]);
    expect([sentOf(wide, "scalars"), sentOf(wide, "histograms")]).toEqual([1000, 2]);
    expect(await place.missing({})).toBe(0);
    // With less again, and more of the same segment: what is there stays.
    if (lost) place.loseState();
    place.hold([...all, ...STORY.slice(-8)]);
    await place.sync({ maxRecordBytes: 10_000 });
    const { outcome, findings } = await place.verify({ maxRecordBytes: 10_000 });
    expect([outcome, findings.differences]).toEqual(["equal", []]);
    expect(findings.counts.points.earlier).toBe(1000);
    expect(findings.counts.lines.earlier).toBe(2);
    expect((await place.sync({ maxRecordBytes: 10_000 })).runs[0]?.outcome).toBe("unchanged");
  },
);

test("histograms are the same whatever batches they came in, and whoever sent them", async () => {
  const contents = async (steps: readonly number[], batchSize: number) => {
    const place = new Place();
    for (const [i, step] of steps.entries()) {
      place.hold(STORY.filter(({ kind }) => kind !== "restart").slice(0, step));
      if (i % 2 === 1) place.loseState();
      await place.sync({}, batchSize);
    }
    return place.there();
  };
  const all = STORY.length;
  const once = await contents([all], 1000);
  expect(await contents([20, 21, 40, 55, all], 3)).toEqual(once);
});

test("over several segments, too: the same files, byte by byte, also where a choice came in two steps", async () => {
  const padding = (n: number): Written => {
    const bytes = textEvent("padding", n, "x".repeat(70_000));
    return { kind: "text", tag: "padding", step: n, n, bytes };
  };
  const lines = STORY.filter(({ kind }) => kind === "histograms" || kind === "scalars");
  const long = lines.flatMap((value, i) => (i % 2 === 0 ? [value] : [value, padding(i)]));
  const segmentsOf = async (steps: readonly (readonly [held: number, asked: Asked])[], batchSize: number) => {
    const place = new Place();
    for (const [i, [held, asked]] of steps.entries()) {
      place.hold(long.slice(0, held));
      if (i % 2 === 1) place.loseState();
      await place.sync({ only: ["scalars", "histograms"], ...asked }, batchSize);
    }
    return place.segments();
  };
  const once = await segmentsOf([[long.length, {}]], 1000);
  expect(once.size).toBeGreaterThan(5);
  expect(
    await segmentsOf(
      [15, 16, 30, 31, 47, long.length].map((held) => [held, {}] as const),
      2,
    ),
  ).toEqual(once);
  const widened = [
    [25, { exclude: "debug/*" }],
    [26, { exclude: "debug/*" }],
    [40, {}],
    [long.length, {}],
  ] as const;
  expect(await segmentsOf(widened, 3)).toEqual(once);
});

test("steps are counted on where another machine had got to the choice first", async () => {
  const place = new Place();
  const [own, others] = [path.join(place.root, "own"), path.join(place.root, "others")];
  const every: Asked = { every: 2 };
  for (const [stateDir, held, asked] of [
    [own, 5, {}],
    [others, 5, every],
    [own, STORY.length, every],
  ] as const) {
    place.stateDir = stateDir;
    place.hold(STORY.slice(0, held));
    await place.sync(asked);
  }
  expectThere(place, letIn(every, STORY), [...STORY.slice(0, 5), ...letIn(every, STORY)]);
});

test("that fails in the middle is gone on with: all of it in the end, and nothing twice", async () => {
  const narrow: Asked = { only: ["images"] };
  for (const failsAt of [1, 2, 3]) {
    const place = new Place();
    place.hold(STORY);
    await place.sync(narrow);
    let writes = 0;
    const backend = place.backend({});
    const write = backend.write.bind(backend);
    backend.write = async (...args) => {
      const receipt = await write(...args);
      if (++writes === failsAt) throw new TraceletError("rejected", "the reply is lost");
      return receipt;
    };
    await place.sync({}, 3, backend).catch(() => undefined);
    expect(writes).toBe(failsAt);
    if (failsAt === 2) place.loseState();
    await place.sync({});
    expectThere(place, letIn({}, STORY), letIn({}, STORY));
    expect(await place.missing({})).toBe(0);
  }
});

test("whatever is asked for in whatever order, the last choice is there, and nothing twice", async () => {
  const choices: readonly Asked[] = [
    {},
    ...NARROW.filter(([name]) => !name.includes("size")).map(([, asked]) => asked),
  ];
  // Images take the most time, and are stored as texts are.
  const written = STORY.filter(({ kind }) => kind !== "images");
  const step = fc.record({
    grow: fc.nat({ max: 30 }),
    choice: fc.nat({ max: choices.length - 1 }),
    state: fc.constantFrom("kept", "lost", "another's", "the first's"),
    batchSize: fc.constantFrom(2, 1000),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 6 }), async (steps) => {
      const place = new Place();
      try {
        let held = 20;
        const first = place.stateDir;
        const sent: Written[] = [];
        for (const { grow, choice, state, batchSize } of steps) {
          held = Math.min(written.length, held + grow);
          const asked = choices[choice] as Asked;
          place.hold(written.slice(0, held));
          if (state === "lost") place.loseState();
          if (state === "another's") place.stateDir = `${place.stateDir}2`;
          if (state === "the first's") place.stateDir = first;
          await place.sync(asked, batchSize);
          sent.push(...letIn(asked, written.slice(0, held)));
          expectThere(place, letIn(asked, written.slice(0, held)), sent);
        }
      } finally {
        place.end();
      }
    }),
    { numRuns: 12 },
  );
});

describe("a choice's text", () => {
  test("is the same for the same choice, and stands for it", () => {
    const asked = { transform: optionsOf({ exclude: "b/*", every: 2 }).transform, restarts: "keep" as const };
    const text = choiceText({ ...asked, limits: {}, maxFileBytes: Infinity, maxRecordBytes: DEFAULT_MAX_RECORD_BYTES });
    const again = choiceOf(text);
    expect(again && choiceText(again)).toBe(text);
    expect(JSON.parse(text)).toEqual({ excludeTags: ["b/*"], every: 2, restarts: "keep" });
    expect(
      choiceText({
        ...asked,
        limits: { oversize: "downscale" },
        maxFileBytes: Infinity,
        maxRecordBytes: DEFAULT_MAX_RECORD_BYTES,
      }),
    ).toBe(text);
  });

  test("of somebody else is taken only if it costs nothing", () => {
    expect(isHarmless('{"excludeTags":["debug/*","a{b,c}?"]}')).toBe(true);
    for (const text of [
      "",
      "[]",
      '{"later":1}',
      '{"every":0}',
      '{"excludeTags":["+(a+)+(b)"]}',
      '{"includeTags":["*a*a*a*a*a"]}',
    ])
      expect(isHarmless(text)).toBe(false);
  });
});
