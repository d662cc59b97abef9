/** `tracelet watch` without a command: options, signals, ends. */
import { spawn } from "node:child_process";
import { describe, expect, test } from "vitest";
import { splitTraining } from "../../src/cli/program.ts";
import { ended, expectHarmless } from "./tracelet.ts";
import { Watch } from "./watch-script.ts";

describe("options", () => {
  const given = async (...args: readonly string[]) => {
    const watch = Watch.create();
    const end = await watch.run({ logOptions: true, steps: [{ end: 0 }] }, ...args);
    expect(end).toMatchObject({ code: 0 });
    return JSON.parse(watch.read("log").split("\n")[0] as string) as Record<string, unknown>;
  };

  test("have defaults", async () => {
    expect(await given("a", "b")).toMatchObject({
      ...{ logdirs: ["a", "b"], concurrency: 4, flushIntervalMs: 500, idleTimeoutMs: 1_800_000, patienceMs: 30_000 },
      ...{ rescanMs: 120_000, group: "run", restarts: "explicit", trace: "undefined", tellsOrigin: true },
    });
    expect(await given("a")).not.toHaveProperty("pollMs");
  });

  test("reach the engine", async () => {
    const args = ["--flush-interval", "2s", "--rescan", "5m", "--idle-timeout", "1h", "--patience", "0s", "--poll"];
    expect(await given("a", ...args, "--concurrency", "9", "--group", "nested", "--log-level=debug")).toMatchObject({
      ...{ flushIntervalMs: 2000, rescanMs: 300_000, idleTimeoutMs: 3_600_000, patienceMs: 0, pollMs: 1000 },
      ...{ concurrency: 9, group: "nested", trace: "function" },
    });
    expect(await given("a", "--no-source-path")).toMatchObject({ tellsOrigin: false });
    expect(await given("--poll", "250ms", "a")).toMatchObject({ pollMs: 250, logdirs: ["a"] });
  });

  test("that are wrong start nothing", async () => {
    const watch = Watch.create();
    const wrong = [["--poll", "runs"], ["runs", "--rescan", "often"], ["runs", "--only", "audio", "--no-audio"], []];
    for (const args of wrong) expect([args, (await watch.run({}, ...args)).code]).toEqual([args, 2]);
    expect(watch.read("log")).toBe("");
  });
});

describe("the command behind --", () => {
  const split = (...args: readonly string[]) => splitTraining(["node", "tracelet", ...args]);

  test("is what stands behind the first, as it is", () => {
    expect(split("watch", "runs", "--", "python", "-m", "x", "--", "--json")).toEqual({
      argv: ["node", "tracelet", "watch", "runs"],
      training: ["python", "-m", "x", "--", "--json"],
    });
    expect(split("watch", "runs", "--")).toMatchObject({ training: [] });
  });

  test("is none without it, and with other commands", () => {
    for (const args of [["watch", "runs"], ["sync", "--", "-odd-"], ["inspect", "watch", "--", "x"], []])
      expect(split(...args)).toEqual({ argv: ["node", "tracelet", ...args] });
  });
});

