/** The library's `sync` and `watch`, as a program calls them. */
import { existsSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openFiles } from "../../src/backends/files/index.ts";
import { openMlflow } from "../../src/backends/mlflow/index.ts";
import { TraceletError } from "../../src/errors.ts";
import { sync } from "../../src/library/sync.ts";
import { watch } from "../../src/library/watch.ts";
import type { Batch } from "../../src/sync/backend.ts";
import type { BackendPlugin } from "../../src/sync/backend-plugin.ts";
import type { WatchStatus } from "../../src/sync/engine/watch-status.ts";
import { eventFile, imageEvent, textEvent } from "../support/event-writer.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { curve, fileOf, records } from "../sync/world.ts";

/** A logdir with a run of twenty points, and where things go. */
function place() {
  const root = temporaryDirectory();
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const logdir = new Logdir(path.join(root, "runs"));
  logdir.write("train", fileOf([...curve("loss", 0, 10), ...curve("lr", 0, 10)]));
  const at = (name: string) => path.join(root, name);
  return { at, logdirs: logdir.root, stateDir: at("state"), trackingUri: `sqlite:///${at("mlflow.db")}` };
}

function points(file: string): string[] {
  const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
  return lines.flatMap((line) => {
    const { kind, tag, step } = JSON.parse(line) as { kind: string; tag: string; step: number };
    return kind === "scalar" ? [`${tag} ${step}`] : [];
  });
}

async function errorOf(work: Promise<unknown>): Promise<TraceletError> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(TraceletError);
  return error as TraceletError;
}

test("several destinations, one of which cannot be", async () => {
  const { at, ...where } = place();
  const told = new Set<string>();
  const { ok, destinations } = await sync({
    ...where,
    backend: ["mlflow", "jsonl"],
    output: at("out"),
    trackingUri: `sqlite:///${at("runs")}`,
    onProgress: ({ runs, totalRuns }, destination) => told.add(`${destination} ${runs}/${totalRuns}`),
  });
  expect(ok).toBe(false);
  expect(destinations).toMatchObject([
    { destination: "mlflow", error: { name: "TraceletError" }, runs: [] },
    { destination: "jsonl", error: undefined, location: at("out"), runs: [{ name: "train", outcome: "sent" }] },
  ]);
  expect([...told].at(-1)).toBe("jsonl 1/1");
  expect(points(at("out/train.jsonl"))).toHaveLength(20);
});

test("a session is one run, in a call as on the command line", async () => {
  const { at, trackingUri: _, ...where } = place();
  const call = { ...where, backend: "jsonl", output: at("out"), group: "logdir", runName: "exp" } as const;
  const { destinations } = await sync({ ...call, since: Date.now() / 1000 - 7200 });
  expect(destinations).toMatchObject([{ runs: [], earlierFiles: 1 }]);
  const stop = new AbortController();
  const onStart = (status: WatchStatus) => {
    const timer = setInterval(() => {
      if (!status.isCaughtUp || status.sent === 0) return;
      clearInterval(timer);
      stop.abort();
    }, 10);
  };
  // In seconds since the Unix epoch.
  expect(await watch({ ...call, since: 1_699_999_999, signal: stop.signal, onStart })).toMatchObject([
    { isCaughtUp: true, error: undefined },
  ]);
  expect(points(at("out/exp.jsonl"))).toHaveLength(20);
  expect(points(at("out/exp.jsonl"))).toContain("train/loss 9");
});

test("options are those of the command line, as values or as its texts", async () => {
  const { at, trackingUri: _, ...where } = place();
  const call = { ...where, backend: "jsonl", output: at("out"), excludeTags: "lr", giveUpAfter: "5s" } as const;
  expect((await sync({ ...call, dryRun: true })).ok).toBe(true);
  expect(existsSync(at("out"))).toBe(false);
  const ran: string[] = [];
  expect((await sync({ ...call, onRun: ({ name }) => ran.push(name) })).ok).toBe(true);
  expect([ran, points(at("out/train.jsonl"))]).toEqual([
    ["train"],
    curve("loss", 0, 10).map(({ step }) => `loss ${step}`),
  ]);
  await sync({ ...where, backend: ["jsonl"], output: at("out") });
  expect(points(at("out/train.jsonl"))).toHaveLength(20);
});

