/** What a watch shows: on a terminal, in a log, to programs. */
import { spawn } from "node:child_process";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { liveText, showWatch, statusText, type WatchMode } from "../../src/cli/watch-view.ts";
import { TraceletError } from "../../src/errors.ts";
import type { WatchEvent, WatchStatus } from "../../src/sync/engine/watch-status.ts";
import { EVIL, ended, expectHarmless } from "./tracelet.ts";
import { type Script, Watch } from "./watch-script.ts";

const STATUS: WatchStatus = {
  ...{ runs: 123, liveRuns: 4, sent: 12_345, bytesSent: 1e6, bytesBehind: 0, oldestUnsentMs: 300, latencies: [] },
  ...{ retries: 0, quarantined: 0, skipped: new Map(), obstacle: undefined, lastError: undefined, isCaughtUp: true },
  ...{ lookedAt: 0, quietSince: 0 },
};
const PLAIN = { write() {}, colour: false };

function event(level: WatchEvent["level"], message: string, more: Partial<WatchEvent> = {}): WatchEvent {
  return { level, run: undefined, message, hint: undefined, ...more };
}

describe("how it is, in one line", () => {
  test("while all goes well", () => {
    expect(statusText(STATUS)).toBe("123 runs (4 live), 12,345 values sent, 0 B behind, lag 0.3 s");
    expect(statusText({ ...STATUS, runs: 1, sent: 1, bytesBehind: 1.5e6, oldestUnsentMs: 125_000 })).toBe(
      "1 run (4 live), 1 value sent, 1.5 MB behind, lag 2 min 5 s",
    );
  });

  test("while it does not", () => {
    const text = statusText({ ...STATUS, quarantined: 2, obstacle: `down ${EVIL}\nfor long` });
    expect(text).toContain(", 2 refused, held up: down ");
    expect(text).not.toContain("\n");
    expectHarmless(text);
  });

  test("what is skipped is counted with its reasons, in the words of the summary", () => {
    const one = new Map([["obsolete", 1500]] as const);
    expect(statusText({ ...STATUS, skipped: one })).toMatch(/, 1,500 skipped \(obsolete\)$/);
    const several = new Map([
      ["max-image-size", 3],
      ["refused", 2],
      ["nan", 4],
    ] as const);
    expect(statusText({ ...STATUS, quarantined: 2, skipped: several })).toMatch(
      /, 2 refused, 7 skipped \(3 larger than --max-image-size, 4 nan\)$/,
    );
  });

  test("live: the error is short, red, and cannot move the terminal", () => {
    expect(liveText(STATUS, 1234.4, PLAIN)).toBe("123 runs (4 live)  1,234 values/s  lag 0.3 s");
    const text = liveText({ ...STATUS, lastError: EVIL.repeat(50) }, 0, PLAIN);
    expect(text.split("\n")[1]).toHaveLength(202);
    expectHarmless(text);
    const both = { ...STATUS, lastError: "old", obstacle: "now" };
    expect(liveText(both, 0, { ...PLAIN, colour: true })).toMatch(/\n {2}\u001b\[31mnow\u001b\[39m$/);
  });
});

describe("without a terminal", () => {
  beforeEach(() => void vi.useFakeTimers({ now: Date.UTC(2026, 0, 2, 3, 4, 5, 678) }));
  afterEach(() => void vi.useRealTimers());

  function shown(mode: WatchMode, dated = true) {
    let text = "";
    const output = { write: (more: string) => (text += more), colour: false };
    const view = showWatch({ mode, names: ["mlflow"], output, dated, verbose: false });
    view.start(STATUS, "mlflow");
    view.event(event("info", "begun", { run: `a${EVIL}` }), "mlflow");
    view.event(event("warning", "slow", { hint: "wait" }));
    vi.advanceTimersByTime(300_000);
    view.stop({ code: 1, interrupted: false, error: new TraceletError("auth", "refused") });
    view.stop();
    vi.advanceTimersByTime(900_000);
    expectHarmless(text);
    return text;
  }

  test("a line for what happens and every five minutes, dated", () => {
    const lines = shown("lines").split("\n");
    expect(lines[0]).toMatch(/^2026-01-02T03:04:05\.678Z aa\\u001b.*: begun$/);
    expect(lines.slice(1)).toEqual([
      "2026-01-02T03:04:05.678Z warning: slow; wait",
      "2026-01-02T03:09:05.678Z 123 runs (4 live), 12,345 values sent, 0 B behind, lag 0.3 s",
      "2026-01-02T03:09:05.678Z 123 runs (4 live), 12,345 values sent, 0 B behind, lag 0.3 s",
      "",
    ]);
    expect(shown("lines", false)).toContain("\nwarning: slow; wait\n123 runs");
  });

  test("quiet: what goes wrong only", () => {
    expect(shown("quiet", false)).toBe("warning: slow; wait\n");
  });

  test.each([
    ["json", 3],
    ["lines", 0],
  ] as const)("while somebody waits for the end, %s tells %i times in three seconds how it is", (mode, times) => {
    let text = "";
    const output = { write: (more: string) => (text += more), colour: false };
    const view = showWatch({ mode, names: ["mlflow"], output, dated: true, verbose: false });
    view.start(STATUS, "mlflow");
    view.countDown();
    vi.advanceTimersByTime(3000);
    expect(text.match(/12,?345/g) ?? []).toHaveLength(times);
    view.stop();
    view.countDown();
    const end = text;
    vi.advanceTimersByTime(3000);
    expect(text).toBe(end);
  });

  test("for programs: an object a line", () => {
    const objects = shown("json")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const at = (minute: string) => ({ time: `2026-01-02T03:${minute}:05.678Z` });
    const status = { ...STATUS, skipped: {}, obstacle: null, lastError: null };
    const { latencies: _, lookedAt: __, quietSince: ___, ...told } = status;
    expect(objects).toEqual([
      { ...at("04"), type: "event", level: "info", backend: "mlflow", run: `a${EVIL}`, message: "begun", hint: null },
      { ...at("04"), type: "event", level: "warning", backend: null, run: null, message: "slow", hint: "wait" },
      { ...at("09"), type: "status", backend: "mlflow", ...told },
      { ...at("09"), type: "status", backend: "mlflow", ...told },
      {
        ...{ ...at("09"), type: "end", code: 1, interrupted: false },
        error: { code: "auth", message: "refused", hint: null },
      },
    ]);
  });
});

describe("several destinations", () => {
  function shown(mode: WatchMode) {
    let text = "";
    const output = { write: (more: string) => (text += more), colour: false };
    const view = showWatch({ mode, names: ["mlflow", `j${EVIL}`], output, dated: false, verbose: false });
    view.start(STATUS, "mlflow");
    view.start({ ...STATUS, sent: 7 }, `j${EVIL}`);
    view.event(event("error", "down", { run: "a" }), "mlflow");
    view.event(event("warning", "no logdir"));
    const error = new TraceletError("state", "the disk is full");
    view.stop({
      ...{ code: 1, interrupted: false },
      destinations: [
        { name: "mlflow", code: 0, interrupted: false },
        { name: "jsonl", code: 1, interrupted: false, error },
      ],
    });
    return text;
  }

  test("each line names its own", () => {
    const text = shown("lines");
    expectHarmless(text);
    const [first, second, third, fourth] = text.split("\n");
    expect([first, second]).toEqual(["[mlflow] error: a: down", "warning: no logdir"]);
    expect(third).toBe("[mlflow] 123 runs (4 live), 12,345 values sent, 0 B behind, lag 0.3 s");
    expect(fourth).toMatch(/^\[ja\\u001b.*\] 123 runs \(4 live\), 7 values sent/);
  });

  test("each object names its own, and the end tells them apart", () => {
    const objects = shown("json")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(objects.map(({ type, backend }) => [type, backend])).toEqual([
      ["event", "mlflow"],
      ["event", null],
      ["status", "mlflow"],
      ["status", `j${EVIL}`],
      ["end", undefined],
    ]);
    expect(objects.at(-1)).toMatchObject({
      ...{ code: 1, interrupted: false, error: null },
      destinations: [
        { backend: "mlflow", code: 0, interrupted: false, error: null },
        { backend: "jsonl", code: 1, interrupted: false, error: { code: "state", message: "the disk is full" } },
      ],
    });
  });
});

describe("on a terminal", () => {
  /** Prints what the watch shows on one, which ends with it. */
  const TERMINAL = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        data = os.read(fd, 65536)
    except OSError: break
    if not data: break
    os.write(1, data)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

  async function shown(script: Script, columns: number, ...more: readonly string[]) {
    const watch = Watch.create();
    const { argv, env } = watch.commandLine(script, "runs", ...more);
    const sized = ["sh", "-c", `stty cols ${columns} rows 30; exec "$@"`, "sh", ...argv];
    const child = spawn("python3", ["-c", TERMINAL, ...sized], {
      ...{ cwd: watch.root, env: { ...env, TERM: "xterm" }, stdio: ["ignore", "pipe", "pipe"] },
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    return ended(child);
  }

  test("a view that is redrawn twice a second at most, events above it, the cursor shown again", async () => {
    const steps = [
      { after: 1000, set: { sent: 5000, obstacle: `down${EVIL}` } },
      { event: { message: "not worth a line" } },
      { event: { level: "warning", message: `careful${EVIL}` } },
      { after: 2000, set: { obstacle: null } },
      { after: 1000, end: 0 },
    ];
    const { code, stdout } = await shown({ status: { ...STATUS, sent: 0 }, steps }, 100);
    expect(code).toBe(0);
    // 4 s, and one more for the event.
    const frames = stdout.match(/[●○]/g) ?? [];
    expect(frames.length).toBeGreaterThan(4);
    expect(frames.length).toBeLessThanOrEqual(11);
    expect(stdout).toContain("123 runs (4 live)  0 values/s");
    expect(stdout).toMatch(/ [1-9][\d,]* values\/s/);
    expect(stdout).toMatch(/\u001b\[31mdowna\\u001b\]52/);
    expect(stdout).toMatch(/\u001b\[33mwarning:\u001b\[39m carefula\\u001b\]52/);
    expect(stdout).not.toContain("not worth a line");
    expect(stdout).not.toMatch(/\u001b\]52|\u0007|\u202e/);
    expect(stdout).toContain("123 runs (4 live), 5,000 values sent, 0 B behind, lag 0.3 s\r\n");
    expect(stdout.lastIndexOf("\u001b[?25h")).toBeGreaterThan(stdout.lastIndexOf("\u001b[?25l"));
  });

  test("of several destinations: a line each", async () => {
    const steps = [{ after: 2000, end: 0 }];
    const script = { names: ["jsonl", "mlflow"], status: { ...STATUS }, steps };
    const { code, stdout } = await shown(script, 100, "--backend", "mlflow,jsonl", "--output", "out");
    expect(code).toBe(0);
    const view =
      /\[mlflow\] 123 runs \(4 live\) {2}0 values\/s {2}lag 0\.3 s\r?\n +\[jsonl\] 123 runs \(4 live\) {2}0 values\/s/;
    expect(stdout).toMatch(view);
    expect(stdout.replaceAll("\r", "")).toContain(`[mlflow] ${statusText(STATUS)}\n[jsonl] ${statusText(STATUS)}\n`);
  });

  test("that has no columns: lines", async () => {
    const steps = [{ event: { message: "one" } }, { after: 700, end: 0 }];
    const { code, stdout } = await shown({ status: { ...STATUS }, steps }, 0);
    expect([code, stdout.replaceAll("\r", "")]).toEqual([0, `one\n${statusText(STATUS)}\n`]);
  });
});
