/** What `--track-system`, `--track-git` and `--track-env` ask for, as the engine takes it. */

import { displayPath } from "../reader/discover.ts";
import type { Facts } from "../recorder/facts.ts";
import type { Recorder } from "../recorder/recorder.ts";
import { Recordings } from "../sync/source/recordings.ts";
import type { RunGroup } from "../sync/source/run-group.ts";
import type { CommandOptions } from "./options.ts";

/** Whose code and interpreter runs are made by. */
export interface RecorderSurroundings {
  /** The command behind `--`, if there is one. */
  readonly training: readonly string[] | undefined;
  /** Told what a user should know; `info`: only one who asks for everything. */
  readonly say: (level: "info" | "warning", message: string) => void;
}

type Asked = Pick<
  CommandOptions<"watch">,
  "trackSystem" | "metricsInterval" | "trackGit" | "trackEnv" | "idleTimeout" | "stateDir"
>;

/** Runs that begin together are told the same, ms. */
const FRESH_MS = 10_000;

/** @returns undefined if nothing is to be recorded */
export async function recorderOf(asked: Asked, surroundings: RecorderSurroundings): Promise<Recorder | undefined> {
  const { trackSystem, metricsInterval, trackGit, idleTimeout, stateDir } = asked;
  if (!trackSystem && !trackGit && interpreterAsked(asked) === undefined) return undefined;
  // Most watches record nothing.
  const [{ Recorder }, { tidy }] = await Promise.all([
    import("../recorder/recorder.ts"),
    import("../recorder/tidy.ts"),
  ]);
  const { say } = surroundings;
  const recordings = new Recordings(stateDir);
  try {
    tidy(stateDir, recordings);
  } catch (error) {
    // Whoever opens the state says what is wrong with it.
    say("info", `old recordings are kept: ${(error as Error).message}`);
  }
  return new Recorder({
    recordings,
    intervalMs: trackSystem ? metricsInterval : undefined,
    sample: trackSystem ? await samplerOf(surroundings) : async () => new Map(),
    once: await factsOf(asked, surroundings),
    idleTimeoutMs: idleTimeout,
    onFailure: (message) => say("warning", message),
  });
}

async function samplerOf({ say }: RecorderSurroundings): Promise<() => Promise<ReadonlyMap<string, number>>> {
  const { Machine } = await import("../recorder/machine.ts");
  const { NvidiaSmi } = await import("../recorder/nvidia-smi.ts");
  const machine = new Machine();
  const gpus = new NvidiaSmi((message) => say("info", message));
  return async () => new Map((await Promise.all([machine.sample(), gpus.sample()])).flatMap((part) => [...part]));
}

type FactsOf = (group: RunGroup) => Promise<Facts | undefined>;

/** `auto` where it is to be found; undefined if none is to be asked. As a variable it may be set to `1` or `0`. */
function interpreterAsked({ trackEnv = "none" }: Pick<Asked, "trackEnv">): string | undefined {
  if (["none", "false", "0"].includes(trackEnv)) return undefined;
  return ["true", "1"].includes(trackEnv) ? "auto" : trackEnv;
}

async function factsOf(asked: Asked, { training, say }: RecorderSurroundings): Promise<ReadonlyMap<string, FactsOf>> {
  const facts = new Map<string, FactsOf>();
  const { codePlaces, interpreterOf } = await import("../recorder/training.ts");
  const said = new Set<string>();
  const warn = (message: string) => {
    if (!said.has(message)) say("warning", message);
    said.add(message);
  };
  if (asked.trackGit) {
    const { gitFacts } = await import("../recorder/git.ts");
    facts.set("git", ({ directory }) => {
      const places = codePlaces(training, displayPath(directory));
      return fresh(places.join("\0"), () => gitFacts(places, warn));
    });
  }
  const interpreter = interpreterAsked(asked);
  if (interpreter !== undefined) {
    const { pythonFacts } = await import("../recorder/python.ts");
    const program = interpreter === "auto" ? interpreterOf(training) : interpreter;
    facts.set("env", () => fresh("env", () => pythonFacts(program, warn)));
  }
  const known = new Map<string, { readonly facts: Promise<Facts | undefined>; readonly at: number }>();
  function fresh(key: string, ask: () => Promise<Facts | undefined>): Promise<Facts | undefined> {
    const before = known.get(key);
    if (before !== undefined && performance.now() - before.at < FRESH_MS) return before.facts;
    const asked = ask();
    known.set(key, { facts: asked, at: performance.now() });
    return asked;
  }
  return facts;
}
