/** Whatever the world does in whatever order: once it is calm, one sync brings the destination level with the source. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { WALL_TIME } from "../support/event-writer.ts";
import { type Fault, type MemoryRun, pointText } from "../support/memory-backend.ts";
import { type Point, records, version, World } from "./world.ts";

const RUNS = ["train", "eval/deep"];

interface Model {
  /** What each file holds, by `run/name`. */
  readonly files: Map<string, ModelFile>;
  /** Every point that ever stood in a file of the run. */
  readonly ever: Map<string, Set<string>>;
  steps: number;
}

interface ModelFile {
  readonly name: string;
  readonly points: Point[];
  /** What is still to be written: the rest of a record, and its point; or what a copy under way lacks, which was there before. */
  pending: { readonly rest: Buffer; readonly point: Point | undefined } | undefined;
}

interface Real {
  readonly world: World;
  backup: MemoryRun[];
  bringBackState: () => void;
}

type Command = fc.AsyncCommand<Model, Real>;

const runOf = ({ name }: ModelFile) => name.slice(0, name.lastIndexOf("/"));
const textOf = ({ tag, step, wallTime, value }: Point) => pointText(tag, step, wallTime, value);

function newPoint(model: Model, file: ModelFile): Point {
  const step = model.steps++;
  return { tag: file.name, step, value: step / 8, wallTime: WALL_TIME + step };
}

function hold(model: Model, file: ModelFile, points: readonly Point[]): void {
  file.points.push(...points);
  const ever = model.ever.get(runOf(file)) ?? new Set();
  model.ever.set(runOf(file), ever);
  for (const point of points) ever.add(textOf(point));
}

function append(model: Model, file: ModelFile, count: number, world: World): void {
  const points = Array.from({ length: count }, () => newPoint(model, file));
  world.logdir.append(file.name, records(points));
  hold(model, file, points);
}

function complete(model: Model, file: ModelFile, world: World): void {
  if (file.pending === undefined) return;
  world.logdir.append(file.name, file.pending.rest);
  if (file.pending.point !== undefined) hold(model, file, [file.pending.point]);
  file.pending = undefined;
}

function newFile(run: number): Command {
  return {
    check: ({ files }) => files.size < 6,
    async run({ files }, { world }) {
      const name = `${RUNS[run]}/tfevents.${files.size}`;
      world.logdir.write(name, version(files.size));
      files.set(name, { name, points: [], pending: undefined });
    },
    toString: () => `newFile(${run})`,
  };
}

/** Something that happens to one of the files that are there, if it is one that it can happen to. */
function onFile<T>(
  name: string,
  argument: fc.Arbitrary<T>,
  fits: (file: ModelFile) => boolean,
  act: (model: Model, file: ModelFile, argument: T, world: World) => void,
): fc.Arbitrary<Command> {
  return fc.tuple(fc.nat(5), argument).map(([number, given]): Command => {
    const fileOf = (model: Readonly<Model>) => [...model.files.values()][number % model.files.size] as ModelFile;
    return {
      check: (model) => fits(fileOf(model)),
      run: async (model, { world }) => act(model, fileOf(model), given, world),
      toString: () => `${name}(${number}, ${given})`,
    };
  });
}

/** Something that does not touch the files. */
function happens(name: string, act: (real: Real) => Promise<void> | void): fc.Arbitrary<Command> {
  return fc.constant({ check: () => true, run: async (_model, real) => act(real), toString: () => name });
}

async function calmSync({ world }: Real): Promise<void> {
  world.backend.fault = () => undefined;
  const result = await world.sync();
  expect(result.error).toBeUndefined();
  for (const run of result.runs) expect([run.error, run.problems, run.losses]).toEqual([undefined, [], []]);
}

function syncWithCrash([n, when]: readonly [number, Fault["when"]]): Command {
  return {
    check: () => true,
    async run(_model, { world }) {
      world.backend.fault = (call) => (call.n >= n ? { when: call.n === n ? when : "before" } : undefined);
      await world.sync();
    },
    toString: () => `syncWithCrashAtCall(${n}, ${when})`,
  };
}