test.each([
  [{ nonsense: 1 }, /there is no option nonsense/],
  [{ logdirs: [] }, /option logdirs: it must be a path, or a list of at least one/],
  [{ logdirs: undefined }, /option logdirs/],
  [{ logdirs: "" }, /option logdirs/],
  [{ json: true }, /there is no option json/],
  [{ giveUpAfter: "10 minutes" }, /option giveUpAfter: It must be a time/],
  [{ giveUpAfter: true }, /option giveUpAfter: it cannot be true/],
  [{ concurrency: 0 }, /option concurrency: It must be a whole number/],
  [{ concurrency: "4" }, /option concurrency: it cannot be "4"/],
  [{ group: "runs" }, /option group: it must be one of run, parent/],
  [{ images: "no" }, /option images: it must be true or false/],
  [{ only: ["pictures"] }, /option only: There is no kind pictures/],
  [{ only: ["images"], images: false }, /of all kinds none is left/],
  [{ backend: "nowhere" }, /there is no backend nowhere/],
  [{ backend: [] }, /^backend is an empty list/],
  [{ destination: [] }, /^destination is an empty list/],
  [
    { backend: "jsonl", output: "out", experiment: "x" },
    /^experiment is an option of MLflow and Weights & Biases, and this is backend jsonl$/,
  ],
  [{ output: "out" }, /^output is an option of .*, and this is backend mlflow$/],
  [{ backend: "jsonl" }, /needs to be told where the files go/],
  [{ backend: {} as BackendPlugin }, /does not say which version of the seam/],
])("%j is refused before anything is begun", async (given, message) => {
  const { logdirs, stateDir } = place();
  const error = await errorOf(sync({ logdirs, stateDir, ...(given as object) }));
  expect([error.code, error.message]).toEqual(["usage", expect.stringMatching(message)]);
  expect(existsSync(stateDir)).toBe(false);
});

test("a destination that is open already takes neither a dry run nor options of its backend", async () => {
  const { at, logdirs, stateDir } = place();
  const destination = await openFiles("jsonl", { output: at("out") });
  expect((await errorOf(sync({ logdirs, stateDir, destination, dryRun: true }))).code).toBe("usage");
  expect((await errorOf(sync({ logdirs, stateDir, destination, output: at("other") }))).message).toMatch(
    /^output is an option of .*, and destination is open already$/,
  );
  await destination.backend.close();
  expect(existsSync(at("out"))).toBe(false);
});

test("a logdir that is not there", async () => {
  const { stateDir, trackingUri, at } = place();
  expect((await errorOf(sync({ logdirs: at("gone"), stateDir, trackingUri }))).code).toBe("logdir");
  // What was opened for it is free again.
  expect((await sync({ logdirs: at("runs"), stateDir, trackingUri })).ok).toBe(true);
});

test("destinations that are open already stay open, and are remembered by their names", async () => {
  const { logdirs, stateDir, trackingUri, at } = place();
  const mlflow = await openMlflow({ trackingUri, experiment: "e" });
  const files = await openFiles("csv", { output: at("out") });
  for (const outcome of ["sent", "unchanged"]) {
    const { ok, destinations } = await sync({ logdirs, stateDir, destination: [mlflow, files] });
    expect(ok).toBe(true);
    expect(destinations.map(({ destination, runs }) => [destination, runs[0]?.outcome])).toEqual([
      ["mlflow", outcome],
      ["csv", outcome],
    ]);
  }
  await mlflow.backend.close();
  await files.backend.close();
  // The same as where it is named.
  const { destinations } = await sync({ logdirs, stateDir, trackingUri, experiment: "e" });
  expect(destinations[0]?.runs[0]?.outcome).toBe("unchanged");
});

/** Keeps what it is given in memory. */
function memoryPlugin(written: string[]): BackendPlugin {
  return {
    seam: 1,
    name: "memory",
    options: { prefix: { form: "text", default: "", help: "before each line" } },
    address: () => "here",
    open: ({ prefix }) => ({
      open: async ({ name }) => ({ id: name }),
      async write({ id }, { scalars }) {
        for (let i = 0; i < scalars.length; i++) written.push(`${prefix}${id} ${scalars.step[i]}`);
      },
    }),
  };
}

