/** What `--track-system`, `--track-git` and `--track-env` ask for, as the engine takes it. */

import { displayPath } from "../reader/discover.ts";
import type { Facts } from "../recorder/facts.ts";
import type { FactsOf, Recorder } from "../recorder/recorder.ts";
import { Recordings } from "../sync/source/recordings.ts";
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

/** Runs that begin together are told the same, ms: somebody may edit the code for the next one. */
const GIT_MS = 10_000;
const PYTHON_MS = 60_000;

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

/** `auto` where it is to be found; undefined if none is to be asked. As a variable it may be set to `1` or `0`. */
function interpreterAsked({ trackEnv = "none" }: Pick<Asked, "trackEnv">): string | undefined {
  if (["none", "false", "0"].includes(trackEnv)) return undefined;
  return ["true", "1"].includes(trackEnv) ? "auto" : trackEnv;
}

async function factsOf(asked: Asked, { training, say }: RecorderSurroundings): Promise<ReadonlyMap<string, FactsOf>> {
  const facts = new Map<string, FactsOf>();
  const known = new Map<string, { readonly facts: Promise<Facts | undefined>; readonly at: number }>();
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
      return fresh(places.join("\0"), GIT_MS, () => gitFacts(places, warn));
    });
  }
  const interpreter = interpreterAsked(asked);
  if (interpreter !== undefined) {
    const { pythonFacts } = await import("../recorder/python.ts");
    const program = interpreter === "auto" ? interpreterOf(training) : interpreter;
    const env = () => fresh("env", PYTHON_MS, () => pythonFacts(program, warn));
    facts.set("env", env);
    // The training itself takes a while to start; by then it is known.
    if (training !== undefined) void env();
  }
  function fresh(key: string, forMs: number, ask: () => Promise<Facts | undefined>): Promise<Facts | undefined> {
    const before = known.get(key);
    if (before !== undefined && performance.now() - before.at < forMs) return before.facts;
    const asked = ask();
    known.set(key, { facts: asked, at: performance.now() });
    return asked;
  }
  return facts;
}
