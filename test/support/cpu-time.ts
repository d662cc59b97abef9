/** How much of the processor something takes, which a busy machine does not change. */
import { readdirSync, readFileSync } from "node:fs";

/** What Linux counts a second of processor time in, for programs. */
const TICKS_PER_S = 100;

/** @returns ms of processor time from now on, whenever it is called */
export function cpuTime(): () => number {
  const start = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
}

/**
 * The same of what this process has started: its children and theirs, those that live when it is called.
 *
 * @returns ms of processor time from now on, whenever it is called
 */
export function childrensCpuTime(): () => number {
  const start = childrensTicks();
  return () => {
    let ticks = 0;
    for (const [pid, now] of childrensTicks()) ticks += now - (start.get(pid) ?? 0);
    return (ticks * 1000) / TICKS_PER_S;
  };
}

/** By the processes' numbers. */
function childrensTicks(): Map<number, number> {
  const children = new Map<number, number[]>();
  const ticks = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      // Behind the name, which may hold anything: state, parent, and further on user and system time.
      const [, fields = ""] = /^.*\) (.*)$/s.exec(readFileSync(`/proc/${entry}/stat`, "latin1")) ?? [];
      const numbers = fields.split(" ").map(Number);
      const [, parent = 0] = numbers;
      ticks.set(Number(entry), (numbers[11] ?? 0) + (numbers[12] ?? 0));
      children.set(parent, [...(children.get(parent) ?? []), Number(entry)]);
    } catch {
      // It has just ended.
    }
  }
  const below = (pid: number): number[] => (children.get(pid) ?? []).flatMap((child) => [child, ...below(child)]);
  return new Map(below(process.pid).map((pid) => [pid, ticks.get(pid) ?? 0]));
}
