/** `--backend` with several names: each is told apart, and none takes another with it. */
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { curve, records } from "../sync/world.ts";
import { ended, expectHarmless, type Machine, machineWithRun, type SyncJson, says } from "./tracelet.ts";

interface SeveralJson {
  readonly outcome: string;
  readonly destinations: readonly (SyncJson & { readonly backend: string; readonly destination: string | null })[];
}

async function syncAll(machine: Machine, ...args: readonly string[]) {
  const end = await machine.run("sync", "runs", "--json", "--output", "out", ...args);
  expect(end.stdout).toMatch(/^\{.*\}\n$/);
  return { ...(JSON.parse(end.stdout) as SeveralJson), ...end };
}

/** A plug-in that stores nothing, and fails when it is closed. */
const BROKEN_AT_THE_END = `
export default {
  seam: 1,
  address: () => "here",
  open: () => ({
    open: async ({ name }) => ({ id: name }),
    write: async () => {},
    close: async () => { throw new Error("it cannot be closed"); },
  }),
};`;

/** Scalars of one destination: of JSON lines and tables by their rows. @param folder where several formats have each its own */
function pointsIn(machine: Machine, backend: "jsonl" | "csv", folder = ""): number {
  const file = path.join(machine.root, "out", folder, backend === "csv" ? "train/scalars.csv" : "train.jsonl");
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return backend === "csv" ? lines.length - 1 : lines.filter((line) => line.includes('"kind":"scalar"')).length;
}

