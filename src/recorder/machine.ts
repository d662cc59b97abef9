/**
 * How busy this machine is, under the names and in the units of MLflow's own system metrics.
 *
 * Source: mlflow/system_metrics/metrics/{cpu,disk,network}_monitor.py, which read the same from psutil.
 */
import os from "node:os";
import path from "node:path";
import type { Systeminformation } from "systeminformation";
import { within } from "./within.ts";

/** By name, without `system/`. */
export type Sample = ReadonlyMap<string, number>;

/** How long one part of a sample may take, ms. */
const PATIENCE_MS = 5000;
const MEGABYTE = 1e6;
/** On a host of many containers each has an interface, and the library starts a process for each. */
const MAX_INTERFACES = 16;

export class Machine {
  /** Bytes since the system started, at the first sample. */
  #network: { readonly received: number; readonly sent: number } | undefined;
  /** Parts that have not answered yet: a file system may hang. They are not asked again meanwhile. */
  readonly #pending = new Set<string>();

  /** What can be had of it now. Load is that since the last sample; network counts from the first one. */
  async sample(): Promise<Sample> {
    // Loading it takes 100 ms and 10 MB: only who asks for it pays.
    const { currentLoad, fsSize, mem, networkStats } = await import("systeminformation");
    const parts = await Promise.all([
      this.#part("cpu", async () => cpu(await currentLoad())),
      this.#part("memory", async () => memory(await mem())),
      this.#part("disk", async () => disk(await fsSize())),
      this.#part("network", async () => this.#networkSince(await networkStats(interfaces().join(",")))),
    ]);
    return new Map(parts.flat().filter(([, value]) => Number.isFinite(value)));
  }

  /** None of it if it fails or takes too long. */
  async #part(name: string, measure: () => Promise<Entry[]>): Promise<Entry[]> {
    if (this.#pending.has(name)) return [];
    this.#pending.add(name);
    const measured = measure()
      .catch(() => [])
      .finally(() => this.#pending.delete(name));
    return (await within(measured, PATIENCE_MS)) ?? [];
  }

  #networkSince(stats: readonly Systeminformation.NetworkStatsData[]): Entry[] {
    const received = stats.reduce((sum, { rx_bytes: bytes }) => sum + bytes, 0);
    const sent = stats.reduce((sum, { tx_bytes: bytes }) => sum + bytes, 0);
    this.#network ??= { received, sent };
    return [
      ["network_receive_megabytes", (received - this.#network.received) / MEGABYTE],
      ["network_transmit_megabytes", (sent - this.#network.sent) / MEGABYTE],
    ];
  }
}

type Entry = readonly [name: string, value: number];

function cpu({ currentLoad }: Systeminformation.CurrentLoadData): Entry[] {
  return [["cpu_utilization_percentage", round(currentLoad)]];
}

/** `active` is what programs cannot be given any more; `used` would count what the system caches, too. */
function memory({ active, total }: Systeminformation.MemData): Entry[] {
  return [
    ["system_memory_usage_megabytes", round(active / MEGABYTE)],
    ["system_memory_usage_percentage", round((active / total) * 100)],
  ];
}

/** Of the file system that the root directory is in, as MLflow has it. */
function disk(all: readonly Systeminformation.FsSizeData[]): Entry[] {
  const { root } = path.parse(process.cwd());
  const found = all.find(({ mount }) => mount === root || `${mount}${path.sep}` === root);
  if (found === undefined) return [];
  return [
    ["disk_usage_percentage", round(found.use)],
    ["disk_usage_megabytes", round(found.used / MEGABYTE)],
    ["disk_available_megabytes", round(found.available / MEGABYTE)],
  ];
}

function interfaces(): string[] {
  return Object.keys(os.networkInterfaces()).slice(0, MAX_INTERFACES);
}

/** As MLflow does. */
function round(value: number): number {
  return Math.round(value * 10) / 10;
}
