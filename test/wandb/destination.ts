/** A W&B server of the tests as a destination, and the points that it has. */
import { WandbApi } from "../../src/backends/wandb/api.ts";
import { WandbBackend, type WandbBackendOptions } from "../../src/backends/wandb/backend.ts";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";
import type { Point } from "../../src/testing/event-file.ts";
import { isRow, type Row } from "../support/wandb-server/extended-json.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { API_KEY, type WandbServer } from "../support/wandb-server/server.ts";

export const PROJECT = "p";

/** @param base address of a server, or of what stands in front of it */
export function connect(
  base: string,
  giveUpAfterMs?: number,
  options: Partial<WandbBackendOptions> = {},
): WandbBackend {
  const names = { wandbProject: PROJECT, wandbEntity: undefined };
  const place = readPlace(names, { WANDB_BASE_URL: base });
  const access = readLogin(base, { WANDB_API_KEY: API_KEY }, "/nowhere");
  return new WandbBackend({ store: new WandbApi({ base, access, giveUpAfterMs }), place, live: false, ...options });
}

/** A server to which a batch takes many requests. @param maxRequestBytes of lines, if a line is no longer */
export function storeOf(base: string, giveUpAfterMs: number, maxRequestBytes: number): WandbApi {
  const access = readLogin(base, { WANDB_API_KEY: API_KEY }, "/nowhere");
  return new (class extends WandbApi {
    override readonly maxRequestBytes: number = maxRequestBytes;
  })({ base, access, giveUpAfterMs });
}

/** By the names of the runs. */
export function pointsOf(server: WandbServer): Map<string, Point[]> {
  return new Map(server.runs(PROJECT).map((run) => [run.fields.displayName ?? "", run.rows.flatMap(pointsIn)]));
}

export function pointsIn({ global_step: step, _step, _timestamp, _runtime, ...values }: Row): Point[] {
  // A row that was blanked.
  if (step === undefined && Object.keys(values).length === 0) return [];
  const at = { step: BigInt(step as number | bigint), wallTime: Number(_timestamp) };
  return Object.entries(values).flatMap(([tag, value]) => (isRow(value) ? [] : { tag, value: Number(value), ...at }));
}

/** What is wrong with how a run was written: nothing, where each line was sent once and in order. */
export function faultsOf(run: StoredRun): object {
  const steps = run.rows.map(({ _step }) => _step);
  return {
    gaps: run.history.gaps,
    changed: run.history.changed,
    repeated: run.history.repeated,
    oddities: run.oddities,
    misnumbered: steps.filter((step, line) => step !== line),
  };
}

export const NO_FAULTS: object = { gaps: [], changed: 0, repeated: 0, oddities: [], misnumbered: [] };