describe("sync", () => {
  test.each<[string, readonly string[], Readonly<Record<string, string>>]>([
    ["a list", ["--backend", "mlflow,jsonl,csv"], {}],
    ["repeated", ["--backend", "mlflow", "--backend", "jsonl, csv", "--backend", "csv"], {}],
    ["a variable", [], { TRACELET_BACKEND: "mlflow,jsonl,csv" }],
  ])("%s: all of them have the same points, and each has its block", async (_, args, env) => {
    const machine = machineWithRun();
    machine.env = env;
    const first = await syncAll(machine, ...args);
    expect([first.code, first.outcome]).toEqual([0, "ok"]);
    expect(first.destinations.map(({ backend, outcome }) => [backend, outcome])).toEqual([
      ["mlflow", "ok"],
      ["jsonl", "ok"],
      ["csv", "ok"],
    ]);
    const out = path.join(machine.root, "out");
    expect(first.destinations.map(({ destination }) => destination)).toEqual([
      `mlflow sqlite:${machine.database} Default`,
      `jsonl ${out}/jsonl`,
      `csv ${out}/csv`,
    ]);
    for (const { kinds, runs } of first.destinations) {
      expect(kinds["scalars"]).toMatchObject({ read: 20, sent: 20, failed: 0 });
      expect(runs).toMatchObject([{ name: "train", outcome: "sent" }]);
    }
    const rows = (["jsonl", "csv"] as const).map((format) => pointsIn(machine, format, format));
    expect([machine.points(), ...rows]).toEqual([20, 20, 20]);
    expectHarmless(first.stderr);
    for (const { destination } of first.destinations) expect(first.stderr).toContain(`\n${destination}\n`);
    expect(first.stderr).toMatch(/\n3 destinations: mlflow ok, jsonl ok, csv ok\n$/);
    expect(first.stderr).toContain("View results: mlflow ui");

    const again = await syncAll(machine, ...args);
    expect(again.destinations.map(({ runs }) => runs[0]?.outcome)).toEqual(["unchanged", "unchanged", "unchanged"]);
  });

  test("one that fails is told apart, the others are done, and it catches up alone", async () => {
    const machine = machineWithRun();
    // A directory is no database.
    mkdirSync(machine.database);
    const first = await syncAll(machine, "--backend", "mlflow,jsonl");
    expect([first.code, first.outcome]).toEqual([1, "failed"]);
    expect(first.destinations).toMatchObject([
      { backend: "mlflow", destination: null, outcome: "failed", error: { message: expect.any(String) } },
      { backend: "jsonl", outcome: "ok", error: null },
    ]);
    expect(first.stderr).toContain("\nmlflow\nerror: ");
    expect(first.stderr).toMatch(/\n2 destinations: mlflow failed, jsonl ok\n$/);
    expect(pointsIn(machine, "jsonl")).toBe(20);
    rmSync(machine.database, { recursive: true });
    const quiet = await syncAll(machine, "--backend", "mlflow,jsonl", "--quiet");
    expect([quiet.code, quiet.stderr]).toEqual([0, ""]);
    expect(quiet.destinations.map(({ runs }) => runs[0]?.outcome)).toEqual(["sent", "unchanged"]);
    expect([machine.points(), pointsIn(machine, "jsonl")]).toEqual([20, 20]);
  });

  test("--quiet shows the block of what went wrong, and that alone", async () => {
    const machine = machineWithRun();
    mkdirSync(machine.database);
    const { stderr } = await syncAll(machine, "--backend", "mlflow,jsonl", "--quiet");
    expect(stderr).toContain("\nmlflow\nerror: ");
    expect(stderr).not.toContain(`jsonl ${machine.root}`);
  });

  test("the exit code is that of the worst: damage, and a failure beside it", async () => {
    const machine = machineWithRun();
    machine.logdir.append("train", records(curve("loss", 10, 12)));
    const file = machine.logdir.path("train");
    const bytes = readFileSync(file);
    bytes[bytes.length - 6] = (bytes.at(-6) ?? 0) ^ 0xff;
    machine.logdir.write("train", bytes);
    const damaged = await syncAll(machine, "--backend", "jsonl,csv");
    expect([damaged.code, damaged.outcome]).toEqual([3, "damage"]);
    mkdirSync(machine.database);
    const worse = await syncAll(machine, "--backend", "jsonl,mlflow");
    expect([worse.code, worse.outcome]).toEqual([1, "failed"]);
  });

  test("what one of them refuses of the options is told before anything is sent", async () => {
    const machine = machineWithRun();
    const { code, stderr } = await machine.run("sync", "runs", "--backend", "mlflow,jsonl");
    expect([code, stderr]).toEqual([2, expect.stringContaining("--backend jsonl needs to be told where the files go")]);
    expect(existsSync(machine.database)).toBe(false);
    for (const [args, message] of [
      [["--backend", "jsonl,csv", "--output", "-"], "--output - takes --backend jsonl only"],
      [["--backend", "jsonl,csv", "--output", "out", "--experiment", "e"], "--experiment is an option of MLflow"],
      [["--backend", "mlflow", "--output", "out"], "--output is an option of files"],
    ] as const) {
      const refused = await machine.run("sync", "runs", ...args);
      expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining(message)]);
    }
    expect(existsSync(path.join(machine.root, "out"))).toBe(false);
  });

  test("lines to standard output, beside MLflow", async () => {
    const machine = machineWithRun();
    const { code, stdout } = await machine.run("sync", "runs", "--backend", "mlflow,jsonl", "--output", "-");
    const lines = stdout.trimEnd().split("\n");
    expect(lines.filter((line) => (JSON.parse(line) as { kind: string }).kind === "scalar")).toHaveLength(20);
    expect([code, machine.points()]).toEqual([0, 20]);
  });

  test("one that cannot be closed is told of, and takes no other with it", async () => {
    const machine = machineWithRun();
    writeFileSync(path.join(machine.root, "broken.mjs"), BROKEN_AT_THE_END);
    const to = ["--backend", "./broken.mjs,jsonl", "--output", "out"];
    const synced = await machine.run("sync", "runs", ...to);
    expect([synced.code, synced.stderr]).toEqual([1, expect.stringMatching(/Failed\n {2}.*broken.*cannot be closed/)]);
    expect(synced.stderr).toMatch(/\n2 destinations: broken failed, jsonl ok\n$/);
    const alone = await machine.run("sync", "runs", "--backend", "./broken.mjs", "--json");
    expect([alone.code, JSON.parse(alone.stdout)]).toMatchObject([1, { outcome: "failed", error: { code: "plugin" } }]);
    expect(pointsIn(machine, "jsonl")).toBe(20);
    machine.logdir.append("train", records(curve("loss", 10, 15)));
    const watched = await machine.run("watch", "runs", ...to, "--until-idle", "1s");
    expect([watched.code, watched.stderr]).toEqual([1, expect.stringMatching(/\[broken\] error: .*cannot be closed/)]);
    expect(pointsIn(machine, "jsonl")).toBe(25);
  });

  test("a dry run of all of them writes nothing", async () => {
    const machine = machineWithRun();
    const { code, destinations } = await syncAll(machine, "--dry-run", "--backend", "mlflow,jsonl,csv");
    expect([code, destinations.map(({ kinds }) => kinds["scalars"]?.sent)]).toEqual([0, [20, 20, 20]]);
    expect([existsSync(machine.database), existsSync(path.join(machine.root, "out"))]).toEqual([false, false]);
  });

  test("one that another process sends to is locked, the others are not", async () => {
    const machine = machineWithRun();
    const watch = machine.start("watch", "runs", "--backend", "jsonl", "--output", "out/jsonl");
    const over = ended(watch);
    const beginning = says(watch, "sending what is there");
    const has = () => existsSync(path.join(machine.root, "out/jsonl/train.jsonl"));
    while (!has()) await new Promise((resolve) => setTimeout(resolve, 20));
    const { code, destinations } = await syncAll(machine, "--backend", "jsonl,csv");
    expect(code).toBe(1);
    expect(destinations).toMatchObject([
      { backend: "jsonl", outcome: "failed", error: { code: "locked" } },
      { backend: "csv", outcome: "ok" },
    ]);
    watch.kill("SIGTERM");
    await Promise.all([over, beginning]);
  });
});