const part = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const few = fc.integer({ min: 1, max: 9 });
const isWhole = (file: ModelFile) => file.pending === undefined;
const appends = onFile("append", few, isWhole, append);

const commands = fc.commands<Model, Real, false>(
  [
    appends,
    appends,
    onFile("cutRecord", part, isWhole, (model, file, at, world) => {
      const point = newPoint(model, file);
      const whole = records([point]);
      const cut = 1 + Math.floor(at * (whole.length - 1));
      world.logdir.append(file.name, whole.subarray(0, cut));
      file.pending = { rest: whole.subarray(cut), point };
    }),
    onFile(
      "completeRecord",
      fc.constant(0),
      (file) => !isWhole(file),
      (model, file, _, world) => complete(model, file, world),
    ),
    // The same content under a new inode, as rsync leaves it.
    onFile(
      "copyOver",
      fc.constant(0),
      () => true,
      (_model, { name }, _, world) => {
        world.logdir.replace(name, world.logdir.read(name));
      },
    ),
    // As while it is copied anew. Written on in another way it would be another run.
    onFile(
      "cutForAWhile",
      part,
      (file) => isWhole(file) && file.points.length > 1,
      (_model, file, at, world) => {
        const kept = file.points.slice(0, 1 + Math.floor(at * (file.points.length - 1)));
        const length = version().length + records(kept).length;
        file.pending = { rest: world.logdir.read(file.name).subarray(length), point: undefined };
        world.logdir.truncate(file.name, length);
      },
    ),
    fc.nat(1).map(newFile),
    happens("sync", calmSync),
    fc.tuple(fc.integer({ min: 1, max: 8 }), fc.constantFrom("before", "after", "between")).map(syncWithCrash),
    happens("loseState", ({ world }) => world.loseState()),
    happens("keepState", (real) => void (real.bringBackState = real.world.keepState())),
    happens("bringBackState", (real) => real.bringBackState()),
    happens("backUp", (real) => void (real.backup = real.world.backend.snapshot())),
    happens("rollBack", ({ world, backup }) => void (world.backend.runs = structuredClone(backup))),
  ],
  { maxCommands: 40, size: "max" },
);

test("in the end the destination has what the source has, once", async () => {
  await fc.assert(
    fc.asyncProperty(commands, fc.constantFrom(1, 3, 1000), async (script, batchSize) => {
      const real: Real = { world: new World(), backup: [], bringBackState: () => {} };
      real.world.backend.batchSize = batchSize;
      const model: Model = { files: new Map(), ever: new Map(), steps: 0 };
      try {
        await newFile(0).run(model, real);
        await fc.asyncModelRun(() => ({ model, real }), script);
        await expectLevel(model, real);
      } finally {
        real.world.end();
      }
    }),
    { numRuns: 300 },
  );
});

async function expectLevel(model: Model, real: Real): Promise<void> {
  const { backend } = real.world;
  const files = [...model.files.values()];
  for (const file of files) {
    complete(model, file, real.world);
    // A run without any value is none.
    if (file.points.length === 0) append(model, file, 1, real.world);
  }
  await calmSync(real);
  const names = [...new Set(files.map(runOf))];
  expect(backend.runs.map((run) => run.name).sort()).toEqual(names.sort());
  for (const name of names) {
    const { points, status } = backend.run(name);
    const source = files.filter((file) => runOf(file) === name).flatMap((file) => file.points.map(textOf));
    expect(source.filter((point) => !points.has(point))).toEqual([]);
    // What a file no longer holds is not taken back.
    const ever = model.ever.get(name);
    expect([...points.keys()].filter((point) => !ever?.has(point))).toEqual([]);
    expect(status).toBe("finished");
  }
  await calmSync(real);
  expect(backend.calls).toEqual([]);
}
