/**
 * The twins of a logdir: what W&B's own TensorBoard sync makes of it on our W&B server, and what tracelet does. Both are
 * brought into one form, points by key, so that they can be compared point for point.
 */
import { createHash } from "node:crypto";
import { isRow, type Row, type RowValue } from "../../support/wandb-server/extended-json.ts";
import type { StoredRun } from "../../support/wandb-server/run.ts";
import type { WandbServer } from "../../support/wandb-server/server.ts";
import type { WandbClient } from "./wandb-client.ts";

/** A value of one row. */
export interface TwinPoint {
  /** TensorBoard's step, by the axis that the run's config defines for the key; as text, since it may have 64 bits. */
  readonly step: string;
  /** Seconds since 1970. */
  readonly time: number;
  /** A number, `{bins, values}`, or of a medium its type and the SHA-256 of its files, which have other names in each sync. */
  readonly value: RowValue;
}

/** In the order of the rows. */
export interface TwinPoints {
  readonly [key: string]: readonly TwinPoint[];
}

export interface TwinDifference {
  readonly what: "missing" | "extra" | "value" | "time";
  readonly key: string;
  readonly step: string;
  readonly theirs?: TwinPoint;
  readonly ours?: TwinPoint;
}

/** Where W&B's sync puts a step. */
const AXIS = "global_step";
/** W&B's own keys. */
const OWN = ["_step", "_timestamp", "_runtime", AXIS];

/**
 * W&B's own TensorBoard sync of a logdir, a W&B run for each directory.
 *
 * @param project one that nothing else is in
 * @param whole each directory with those below it, as W&B reads them by itself; without: its own files alone
 * @returns the points by the directories that have event files, relative to the logdir
 */
export async function syncOfficially(
  client: WandbClient,
  server: WandbServer,
  { logdir, project, whole = false }: { readonly logdir: string; readonly project: string; readonly whole?: boolean },
): Promise<{ [directory: string]: TwinPoints }> {
  const args = [project, logdir, ...(whole ? ["whole"] : [])];
  const ids = (await client.script("sync_logdir", args)) as { readonly [directory: string]: string };
  const runs = Object.entries(ids).map(([directory, id]) => [directory, server.run(project, id)] as const);
  return Object.fromEntries(runs.map(([directory, run]) => [directory, pointsOf(run)]));
}

/** What a run's rows say, whichever client sent them. */
export function pointsOf(run: StoredRun): TwinPoints {
  return pointsIn(run.rows, run);
}

function pointsIn(rows: readonly Row[], run: StoredRun): TwinPoints {
  const axes = axesOf(run.config);
  // Tags may be called as properties of every object are.
  const points = new Map<string, TwinPoint[]>();
  for (const row of rows) {
    for (const [key, value] of Object.entries(row)) {
      if (OWN.includes(key) || axes.isAxis(key)) continue;
      const axis = axes.axisOf(key);
      const step = row[axis];
      if (typeof step !== "number" && typeof step !== "bigint") throw new Error(`${key} has no ${axis} in ${run.name}`);
      const point = {
        step: String(step),
        time: Number(row["_timestamp"] ?? Number.NaN),
        value: withoutNames(value, run),
      };
      const before = points.get(key);
      if (before === undefined) points.set(key, [point]);
      else before.push(point);
    }
  }
  return Object.fromEntries(points);
}

/**
 * What W&B's own sync would have made of a run that tracelet sent: the values of a step that follow each other in one row, of
 * a tag the last alone, and all at the time of the last.
 */
export function foldedPointsOf(run: StoredRun): TwinPoints {
  const rows: Row[] = [];
  for (const row of run.rows) {
    const last = rows.at(-1);
    if (last !== undefined && last[AXIS] === row[AXIS]) rows[rows.length - 1] = { ...last, _timestamp: null, ...row };
    else rows.push(row);
  }
  return pointsIn(rows, run);
}

/** The k-th point of a key and step is compared with the other's k-th. */
export function differences(theirs: TwinPoints, ours: TwinPoints): TwinDifference[] {
  const [left, right] = [numbered(theirs), numbered(ours)];
  const found: TwinDifference[] = [];
  for (const [name, { key, point }] of left) {
    const other = right.get(name)?.point;
    const difference = { key, step: point.step, theirs: point, ...(other === undefined ? {} : { ours: other }) };
    if (other === undefined) found.push({ what: "missing", ...difference });
    else if (textOf(other.value) !== textOf(point.value)) found.push({ what: "value", ...difference });
    else if (!Object.is(other.time, point.time)) found.push({ what: "time", ...difference });
  }
  for (const [name, { key, point }] of right) {
    if (!left.has(name)) found.push({ what: "extra", key, step: point.step, ours: point });
  }
  return found;
}

/** The axes that define_metric gave the keys: `m` has MetricRecords, whose fields are numbers (name, glob, step metric). */
function axesOf(config: Row): { axisOf: (key: string) => string; isAxis: (key: string) => boolean } {
  const own = config["_wandb"];
  const metrics = ((isRow(own) ? own["m"] : undefined) ?? []) as readonly Row[];
  const axes = metrics.flatMap(({ 1: name, 2: glob, 5: index }) => {
    const axis = typeof index === "number" ? metrics[index - 1]?.["1"] : undefined;
    if (typeof axis !== "string") return [];
    const pattern =
      typeof glob === "string" ? glob.replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", ".*") : undefined;
    return {
      fits: (key: string) => key === name || (pattern !== undefined && new RegExp(`^${pattern}$`).test(key)),
      axis,
    };
  });
  return {
    axisOf: (key) => axes.find(({ fits }) => fits(key))?.axis ?? AXIS,
    isAxis: (key) => axes.some(({ axis }) => axis === key),
  };
}

/** A medium's files by what is in them. */
function withoutNames(value: RowValue, { files }: StoredRun): RowValue {
  if (!isRow(value) || typeof value["_type"] !== "string") return value;
  const { path, filenames, sha256: _sha256, size: _size, ...rest } = value;
  const names = (filenames ?? (path === undefined ? [] : [path])) as readonly string[];
  if (names.length === 0) return rest;
  const digest = (name: string) => {
    const bytes = files.get(name)?.bytes;
    return bytes === undefined ? "is not there" : createHash("sha256").update(bytes).digest("hex");
  };
  return { ...rest, files: names.map(digest) };
}

function numbered(points: TwinPoints): Map<string, { readonly key: string; readonly point: TwinPoint }> {
  const seen = new Map<string, number>();
  const all = new Map<string, { readonly key: string; readonly point: TwinPoint }>();
  for (const [key, values] of Object.entries(points)) {
    for (const point of values) {
      const place = JSON.stringify([key, point.step]);
      const count = seen.get(place) ?? 0;
      seen.set(place, count + 1);
      all.set(`${place} ${count}`, { key, point });
    }
  }
  return all;
}

/** Equal for equal values, in whatever order their fields are. */
function textOf(value: RowValue): string {
  return JSON.stringify(value, (_key, each: unknown) => {
    if (typeof each === "bigint" || (typeof each === "number" && !Number.isFinite(each))) return `number ${each}`;
    if (typeof each !== "object" || each === null || Array.isArray(each)) return each;
    return Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}
