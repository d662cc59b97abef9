/** What `--track-system`, `--track-git` and `--track-env` ask for, as the engine takes it. */
import type { Recorder } from "../recorder/recorder.ts";
import { Recordings } from "../sync/source/recordings.ts";
import type { CommandOptions } from "./options.ts";

/** Whose code and interpreter runs are made by. */
export interface RecorderSurroundings {
  /** The command behind `--`, if there is one. */
  readonly training: readonly string[] | undefined;
  /** Told what a user should know; `info`: only one who asks for everything. */
  readonly say: (level: "info" | "warning", message: string) => void;
}

/** @returns undefined if nothing is to be recorded */
export async function recorderOf(
  {
    trackSystem,
    metricsInterval,
    idleTimeout,
    stateDir,
  }: Pick<
    CommandOptions<"watch">,
    "trackSystem" | "metricsInterval" | "trackGit" | "trackEnv" | "idleTimeout" | "stateDir"
  >,
  { say }: RecorderSurroundings,
): Promise<Recorder | undefined> {
  if (!trackSystem) return undefined;
  // Most watches record nothing.
  const [{ Recorder }, { Machine }, { NvidiaSmi }] = await Promise.all([
    import("../recorder/recorder.ts"),
    import("../recorder/machine.ts"),
    import("../recorder/nvidia-smi.ts"),
  ]);
  const machine = new Machine();
  const gpus = new NvidiaSmi((message) => say("info", message));
  return new Recorder({
    recordings: new Recordings(stateDir),
    intervalMs: trackSystem ? metricsInterval : undefined,
    sample: async () => new Map((await Promise.all([machine.sample(), gpus.sample()])).flatMap((part) => [...part])),
    once: new Map(),
    idleTimeoutMs: idleTimeout,
    onFailure: (message) => say("warning", message),
  });
}
