/** `tracelet status`: how far each run is at each destination, as far as this machine remembers. */
import { uploadText, waitingAt } from "../backends/wandb/offline/uploads.ts";
import type { CommandOptions } from "../config/options.ts";
import { nameInState } from "../config/registry.ts";
import type { DiscoveredRun } from "../reader/discover.ts";
import { ownRuns } from "../sync/source/linked-runs.ts";
import { discoverAll } from "../sync/source/logdirs.ts";
import { Checkpoints } from "../sync/state/checkpoints.ts";
import type { StoredRun } from "../sync/state/stored-run.ts";
import { findRemembered } from "./remembered.ts";
import { bytes, oneLine, outputTo, paint, plural, printJson, table } from "./terminal.ts";

export type StatusCommandOptions = CommandOptions<"status">;

interface RunStatus {
  readonly destination: string;
  readonly run: string;
  readonly remoteId: string | null;
  readonly state: "done" | "partly" | "not sent";
  /** Bytes of event files. */
  readonly sent: number;
  readonly left: number;
}

/** @returns 0 @throws TraceletError `logdir`, `state` */
export async function runStatus(logdirs: readonly string[], options: StatusCommandOptions): Promise<number> {
  const output = outputTo(process.stdout);
  const { runs } = discoverAll(logdirs);
  const own = new Set(ownRuns(runs));
  const statuses: RunStatus[] = [];
  const backends = options.backend && (await Promise.all(options.backend.map(nameInState)));
  for (const destination of Checkpoints.destinations(options.stateDir)) {
    if (backends?.some((name) => destination.startsWith(`${name} `)) === false) continue;
    const checkpoints = Checkpoints.open(options.stateDir, destination, { readOnly: true });
    const stored = checkpoints.runs();
    checkpoints.close();
    // Another name of a run is one only where it was sent as such.
    const shown = runs.filter((run) => own.has(run) || stored.has(run.name));
    const ofIt = shown.map((run) => statusOf(run, stored, destination));
    if (ofIt.some(({ state }) => state !== "not sent")) statuses.push(...ofIt);
  }
  if (options.json) {
    printJson({ destinations: perDestination(statuses), runs: statuses });
    return 0;
  }
  for (const [destination, ofIt] of byDestination(statuses)) {
    output.write(`${paint(output, "bold", oneLine(destination))}\n`);
    const rows = ofIt.map(({ run, state, sent, left, remoteId }) => [
      oneLine(run),
      state,
      bytes(sent),
      bytes(left),
      remoteId ?? "",
    ]);
    output.write(`${table([["run", "state", "sent", "left", "id there"], ...rows])}\n`);
    const waiting = waitingOf(destination, ofIt);
    if (waiting.length > 0) output.write(`${oneLine(uploadText(waiting))}\n`);
  }
  if (statuses.length === 0) output.write(`${plural(own.size, "run")}, none of them sent anywhere from here\n`);
  return 0;
}

function byDestination(statuses: readonly RunStatus[]): Map<string, RunStatus[]> {
  const destinations = new Map<string, RunStatus[]>();
  for (const status of statuses) {
    const known = destinations.get(status.destination);
    if (known === undefined) destinations.set(status.destination, [status]);
    else known.push(status);
  }
  return destinations;
}

/** Directories that still have to be uploaded to where the runs are meant to go. */
function waitingOf(destination: string, runs: readonly RunStatus[]): string[] {
  return waitingAt(
    destination,
    runs.flatMap(({ remoteId }) => remoteId ?? []),
  );
}

/** How far all runs together are at each. */
function perDestination(statuses: readonly RunStatus[]): object[] {
  return Array.from(byDestination(statuses), ([destination, runs]) => {
    const waiting = waitingOf(destination, runs);
    return {
      ...{ backend: destination.split(" ")[0], destination },
      ...{ runs: runs.length, done: runs.filter(({ state }) => state === "done").length },
      sent: runs.reduce((sum, { sent }) => sum + sent, 0),
      left: runs.reduce((sum, { left }) => sum + left, 0),
      ...(waiting.length > 0 && { waiting }),
    };
  });
}

function statusOf(
  run: DiscoveredRun,
  stored: ReadonlyMap<string, readonly StoredRun[]>,
  destination: string,
): RunStatus {
  const total = run.files.reduce((sum, file) => sum + file.size, 0);
  const best = findRemembered(run, stored);
  const sent = run.files.reduce((sum, { name, size }) => sum + Math.min(size, best?.offsetOf(name) ?? 0), 0);
  const done = best?.of.done === true && sent === total;
  const state = best === undefined ? "not sent" : done ? "done" : "partly";
  return { destination, run: run.name, remoteId: best?.of.remoteId ?? null, state, sent, left: total - sent };
}