test("Ctrl-C while one does not answer: the other is done, and it ends in time", async () => {
  const machine = machineWithRun();
  const server = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void server.close().unref());
  await once(server, "listening");
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const to = ["--backend", "mlflow,jsonl", "--output", "out", "--tracking-uri", uri, "--shutdown-timeout", "3s"];
  const child = machine.start("sync", "runs", "--json", ...to);
  const over = ended(child);
  await says(child, "jsonl: 1 run: 1 sent");
  child.kill("SIGINT");
  const { code, stdout, stderr } = await over;
  expect(code).toBe(130);
  expect(JSON.parse(stdout)).toMatchObject({
    outcome: "interrupted",
    destinations: [
      { backend: "mlflow", outcome: "interrupted" },
      { backend: "jsonl", outcome: "ok", runs: [{ name: "train", outcome: "sent" }] },
    ],
  });
  expect(stderr).toMatch(/\n2 destinations: mlflow interrupted, jsonl ok\n$/);
  expect(pointsIn(machine, "jsonl")).toBe(20);
});

test("status shows each, and forget takes several", async () => {
  const machine = machineWithRun();
  await syncAll(machine, "--backend", "mlflow,jsonl,csv");
  const keys = async (...args: readonly string[]) => {
    const { stdout } = await machine.run("status", "runs", "--json", ...args);
    const { runs } = JSON.parse(stdout) as { runs: { destination: string; state: string }[] };
    return runs.map(({ destination, state }) => `${destination.split(" ")[0]} ${state}`);
  };
  expect(await keys()).toEqual(["csv done", "jsonl done", "mlflow done"]);
  expect(await keys("--backend", "mlflow,csv")).toEqual(["csv done", "mlflow done"]);
  machine.logdir.append("train", records(curve("loss", 10, 11)));
  const { stdout } = await machine.run("status", "runs", "--json", "--backend", "jsonl");
  const left = records(curve("loss", 10, 11)).length;
  const sent = machine.logdir.size("train") - left;
  const out = path.join(machine.root, "out/jsonl");
  expect((JSON.parse(stdout) as { destinations: unknown }).destinations).toEqual([
    { backend: "jsonl", destination: `jsonl ${out}`, runs: 1, done: 0, sent, left },
  ]);
  await syncAll(machine, "--backend", "mlflow,jsonl,csv");
  expect((await machine.run("forget", "runs", "--backend", "jsonl,csv")).code).toBe(0);
  expect(await keys()).toEqual(["mlflow done"]);
});

