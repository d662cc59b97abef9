/** How far a sync is, while it runs. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { showProgress } from "../../src/cli/progress-view.ts";
import type { Progress } from "../../src/sync/report/progress.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const PROGRESS: Progress = { runs: 1, totalRuns: 4, bytes: 1000, totalBytes: 4000, values: 500 };

function shown(of: (view: ReturnType<typeof showProgress>) => void): string[] {
  let text = "";
  const view = showProgress("lines", { write: (more) => void (text += more), colour: false });
  of(view);
  view.stop();
  vi.advanceTimersByTime(60_000);
  return text.split("\n").slice(0, -1);
}

test("one destination: a line without its name", () => {
  const lines = shown((view) => {
    view.start({ ...PROGRESS });
    vi.advanceTimersByTime(5000);
  });
  expect(lines).toEqual(["1/4 runs  1.0 kB of 4.0 kB  100 values/s  15.0 s left"]);
});

test("several: a line each, as long as it has not ended", () => {
  const lines = shown((view) => {
    view.start({ ...PROGRESS }, "mlflow");
    view.start({ ...PROGRESS, runs: 4, bytes: 4000 }, "jsonl");
    vi.advanceTimersByTime(5000);
    view.end("jsonl");
    view.line("jsonl: done");
    vi.advanceTimersByTime(5000);
  });
  expect(lines).toEqual([
    "mlflow: 1/4 runs  1.0 kB of 4.0 kB  100 values/s  15.0 s left",
    "jsonl: 4/4 runs  4.0 kB of 4.0 kB  100 values/s",
    "jsonl: done",
    "mlflow: 1/4 runs  1.0 kB of 4.0 kB  50 values/s  30.0 s left",
  ]);
});
