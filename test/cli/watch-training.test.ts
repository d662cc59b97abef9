/** A training as a child of `tracelet watch`, and the processes that a watch follows. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { curve, fileOf } from "../sync/world.ts";
import { ended, expectHarmless, Machine, ROOT } from "./tracelet.ts";
import { Watch } from "./watch-script.ts";

/** A training in Node; `say` writes a line to the file `train`. */
function node(code: string): string[] {
  return ["--", process.execPath, "-e", `const say = (x) => require("fs").appendFileSync("train", x + "\\n");${code}`];
}

/** It says each signal that it gets, and ends at SIGTERM, or two seconds after another. */
const LISTENING = node(`
  let timer;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"])
    process.on(signal, () => { say(signal); if (signal === "SIGTERM") process.exit(7); timer ??= setTimeout(() => process.exit(7), 2000) });
  setInterval(() => {}, 1000);
  say("ready");
`);

describe("a command behind --", () => {
  test("has its arguments, streams and environment as they are, and its exit code counts", async () => {
    const watch = Watch.create();
    watch.env = { EXTRA: "x y" };
    const training = node(
      `console.log(JSON.stringify(process.argv.slice(1)), process.env.EXTRA); console.error("err"); process.exitCode = 5`,
    );
    const odd = ["a b", "*", "--", "-v", "--json", "--log-level", "debug", ""];
    const end = await watch.run({}, "runs", "--idle-timeout", "1m", ...training, "--", ...odd);
    expect(end.code).toBe(5);
    expect(end.stdout).toBe(`${JSON.stringify(odd)} x y\n`);
    expect(end.stderr).toMatch(/^err$/m);
    expect(watch.read("log")).toBe("start runs\nfinish training\n");
  });

  test.each([
    [0, 0, 0],
    [0, 1, 1],
    [0, 3, 3],
    [4, 1, 4],
  ])("the training ended with %i, the sending with %i: %i", async (trained, sent, code) => {
    const end = await Watch.create().run({ code: sent }, "runs", ...node(`process.exitCode = ${trained}`));
    expect(end.code).toBe(code);
  });

  test.each([
    ["fails", 3, ["second FAILED", "second/eval FAILED"]],
    ["ends well", 0, ["second FINISHED", "second/eval FINISHED"]],
  ])("that %s: so do the runs that it was writing, not those that it had done with", async (_how, code, expected) => {
    const machine = Machine.create();
    machine.logdir.write("before/tfevents.1", fileOf(curve("loss", 0, 3), -3600));
    const training = `
      const { SummaryWriter } = await import(${JSON.stringify(path.join(ROOT, "dist/index.js"))});
      const runs = (name) => new SummaryWriter("runs/" + name);
      const first = runs("first"); first.addScalar("loss", 1, 0); first.close();
      await new Promise((resolve) => setTimeout(resolve, 50));
      const second = runs("second"), beside = runs("second/eval");
      for (const each of [second, beside]) { each.addScalar("loss", 1, 0); each.flush(); }
      await new Promise((resolve) => setTimeout(resolve, 50));
      for (const each of [second, beside]) { each.addScalar("loss", 1, 1); each.close(); }
      process.exitCode = ${code};`;
    const end = await machine.run("watch", "runs", "--", process.execPath, "--input-type=module", "-e", training);
    expect([end.code, end.stdout]).toEqual([code, ""]);
    const runs = machine.look((database) => database.prepare("SELECT name, status FROM runs ORDER BY name").all());
    expect(runs.map(({ name, status }) => `${name} ${status}`)).toEqual([
      "before FINISHED",
      "first FINISHED",
      ...expected,
    ]);
  });

  test("ends when the last byte is sent, not before", async () => {
    const watch = Watch.create();
    const child = watch.start({ drainMs: 700 }, "runs", ...node(`say("done")`));
    const end = ended(child);
    await watch.until("log", "finish training");
    const began = performance.now();
    expect(await end).toMatchObject({ code: 0 });
    expect(performance.now() - began).toBeGreaterThan(500);
  });

  test("that dies of a signal is told as a shell tells it", async () => {
    const end = await Watch.create().run({}, "runs", ...node(`process.kill(process.pid, "SIGKILL")`));
    expect(end.code).toBe(137);
  });

  test("that there is not, or that cannot be run", async () => {
    const watch = Watch.create();
    writeFileSync(watch.path("data"), "#!/bin/sh\n");
    chmodSync(watch.path("data"), 0o644);
    const missing = await watch.run({}, "runs", "--", "no-such\u001b]0;x\u0007-command");
    expect(missing).toMatchObject({ code: 127, stderr: expect.stringContaining("there is no such command") });
    expectHarmless(missing.stderr);
    const denied = await watch.run({}, "runs", "--", "./data");
    expect(denied).toMatchObject({ code: 126, stderr: expect.stringContaining("permission denied") });
    expect(watch.read("log")).toBe("start runs\nstop\n".repeat(2));
  });

  test.each(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const)(
    "%s from elsewhere reaches it, once",
    async (signal) => {
      const watch = Watch.create();
      const child = watch.start({}, "runs", ...LISTENING);
      const end = ended(child);
      await watch.until("train", "ready");
      child.kill(signal);
      await watch.until("train", signal);
      if (signal !== "SIGTERM") {
        await new Promise((resolve) => setTimeout(resolve, 300));
        expect(child.exitCode).toBeNull();
        child.kill("SIGTERM");
      }
      expect(await end).toMatchObject({ code: 7 });
      expect(watch.read("train")).toBe(`ready\n${signal}\n${signal === "SIGTERM" ? "" : "SIGTERM\n"}`);
      expect(watch.read("log")).toContain("finish training");
    },
  );

  test("SIGUSR1, by which schedulers announce the end, reaches it too and starts no debugger", async () => {
    const watch = Watch.create();
    const training = `trap "echo usr1 >> train; exit 9" USR1; echo ready >> train; while :; do sleep 0.05; done`;
    const child = watch.start({}, "runs", "--", "sh", "-c", training);
    const end = ended(child);
    await watch.until("train", "ready");
    child.kill("SIGUSR1");
    const { code, stderr } = await end;
    expect([code, watch.read("train")]).toEqual([9, "ready\nusr1\n"]);
    expect(stderr).not.toContain("Debugger");
  });

  test("a second SIGINT ends the waiting for what is not sent, not the training", async () => {
    const watch = Watch.create();
    const child = watch.start({ deaf: "finish" }, "runs", ...LISTENING);
    const end = ended(child);
    await watch.until("train", "ready");
    for (let i = 1; i <= 3; i++) {
      expect(child.exitCode).toBeNull();
      child.kill("SIGINT");
      await watch.until("train", "SIGINT\n".repeat(i));
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    expect(await end).toMatchObject({ code: 7 });
    expect(watch.read("train")).toBe("ready\nSIGINT\nSIGINT\nSIGINT\n");
  });

  test("SIGTERM while the rest is sent, or by which the training ended, limits how long that takes", async () => {
    for (const [training, [file, text], code] of [
      [node(``), ["log", "finish training"], 1],
      [LISTENING, ["train", "ready"], 7],
    ] as const) {
      const watch = Watch.create();
      const child = watch.start({ deaf: "finish", code: 1 }, "runs", "--shutdown-timeout", "700ms", ...training);
      const end = ended(child);
      await watch.until(file, text);
      child.kill("SIGTERM");
      expect(await end).toMatchObject({ code });
    }
  });

  test("SIGINT while the rest is sent: the first waits, the second does not", async () => {
    const watch = Watch.create();
    const child = watch.start({ deaf: "finish" }, "runs", ...node(``));
    const end = ended(child);
    await watch.until("log", "finish training");
    child.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(child.exitCode).toBeNull();
    child.kill("SIGINT");
    // The training went well, but not all of it is sent.
    expect(await end).toMatchObject({ code: 1 });
  });

  test.each([
    ["throws an error of its own", { steps: [{ fail: "auth" }] }, "no more"],
    ["rejects unexpectedly", { steps: [{ crash: "rejects" }] }, "oh no: this is a bug in tracelet"],
    ["throws where nobody catches", { steps: [{ crash: "throws" }], deaf: "finish" }, "oh no: this is a bug"],
    ["ends by itself", { steps: [{ end: 1 }] }, "nothing more is sent"],
    ["is locked out", { refuse: "locked" }, "it cannot be"],
  ] as const)("sending that %s does not disturb the training", async (_, script, message) => {
    for (const trained of [0, 6]) {
      const watch = Watch.create();
      const wait = `setTimeout(() => { say("done"); process.exitCode = ${trained} }, 500)`;
      const end = await watch.run(script, "runs", ...node(wait));
      expect(end.code).toBe(trained === 0 ? 1 : trained);
      expect(watch.read("train")).toBe("done\n");
      expect(end.stderr).toContain(message);
      expect(end.stderr).toContain("the training goes on");
      expectHarmless(end.stderr);
    }
  });

  test("is not run where the command line asks for what cannot be", async () => {
    const watch = Watch.create();
    const training = node(`say("ran")`);
    for (const refuse of ["usage", "unsupported"])
      expect((await watch.run({ refuse }, "runs", ...training)).code).toBe(refuse === "usage" ? 2 : 1);
    const wrong = [
      ["runs", "--"],
      [...training],
      ["runs", "--json", ...training],
      ["runs", "--pid", "1", ...training],
      ["runs", "--until-idle", "1s", ...training],
      ["runs", "--until-eof", ...training],
      ["runs", "--experiment", ...training],
    ];
    for (const args of wrong) expect([args, (await watch.run({}, ...args)).code]).toEqual([args, 2]);
    expect(watch.read("train")).toBe("");
  });
});

describe("on a terminal", () => {
  /** Python's pty module gives the command a terminal; its own group is in the foreground, as a shell would have it. */
  const TERMINAL = `
import os, pty, sys, time
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[3], sys.argv[3:])
def until(file, text):
    for _ in range(1500):
        if os.path.exists(file) and text in open(file).read(): return
        time.sleep(0.01)
    raise SystemExit(file + " never said " + text)
until("train", "ready")
key = sys.argv[1]
for i in range(int(sys.argv[2])):
    if key == "hangup": os.close(fd)
    else: os.write(fd, key.encode())
    time.sleep(0.4)
if key != "hangup":
    while True:
        try:
            if not os.read(fd, 65536): break
        except OSError: break
_, status = os.waitpid(pid, 0)
print(os.waitstatus_to_exitcode(status))
`;

  /** @param shell what is between the terminal and the watch */
  async function press(key: string, times: number, training: readonly string[], shell: readonly string[] = []) {
    const watch = Watch.create();
    const { argv, env } = watch.commandLine({}, "runs", ...training);
    const child = spawn("python3", ["-c", TERMINAL, key, String(times), ...shell, ...argv], {
      ...{ cwd: watch.root, env: { ...env, TERM: "xterm" }, stdio: ["ignore", "pipe", "pipe"] },
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const { stdout } = await ended(child);
    await watch.until("log", "finish training");
    return { code: Number(stdout), heard: watch.read("train"), log: watch.read("log") };
  }

  test("Ctrl-C reaches the training once each time, and its exit code counts", async () => {
    expect(await press("\u0003", 3, LISTENING)).toEqual({
      code: 7,
      heard: "ready\nSIGINT\nSIGINT\nSIGINT\n",
      log: "start runs\nfinish training\n",
    });
  });

  test("Ctrl-\\ too", async () => {
    const { code, heard } = await press("\u001c", 3, LISTENING);
    expect([code, heard]).toEqual([7, "ready\nSIGQUIT\nSIGQUIT\nSIGQUIT\n"]);
  });

  test.each([
    ["the watch", []],
    ["a shell", ["sh", "-c", '"$@"; exit', "sh"]],
  ] as const)("its end is heard once, where it was opened by %s", async (_, shell) => {
    const training = node(`
      process.on("SIGHUP", () => { say("SIGHUP"); setTimeout(() => process.exit(8), 300) });
      setInterval(() => {}, 1000);
      say("ready");
    `);
    // Without a terminal Node's own end is no clean one; nobody is left to see the exit code.
    expect((await press("hangup", 1, training, shell)).heard).toBe("ready\nSIGHUP\n");
  });

  test("Ctrl-C does not reach a training that has gone into a session of its own; it is passed on", async () => {
    const { code, heard } = await press("\u0003", 3, ["--", "setsid", ...LISTENING.slice(1)]);
    expect([code, heard]).toEqual([7, "ready\nSIGINT\nSIGINT\nSIGINT\n"]);
  });
});

describe("a watch of a process", () => {
  test("ends with it, and sends what is there", async () => {
    const watch = Watch.create();
    const training = spawn("sleep", ["30"], { stdio: "ignore" });
    const child = watch.start({}, "runs", "--pid", String(training.pid));
    const end = ended(child);
    await watch.until("log", "start");
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(child.exitCode).toBeNull();
    training.kill();
    expect(await end).toMatchObject({ code: 0 });
    expect(watch.read("log")).toBe("start runs\nfinish process\n");
  });

  test("that has ended but that nobody has waited for ends too", async () => {
    const watch = Watch.create();
    // The shell becomes a sleep that knows nothing of its child.
    const parent = spawn("sh", ["-c", "sleep 2 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
    onTestFinished(() => void parent.kill("SIGKILL"));
    const [pid] = (await once(parent.stdout, "data")) as [Buffer];
    const end = await watch.run({}, "runs", "--pid", String(pid).trim());
    expect(end.code).toBe(0);
    expect(() => process.kill(Number(pid), 0)).not.toThrow();
    expect(watch.read("log")).toContain("finish process");
  });

  test("that there is not is a usage error", async () => {
    const gone = spawn("true", { stdio: "ignore" });
    await once(gone, "exit");
    const watch = Watch.create();
    expect(await watch.run({}, "runs", "--pid", String(gone.pid))).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`there is no process ${gone.pid}`),
    });
    for (const pid of ["0", "-1", "x", "1.5"]) expect((await watch.run({}, "runs", "--pid", pid)).code).toBe(2);
    expect(watch.read("log")).toBe("");
  });
});

describe("--until-idle", () => {
  test("ends when all is sent and nothing has grown for so long", async () => {
    const watch = Watch.create();
    const steps = [
      { after: 200, since: 0 },
      { after: 600, since: 0 },
      { after: 1200, set: { isCaughtUp: true } },
    ];
    const began = performance.now();
    const end = await watch.run({ status: { isCaughtUp: false }, steps }, "runs", "--until-idle", "500ms");
    expect(end.code).toBe(0);
    // Quiet from 800 ms on, but all sent at 2000 only.
    expect(performance.now() - began).toBeGreaterThan(2000);
    expect(watch.read("log")).toBe("start runs\nfinish idle\n");
  });

  test("is put off by growth", async () => {
    const watch = Watch.create();
    const steps = [1, 2, 3, 4].map(() => ({ after: 400, since: 0 }));
    const began = performance.now();
    await watch.run({ status: { isCaughtUp: true }, steps }, "runs", "--until-idle", "800ms");
    expect(performance.now() - began).toBeGreaterThan(2400);
  });
});