describe("verify", () => {
  test("compares each where sync has put it, and tells them apart", async () => {
    const machine = machineWithRun();
    const to = ["--backend", "mlflow,jsonl,csv", "--output", "out"];
    await machine.run("sync", "runs", ...to);
    const equal = await machine.run("verify", "runs", "--json", ...to);
    expect(equal.code).toBe(0);
    expect(JSON.parse(equal.stdout)).toMatchObject({
      outcome: "equal",
      destinations: ["mlflow", "jsonl", "csv"].map((backend) => ({
        ...{ backend, outcome: "equal", counts: { points: { compared: 20, missing: 0 } } },
      })),
    });
    expect(equal.stderr).toMatch(/\n3 destinations: mlflow equal, jsonl equal, csv equal\n$/);
    machine.look((database) => database.exec("DELETE FROM metrics WHERE key = 'loss' AND step = 3"));
    const different = await machine.run("verify", "runs", "--quiet", ...to);
    expect([different.code, different.stdout]).toEqual([1, ""]);
    expect(different.stderr).toContain("step 3: 0.75");
    expect(different.stderr).toMatch(/\n3 destinations: mlflow different, jsonl equal, csv equal\n$/);
    expect(different.stderr).not.toContain(`\njsonl ${machine.root}`);
  });
});

describe("watch", () => {
  test("each has what there is at the end, and is told apart", async () => {
    const machine = machineWithRun();
    const { code, stdout } = await machine.run(
      ...["watch", "runs", "--backend", "mlflow,jsonl", "--output", "out", "--until-idle", "1s", "--json"],
    );
    const objects = stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(code).toBe(0);
    expect(objects.filter(({ type }) => type === "status").map(({ backend, sent }) => [backend, sent])).toEqual([
      ["mlflow", 20],
      ["jsonl", 20],
    ]);
    expect(objects.at(-1)).toMatchObject({
      ...{ type: "end", code: 0, interrupted: false, error: null },
      destinations: [
        { backend: "mlflow", code: 0, error: null },
        { backend: "jsonl", code: 0, error: null },
      ],
    });
    expect([machine.points(), pointsIn(machine, "jsonl")]).toEqual([20, 20]);
  });

  test("--until-idle waits for those that go on, not for one that has ended", async () => {
    const machine = machineWithRun();
    mkdirSync(machine.database);
    const to = ["--backend", "mlflow,jsonl", "--output", "out", "--until-idle", "1s"];
    const { code, stderr } = await machine.run("watch", "runs", ...to);
    expect([code, stderr]).toEqual([1, expect.stringContaining("nothing more is sent there")]);
    expect(pointsIn(machine, "jsonl")).toBe(20);
  });

  test("what is sent once the training has ended is counted, too", async () => {
    const machine = machineWithRun();
    const to = ["--backend", "jsonl,csv", "--output", "out", "--", "true"];
    const { code, stderr } = await machine.run("watch", "runs", ...to);
    expect(code).toBe(0);
    for (const name of ["jsonl", "csv"])
      expect(stderr).toMatch(new RegExp(`\\[${name}\\] 1 run \\(\\d live\\), 20 values sent, 0 B behind`));
  });

  test("beside a training, with a server that is not there", async () => {
    const machine = machineWithRun();
    const to = ["--backend", "mlflow,jsonl", "--output", "out", "--tracking-uri", "http://127.0.0.1:9"];
    const { code, stderr, stdout } = await machine.run(
      ...["watch", "runs", ...to, "--give-up-after", "1s", "--", "echo", "trained"],
    );
    expect([code, stdout]).toEqual([1, "trained\n"]);
    expect(stderr).toMatch(/\[mlflow\] error: .*127\.0\.0\.1:9/);
    expect(stderr).toMatch(/\[mlflow\] warning: not sent yet: 1 run/);
    expect(stderr).not.toMatch(/\[jsonl\] (error|warning)/);
    expect(pointsIn(machine, "jsonl")).toBe(20);
  });

  test("one that cannot be opened ends alone, beside a training, too", async () => {
    const machine = machineWithRun();
    mkdirSync(machine.database);
    const { code, stderr } = await machine.run(
      ...["watch", "runs", "--backend", "mlflow,jsonl", "--output", "out", "--", "true"],
    );
    expect(code).toBe(1);
    expect(stderr).toMatch(/\[mlflow\] error: .*; nothing more is sent there/);
    expect(stderr).toMatch(/\[jsonl\] \d runs? \(/);
    expect(stderr).not.toMatch(/\[mlflow\] \d run/);
    expect(pointsIn(machine, "jsonl")).toBe(20);
  });
});
