/** `tracelet status`: how far each run is at each destination, as far as this machine remembers. */
import { Checkpoints } from "../sync/checkpoints.ts";
import { discoverAll } from "../sync/engine.ts";
import { bytes, oneLine, outputTo, paint, plural, printable, table } from "./terminal.ts";

export interface StatusCommandOptions {
  readonly stateDir: string;
  readonly json: boolean;
}

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
  const statuses: RunStatus[] = [];
  for (const destination of Checkpoints.destinations(options.stateDir)) {
    const checkpoints = Checkpoints.open(options.stateDir, destination, { readOnly: true });
    const stored = checkpoints.runs();
    checkpoints.close();
    if (!runs.some((run) => stored.has(run.name))) continue;
    for (const run of runs) {
      const candidates = stored.get(run.name) ?? [];
      const total = run.files.reduce((sum, file) => sum + file.size, 0);
      // The run that has these files' names; which of several it is shows only when it is synced.
      const best = candidates.findLast(({ files }) =>
        files.some(({ name }) => run.files.some((file) => file.name === name)),
      );
      const sent = run.files.reduce((sum, { name, size }) => {
        return sum + Math.min(size, best?.files.find((file) => file.name === name)?.offset ?? 0);
      }, 0);
      const done = best?.done === true && sent === total;
      const state = best === undefined ? "not sent" : done ? "done" : "partly";
      statuses.push({ destination, run: run.name, remoteId: best?.remoteId ?? null, state, sent, left: total - sent });
    }
  }
  if (options.json) {
    output.write(`${printable(JSON.stringify({ runs: statuses }))}\n`);
    return 0;
  }
  for (const destination of new Set(statuses.map((status) => status.destination))) {
    const ofIt = statuses.filter((status) => status.destination === destination);
    output.write(`${paint(output, "bold", oneLine(destination))}\n`);
    const rows = ofIt.map(({ run, state, sent, left, remoteId }) => [
      oneLine(run),
      state,
      bytes(sent),
      bytes(left),
      remoteId ?? "",
    ]);
    output.write(`${table([["run", "state", "sent", "left", "id there"], ...rows])}\n`);
  }
  if (statuses.length === 0) output.write(`${plural(runs.length, "run")}, none of them sent anywhere from here\n`);
  return 0;
}
