/**
 * What a watch has recorded of the machine → the run's events, which W&B's System tab shows. Recordings have MLflow's names
 * and megabytes; W&B's client has its own, which the tab draws as its own charts. The rest is drawn there under its own name.
 *
 * Source: core/internal/monitor/system.go, xpu/src/gpu_nvidia.rs, core/internal/filestream/updatestats.go.
 */
import { isRecordingFile } from "../../sync/source/recordings.ts";
import { numberText } from "./json.ts";
import type { Row, RowValue } from "./rows.ts";

const PREFIX = "system/";
const MEGABYTE = 1e6;
const GIGABYTES_PER_MEGABYTE = MEGABYTE / 2 ** 30;

/** By the names of recordings: W&B's, and what a value is multiplied with. */
const NAMES: ReadonlyMap<string, readonly [name: string, factor: number]> = new Map([
  ["cpu_utilization_percentage", ["cpu", 1]],
  ["system_memory_usage_percentage", ["memory_percent", 1]],
  ["disk_usage_percentage", ["disk./.usagePercent", 1]],
  ["disk_usage_megabytes", ["disk./.usageGB", GIGABYTES_PER_MEGABYTE]],
  ["network_receive_megabytes", ["network.recv", MEGABYTE]],
  ["network_transmit_megabytes", ["network.sent", MEGABYTE]],
]);
const GPU_NAMES: ReadonlyMap<string, readonly [name: string, factor: number]> = new Map([
  ["utilization_percentage", ["gpu", 1]],
  ["memory_usage_percentage", ["memoryAllocated", 1]],
  ["memory_usage_megabytes", ["memoryAllocatedBytes", MEGABYTE]],
  ["power_usage_watts", ["powerWatts", 1]],
  ["power_usage_percentage", ["powerPercent", 1]],
]);

/** The values of an event file that are the machine's, and the others. */
export function splitMachine(file: string, values: readonly RowValue[]): { machine: RowValue[]; others: RowValue[] } {
  if (!isRecordingFile(file)) return { machine: [], others: [...values] };
  const machine: RowValue[] = [];
  const others: RowValue[] = [];
  for (const value of values) {
    if (value.key.startsWith(PREFIX)) machine.push(named(value));
    else others.push(value);
  }
  return { machine, others };
}

/** A line of the events. @param startTime of the run, seconds */
export function eventLineOf({ wallTime, values }: Row, startTime: number): string {
  const fields = Array.from(values, ([key, text]) => `${JSON.stringify(key)}:${text}`);
  // As in rows: a time that is no number would make the line unreadable for W&B.
  const isTimed = Number.isFinite(wallTime);
  const time = isTimed ? [`"_timestamp":${wallTime}`] : [];
  const runtime = isTimed && Number.isFinite(startTime) ? [`"_runtime":${wallTime - startTime}`] : [];
  return `{${['"_wandb":true', ...time, ...runtime, ...fields].join(",")}}`;
}

function named({ key, text, ...rest }: RowValue): RowValue {
  const recorded = key.slice(PREFIX.length);
  const [, gpu, ofGpu = ""] = /^gpu_(\d+)_(.*)$/.exec(recorded) ?? [];
  const [name, factor] = (gpu === undefined ? NAMES.get(recorded) : GPU_NAMES.get(ofGpu)) ?? [recorded, 1];
  const isOfGpu = gpu !== undefined && GPU_NAMES.has(ofGpu);
  const value = Number(text) * factor;
  return {
    ...rest,
    key: `system.${isOfGpu ? `gpu.${gpu}.${name}` : name}`,
    // Bytes are whole numbers.
    text: factor === 1 ? text : numberText(factor === MEGABYTE ? Math.round(value) : value),
  };
}