describe("a signal", () => {
  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s sends what is there, and ends with %i", async (signal, code) => {
    const watch = Watch.create();
    const child = watch.start({ drainMs: 500 }, "runs");
    const end = ended(child);
    await watch.until("log", "start");
    child.kill(signal);
    const began = performance.now();
    const { code: with_, stderr } = await end;
    expect(with_).toBe(code);
    expect(performance.now() - began).toBeGreaterThan(400);
    expect(stderr).toContain(`${signal}: sending what is there`);
    expectHarmless(stderr);
    expect(watch.read("log")).toBe("start runs\nfinish signal\n");
  });

  test("that comes twice at once, as timeout and pnpm pass them on, is one; a second one ends it", async () => {
    const watch = Watch.create();
    const child = watch.start({ deaf: "finish" }, "runs");
    const end = ended(child);
    await watch.until("log", "start");
    child.kill("SIGINT");
    await watch.until("log", "finish");
    child.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(child.exitCode).toBeNull();
    child.kill("SIGINT");
    expect(await end).toMatchObject({ code: 130 });
  });

  test.each([["--quiet"], ["--json"], []])(
    "is acknowledged on standard error, and in time all is over: %j",
    async (...args) => {
      const watch = Watch.create();
      const child = watch.start({ deaf: "finish" }, "runs", "--shutdown-timeout", "700ms", ...args);
      const end = ended(child);
      await watch.until("log", "start");
      child.kill("SIGTERM");
      const { code, stderr } = await end;
      expect(code).toBe(143);
      expect(stderr).toMatch(/SIGTERM: sending what is there, 700 ms at most; again: ends at once\n/);
    },
  );

  test("that comes while nothing can be sent is told to programs as what it is", async () => {
    const watch = Watch.create();
    const child = watch.start({ steps: [{ after: 600, fail: "interrupted" }] }, "runs", "--json");
    const end = ended(child);
    await watch.until("log", "start");
    child.kill("SIGTERM");
    const { code, stdout } = await end;
    expect(code).toBe(143);
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) as string)).toMatchObject({
      ...{ type: "end", code: 143, interrupted: true, error: null },
    });
  });
});

describe("--until-eof", () => {
  test("goes on while somebody holds the other end, whatever comes from there", async () => {
    const watch = Watch.create();
    watch.stdin = "pipe";
    const child = watch.start({ drainMs: 200 }, "runs", "--until-eof");
    const end = ended(child);
    await watch.until("log", "start");
    child.stdin?.write("are you there?\n");
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(child.exitCode).toBeNull();
    child.stdin?.end();
    const { code, stderr } = await end;
    expect(code).toBe(0);
    expectHarmless(stderr);
    expect(watch.read("log")).toBe("start runs\nfinish eof\n");
  });

  test("ends with whoever started it, however that ended", async () => {
    const watch = Watch.create();
    const { argv, env } = watch.commandLine({ code: 3 }, "runs", "--until-eof");
    const parent = `
      const { spawn } = require("node:child_process");
      spawn(process.argv[1], process.argv.slice(2), { stdio: ["pipe", "ignore", "ignore"] });
      setInterval(() => {}, 1000);`;
    const started = spawn(process.execPath, ["-e", parent, ...argv], { env, cwd: watch.root, stdio: "ignore" });
    await watch.until("log", "start");
    started.kill("SIGKILL");
    await watch.until("log", "finish eof");
  });

  test("without a pipe it ends once everything is sent", async () => {
    const watch = Watch.create();
    expect(await watch.run({ code: 1 }, "runs", "--until-eof")).toMatchObject({ code: 1 });
    expect(watch.read("log")).toBe("start runs\nfinish eof\n");
  });

  test("does not wait for it where another condition comes first", async () => {
    const watch = Watch.create();
    watch.stdin = "pipe";
    const script = { status: { isCaughtUp: true } };
    expect(await watch.run(script, "runs", "--until-eof", "--until-idle", "100ms")).toMatchObject({ code: 0 });
    expect(watch.read("log")).toBe("start runs\nfinish idle\n");
  });

  test("leaves signals as they are", async () => {
    const watch = Watch.create();
    watch.stdin = "pipe";
    const child = watch.start({}, "runs", "--until-eof");
    const end = ended(child);
    await watch.until("log", "start");
    child.kill("SIGTERM");
    expect((await end).code).toBe(143);
    expect(watch.read("log")).toBe("start runs\nfinish signal\n");
  });
});

describe("the engine", () => {
  test.each([0, 1, 3])("that ends with %i gives the exit code", async (end) => {
    expect((await Watch.create().run({ steps: [{ end }] }, "runs")).code).toBe(end);
  });

  test("that fails: the error is told, to programs too", async () => {
    const { code, stderr, stdout } = await Watch.create().run({ steps: [{ fail: "auth" }] }, "runs", "--json");
    expect([code, stderr]).toEqual([1, "error: no more; do otherwise\n"]);
    expect(JSON.parse(stdout.trimEnd().split("\n").at(-1) as string)).toMatchObject({
      ...{ type: "end", code: 1, error: { code: "auth", message: "no more", hint: "do otherwise" } },
    });
  });
});