test("a plug-in as an object, with its options", async () => {
  const { logdirs, stateDir } = place();
  const written: string[] = [];
  const backend = memoryPlugin(written);
  expect((await sync({ logdirs, stateDir, backend, backendOptions: { prefix: "> " } })).ok).toBe(true);
  expect([written.length, written[0]]).toEqual([20, "> train 0"]);
  // Remembered under its name.
  expect((await sync({ logdirs, stateDir, backend: memoryPlugin(written) })).ok).toBe(true);
  expect(written.length).toBe(20);
});

test("a plug-in gets the kinds it stores, and no others", async () => {
  const { at, stateDir } = place();
  const logdir = new Logdir(at("mixed"));
  const image = eventFile(imageEvent("img", 1, Buffer.from("89504e470d0a1a0a", "hex")));
  const text = (tag: string) => eventFile(textEvent(tag, 1, tag));
  logdir.write("run/a.tfevents", Buffer.concat([fileOf(curve("loss", 0, 3)), image, text("first")]));
  logdir.write("run/b.tfevents", Buffer.concat([fileOf(curve("lr", 0, 3), 1), text("second"), image]));
  const batches: Batch[] = [];
  const backend: BackendPlugin = {
    ...{ seam: 1, name: "texts", kinds: ["text"], address: () => "here" },
    open: () => ({
      open: async ({ name }) => ({ id: name }),
      write: async (_run, batch) => void batches.push({ ...batch }),
    }),
  };
  const { ok, destinations } = await sync({ logdirs: logdir.root, stateDir, backend });
  expect([ok, batches.map(({ scalars }) => scalars.length)]).toEqual([true, batches.map(() => 0)]);
  const told = batches.flatMap(({ data, parts }) =>
    data.map(({ tag }, i) => [path.basename(parts.findLast(({ firstDatum }) => firstDatum <= i)?.file ?? ""), tag]),
  );
  expect(told).toEqual([
    ["a.tfevents", "first"],
    ["b.tfevents", "second"],
  ]);
  const { kinds } = destinations[0]?.runs[0]?.tally ?? {};
  const skipped = new Map([["unsupported-kind", expect.any(Number)]]);
  expect(Object.fromEntries(kinds ?? [])).toMatchObject({
    ...{ scalars: { sent: 0, skipped }, images: { sent: 0, skipped }, text: { sent: 2, skipped: new Map() } },
  });
});

test("a call that is told to end says so, and the next one goes on", async () => {
  const { at, trackingUri: _, ...where } = place();
  const call = { ...where, backend: "jsonl", output: at("out") };
  const { ok, destinations } = await sync({ ...call, signal: AbortSignal.abort() });
  expect([ok, destinations[0]?.interrupted]).toEqual([false, true]);
  expect((await sync(call)).ok).toBe(true);
  expect(points(at("out/train.jsonl"))).toHaveLength(20);
});

test("watch: what is written while it runs is sent, until it is told to end", async () => {
  const { at, trackingUri: _, ...where } = place();
  const logdir = new Logdir(where.logdirs);
  const end = new AbortController();
  const statuses: Record<string, WatchStatus> = {};
  const watching = watch({
    ...where,
    backend: "jsonl,csv".split(","),
    output: at("out"),
    signal: end.signal,
    flushInterval: 10,
    poll: 10,
    onStart: (status, destination) => void (statuses[destination] = status),
  });
  const file = at("out/jsonl/train.jsonl");
  await expect.poll(() => (existsSync(file) ? points(file).length : 0), { timeout: 60_000 }).toBe(20);
  logdir.append("train", records(curve("loss", 10, 30)));
  await expect.poll(() => points(file).length, { timeout: 60_000 }).toBe(40);
  await expect.poll(() => statuses["csv"]?.isCaughtUp && statuses["jsonl"]?.isCaughtUp, { timeout: 60_000 }).toBe(true);
  end.abort();
  expect(await watching).toMatchObject([
    { destination: "jsonl", isCaughtUp: true, anySetAside: false, error: undefined, location: at("out/jsonl") },
    { destination: "csv", isCaughtUp: true, anySetAside: false, error: undefined, location: at("out/csv") },
  ]);
  // It holds nothing any more.
  expect((await sync({ ...where, backend: "jsonl", output: at("out") })).ok).toBe(true);
});
