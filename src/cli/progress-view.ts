/** How far a sync is, while it runs: a live line on a terminal, a plain line now and then elsewhere. */
import type { Ora } from "ora";
import type { Progress } from "../sync/report/progress.ts";
import { bytes, count, duration, type Output, oneLine } from "./terminal.ts";

export interface ProgressView {
  /** Show it from here on. @param name of the destination, where there are several */
  start(progress: Readonly<Progress>, name?: string): void;
  /** That destination has ended; where all have, nothing is shown any more. */
  end(name?: string): void;
  /** Print a line without disturbing the view. */
  line(text: string): void;
  /** May be called more than once. */
  stop(): void;
}

const LIVE_MS = 100;
const LINES_MS = 5000;

/** One line for each destination that has started and not ended. */
export function showProgress(mode: "live" | "lines" | "none", output: Output): ProgressView {
  if (mode === "none") return { start() {}, end() {}, line: (text) => output.write(`${text}\n`), stop() {} };
  const shown = new Map<string, () => string>();
  let isShowing = false;
  let timer: NodeJS.Timeout | undefined;
  let spinner: Ora | undefined;
  let stopped = false;
  const lines = () => Array.from(shown, ([name, text]) => (name === "" ? text() : `${oneLine(name)}: ${text()}`));
  const every = (ms: number, show: () => void) => {
    timer = setInterval(show, ms);
    timer.unref();
  };
  const begin = () => {
    if (mode === "lines") {
      every(LINES_MS, () => {
        for (const line of lines()) output.write(`${line}\n`);
      });
      return;
    }
    void import("ora").then(({ default: ora }) => {
      if (stopped) return;
      spinner = ora({ text: lines().join("\n  "), stream: process.stderr, discardStdin: false }).start();
      every(LIVE_MS, () => {
        if (spinner) spinner.text = lines().join("\n  ");
      });
    });
  };
  return {
    start(progress, name = "") {
      const started = performance.now();
      shown.set(name, () => progressText(progress, performance.now() - started));
      if (!isShowing) begin();
      isShowing = true;
    },
    end(name = "") {
      shown.delete(name);
    },
    line(text) {
      spinner?.clear();
      output.write(`${text}\n`);
    },
    stop() {
      stopped = true;
      clearInterval(timer);
      spinner?.stop();
      spinner = undefined;
    },
  };
}

/** @param elapsed ms since the start */
export function progressText(progress: Readonly<Progress>, elapsed: number): string {
  const { runs, totalRuns, bytes: read, totalBytes, values } = progress;
  const rate = elapsed > 0 ? Math.round(values / (elapsed / 1000)) : 0;
  const parts = [
    `${count(runs)}/${count(totalRuns)} runs`,
    `${bytes(read)} of ${bytes(totalBytes)}`,
    `${count(rate)} values/s`,
  ];
  if (read > 0 && read < totalBytes && elapsed > 1000)
    parts.push(`${duration((elapsed * (totalBytes - read)) / read)} left`);
  return parts.join("  ");
}
