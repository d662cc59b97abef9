/** Files in which there is nothing to send: read once, said once, and looked at again when they change. */
import { expect, test, vi } from "vitest";

/** Bytes that were read, by the end of the file's path. */
const bytes = vi.hoisted(() => new Map<string, number>());
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const open: typeof real.open = async (path, ...more) => {
    const handle = await real.open(path, ...more);
    const name = String(path).split("/").at(-1) as string;
    bytes.set(name, bytes.get(name) ?? 0);
    return new Proxy(handle, {
      get(target, key) {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== "function") return member;
        return async (...args: unknown[]) => {
          const result: unknown = await Reflect.apply(member, target, args);
          if (key === "read") bytes.set(name, (bytes.get(name) ?? 0) + (result as { bytesRead: number }).bytesRead);
          return result;
        };
      },
    });
  };
  return { ...real, open };
});

const { codes, curve, expectPoints, fileOf, World } = await import("./world.ts");

const MIB = 1 << 20;

/** How many bytes were read of each file since the last time. */
function takeBytes(): Record<string, number> {
  const read = Object.fromEntries(bytes);
  bytes.clear();
  return read;
}

test("zeros are read once, beside a run's values and alone, whatever is asked of the run", async () => {
  const world = World.create();
  world.logdir.write("run/tfevents.1", fileOf(curve("loss", 0, 5)));
  world.logdir.write("run/tfevents.2", Buffer.alloc(16 * MIB));
  world.logdir.write("alone/tfevents.3", Buffer.alloc(16 * MIB));
  const first = await world.sync();
  const read = takeBytes();
  for (const name of ["tfevents.2", "tfevents.3"]) {
    expect(read[name]).toBeGreaterThanOrEqual(16 * MIB);
    // The reader's first buffer is filled, and then its zeros are counted with all others.
    expect(read[name]).toBeLessThan(17 * MIB + 4096);
  }
  expect(first.runs.flatMap(({ waiting }) => waiting.map(({ state }) => state))).toEqual(["zeros", "zeros"]);

  const second = await world.sync();
  expect(takeBytes()).toEqual({});
  expect(second.runs.map(({ name, outcome }) => [name, outcome])).toEqual([
    ["alone", "empty"],
    ["run", "unchanged"],
  ]);

  // The rest of the run grows.
  world.logdir.append("run/tfevents.1", fileOf(curve("loss", 5, 10)));
  await world.sync();
  expect(takeBytes()["tfevents.2"] ?? 0).toBe(0);
  expectPoints(world.backend.run("run"), curve("loss", 0, 10));
});

test("what appears in them is sent", async () => {
  const world = World.create();
  for (const name of ["empty", "zeros", "cut"]) world.logdir.write(`${name}/tfevents.1`, Buffer.alloc(0));
  world.logdir.write("zeros/tfevents.1", Buffer.alloc(MIB));
  world.logdir.write("cut/tfevents.1", fileOf(curve("loss", 0, 5)).subarray(0, 20));
  for (let i = 0; i < 2; i++)
    expect((await world.sync()).runs.map(({ outcome }) => outcome)).toEqual(["empty", "empty", "empty"]);
  for (const name of ["empty", "zeros", "cut"]) world.logdir.write(`${name}/tfevents.1`, fileOf(curve(name, 0, 5)));
  await world.sync();
  for (const name of ["empty", "zeros", "cut"]) expectPoints(world.backend.run(name), curve(name, 0, 5));
  expect((await world.sync()).runs.map(({ outcome }) => outcome)).toEqual(["unchanged", "unchanged", "unchanged"]);
});

test("what is no event file is said once; damage at every sync, as long as it is there", async () => {
  const world = World.create();
  world.logdir.write("run/tfevents.1", fileOf(curve("loss", 0, 5)));
  world.logdir.write("run/tfevents.gz", Buffer.from([0x1f, 0x8b, 8, 0, ...Buffer.alloc(100, 7)]));
  world.logdir.write("run/tfevents.noise", Buffer.alloc(100, 7));
  world.logdir.write("none/tfevents.lfs", Buffer.from("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"));
  const said = (result: Awaited<ReturnType<typeof world.sync>>) => ({
    notes: result.runs.flatMap(({ notes }) => notes.map(({ code }) => code)),
    losses: result.runs.flatMap(({ losses }) => losses.map(({ start, end, reason }) => [start, end, reason])),
  });
  const damage = [[0, 100, "damaged-tail"]];
  expect(said(await world.sync())).toEqual({ notes: ["not-an-event-file", "not-an-event-file"], losses: damage });
  takeBytes();
  for (let i = 0; i < 2; i++) {
    expect(said(await world.sync())).toEqual({ notes: [], losses: damage });
    expect(takeBytes()).toEqual({});
  }
  // Its neighbour grows: the run is looked at as a whole.
  world.logdir.append("run/tfevents.1", fileOf(curve("loss", 5, 6)));
  expect(said(await world.sync())).toEqual({ notes: [], losses: damage });
});

test("hyperparameters that cannot be read are said once where there is no run either", async () => {
  const world = World.create();
  world.logdir.write("run/tfevents.1", Buffer.alloc(0));
  world.logdir.write("run/hparams.yaml", Buffer.from("just a line\n"));
  const problems = async () => (await world.sync()).runs.flatMap((run) => run.problems.map(({ code }) => code));
  expect(await problems()).toHaveLength(1);
  expect(await problems()).toEqual([]);
  world.logdir.write("run/hparams.yaml", Buffer.from("still just a line\n"));
  expect(await problems()).toHaveLength(1);
  world.logdir.write("run/hparams.yaml", Buffer.from("lr: 0.1\n"));
  expect(await problems()).toEqual([]);
  expect(world.backend.run("run").hparams).toEqual(new Map([["lr", 0.1]]));
});

test("a file whose values have given way to zeros is said, as long as it is so", async () => {
  const world = World.create();
  world.logdir.write("run/tfevents.1", fileOf(curve("loss", 0, 50)));
  await world.sync();
  world.logdir.write("run/tfevents.1", Buffer.alloc(MIB));
  for (let i = 0; i < 2; i++) expect(codes(await world.sync())).toEqual(["replaced"]);
});
