// The command under test: a shell's command line in a process group of its own, which can be killed at any moment.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { root } from "./typescript.mjs";

const SAMPLE_MS = 200;
const STOP_MS = 20_000;

export class Follower {
  /** Highest resident memory of any of its processes so far, KiB, as the kernel says. */
  peakKib = 0;
  /** How often it ended without being told to. */
  endedByItself = 0;
  #command;
  #env;
  #log;
  #child;
  #told = false;
  #sampler;

  /** @param env what it gets to know besides this process' own */
  constructor(command, env, log) {
    this.#command = command;
    this.#env = { ...process.env, ...env };
    this.#log = log;
  }

  start() {
    const output = openSync(this.#log, "a");
    const stdio = ["ignore", output, output];
    const child = spawn("sh", ["-c", this.#command], { cwd: root, env: this.#env, stdio, detached: true });
    closeSync(output);
    this.#child = child;
    this.#told = false;
    clearInterval(this.#sampler);
    this.#sampler = setInterval(() => this.#sample(), SAMPLE_MS);
    child.on("exit", () => {
      if (!this.#told) this.endedByItself++;
    });
  }

  get running() {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** SIGKILL, all of it. */
  async kill() {
    await this.#end("SIGKILL", 0);
  }

  /** SIGTERM; returns whether it ended within 20 s, or had to be killed. */
  async stop() {
    clearInterval(this.#sampler);
    return this.#end("SIGTERM", STOP_MS);
  }

  async #end(signal, graceMs) {
    this.#told = true;
    if (!this.running) return true;
    const ended = once(this.#child, "exit");
    process.kill(-this.#child.pid, signal);
    if (signal !== "SIGKILL") {
      await Promise.race([ended, sleep(graceMs)]);
      if (!this.running) return true;
      process.kill(-this.#child.pid, "SIGKILL");
    }
    await ended;
    return signal === "SIGKILL";
  }

  #sample() {
    for (const pid of readdirSync("/proc")) {
      if (!/^\d+$/.test(pid)) continue;
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
        // Behind the name, which may hold anything: state, parent, process group.
        const group = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
        if (group !== this.#child.pid) continue;
        const [, peak = "0"] = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
        this.peakKib = Math.max(this.peakKib, Number(peak));
      } catch {
        // It has just ended.
      }
    }
  }
}
