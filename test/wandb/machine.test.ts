import { readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { WandbBackend } from "../../src/backends/wandb/backend.ts";
import { eventLineOf } from "../../src/backends/wandb/machine.ts";
import { discover } from "../../src/reader/discover.ts";
import { Recording } from "../../src/recorder/recording.ts";
import type { Batch, RunHandle } from "../../src/sync/backend.ts";
import { Recordings } from "../../src/sync/source/recordings.ts";
import { eventRecord, versionRecord } from "../../src/writer/event-record.ts";
import { scalarValue } from "../../src/writer/values.ts";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import { parseRow } from "../support/wandb-server/extended-json.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { markAt, description as runDescription, TIME } from "./batches.ts";
import { connect, faultsOf, NO_FAULTS, PROJECT } from "./destination.ts";
import { WandbWorld } from "./world.ts";

const RECORDING = "/state/recorded/a-b/events.out.tfevents.1.host.2.0.system.tracelet";

let server: WandbServer;
let backend: WandbBackend;

beforeEach(async () => {
  server = await WandbServer.start();
  backend = connect(server.uri);
});

afterEach(async () => {
  await backend.close();
  await server.stop();
});

const description = runDescription();

/** Values of one file. */
function batch(
  offset: number,
  file: string,
  values: readonly (readonly [tag: string, value: number])[],
  step = 0n,
): Batch {
  return {
    scalars: {
      tags: values.map(([tag]) => tag),
      tag: Int32Array.from(values, (_, i) => i),
      step: BigInt64Array.from(values, () => step),
      wallTime: Float64Array.from(values, () => TIME + Number(step)),
      value: Float64Array.from(values, ([, value]) => value),
      offset: Float64Array.from(values, () => 0),
      length: values.length,
    },
    data: [],
    segments: [],
    parts: [{ file, firstScalar: 0, firstDatum: 0 }],
    marks: [markAt(offset)],
    hparams: new Map(),
  };
}

function run() {
  const [only] = server.runs(PROJECT);
  if (only === undefined) throw new Error("there is no run");
  return only;
}

function cpuOf(events: readonly string[]): unknown[] {
  return events.map((line) => parseRow(line)["system.cpu"]);
}

const SAMPLE = [
  ["system/cpu_utilization_percentage", 12.5],
  ["system/system_memory_usage_percentage", 40],
  ["system/system_memory_usage_megabytes", 1000],
  ["system/disk_usage_percentage", 50],
  ["system/disk_usage_megabytes", 2147.483648],
  ["system/network_receive_megabytes", 1.5],
  ["system/network_transmit_megabytes", 0.25],
  ["system/gpu_3_utilization_percentage", 99],
  ["system/gpu_3_memory_usage_percentage", 75],
  ["system/gpu_3_memory_usage_megabytes", 16000.1],
  ["system/gpu_3_power_usage_watts", 300.5],
  ["system/gpu_3_power_usage_percentage", 80],
] as const;

test("a line whose time is no number has none, so that it stays valid JSON", () => {
  const row = { step: 0n, wallTime: Number.NaN, values: new Map([["system.cpu", "1"]]) };
  expect(JSON.parse(eventLineOf(row, TIME))).toEqual({ _wandb: true, "system.cpu": 1 });
});

test("what a watch has recorded of the machine is an event, under the names and in the units of W&B's client", async () => {
  const handle = await backend.open(description, undefined);
  const { tally } = await backend.write(handle, batch(100, RECORDING, SAMPLE, 3n));
  expect(run().events.lines.map(parseRow)).toEqual([
    {
      _wandb: true,
      _timestamp: TIME + 3,
      _runtime: 3,
      "system.cpu": 12.5,
      "system.memory_percent": 40,
      "system.system_memory_usage_megabytes": 1000,
      "system.disk./.usagePercent": 50,
      "system.disk./.usageGB": 2,
      "system.network.recv": 1_500_000,
      "system.network.sent": 250_000,
      "system.gpu.3.gpu": 99,
      "system.gpu.3.memoryAllocated": 75,
      "system.gpu.3.memoryAllocatedBytes": 16_000_100_000,
      "system.gpu.3.powerWatts": 300.5,
      "system.gpu.3.powerPercent": 80,
    },
  ]);
  expect(tally.kinds.get("scalars")).toMatchObject({ sent: SAMPLE.length });
  expect([run().history.count, run().summary]).toEqual([0, {}]);
});

test("a metric that the training has called alike is one of its metrics", async () => {
  const handle = await backend.open(description, undefined);
  await backend.write(handle, batch(100, "/runs/events.out.tfevents.1.host", SAMPLE.slice(0, 1)));
  expect(run().rows).toMatchObject([{ "system/cpu_utilization_percentage": 12.5 }]);
  expect(run().events.count).toBe(0);
});

const cpu = (offset: number, value: number) =>
  batch(offset, RECORDING, [["system/cpu_utilization_percentage", value]], BigInt(value));

test("samples that came through unheard, or did not come through, are there once", async () => {
  const proxy = await FaultProxy.start(server.port);
  const hasty = connect(proxy.uri, 1);
  const again = async (handle: RunHandle) => hasty.open(description, handle.id);
  try {
    let handle = await hasty.open(description, undefined);
    await hasty.write(handle, cpu(100, 1));
    for (const [offset, fault] of [
      [200, "reset-before"],
      [300, "reset-after"],
      [400, "reset-before"],
    ] as const) {
      const next = cpu(offset, offset / 100);
      proxy.inject({ fault: { kind: fault }, requests: /file_stream$/, times: 1 });
      proxy.inject({ fault: { kind: "reset-before" }, requests: /file_stream$/ });
      await expect(hasty.write(handle, next)).rejects.toMatchObject({ code: "unreachable" });
      proxy.calm();
      handle = await again(handle);
      const isThere = fault === "reset-after";
      expect(handle.marks).toMatchObject([{ offset: isThere ? offset : offset - 100 }]);
      await hasty.write(handle, next);
    }
    expect(cpuOf(run().events.lines)).toEqual([1, 2, 3, 4]);
    expect(run().events).toMatchObject({ gaps: [], changed: 0, repeated: 0 });
    expect(faultsOf(run())).toEqual(NO_FAULTS);
  } finally {
    await hasty.close();
    await proxy.stop();
  }
});

test("samples that W&B's own client has added stay, and tracelet's go on behind them", async () => {
  const handle = await backend.open(description, undefined);
  await backend.write(handle, cpu(100, 1));
  run().events.write(1, ['{"_wandb":true,"system.cpu":7}']);
  await backend.write(handle, cpu(200, 2));
  run().events.write(3, ['{"_wandb":true,"system.cpu":8}']);
  const other = connect(server.uri);
  const again = await other.open(description, handle.id);
  await other.write(again, cpu(300, 3));
  expect(cpuOf(run().events.lines)).toEqual([1, 7, 2, 8, 3]);
  await other.close();
});

test("samples of another process that still come through are not there twice", async () => {
  const handle = await backend.open(description, undefined);
  const proxy = await FaultProxy.start(server.port);
  const slow = connect(proxy.uri, 1);
  try {
    const late = await slow.open(description, handle.id);
    proxy.inject({ fault: { kind: "reset-before" }, requests: /file_stream$/ });
    await expect(slow.write(late, cpu(100, 1))).rejects.toMatchObject({ code: "unreachable" });
    const other = connect(server.uri);
    const again = await other.open(description, handle.id);
    // What the slow one has sent comes now.
    run().events.write(0, ['{"_wandb":true,"system.cpu":1}']);
    await other.write(again, cpu(100, 1));
    await other.write(again, cpu(200, 2));
    expect(cpuOf(run().events.lines)).toEqual([1, 2]);
    await other.close();
  } finally {
    await slow.close();
    await proxy.stop();
  }
});

test("recordings beside a run: their samples are events once, also after the state is lost, and their facts the run's", async () => {
  const world = await WandbWorld.create();
  world.logdir.write("train", versionRecord(TIME));
  world.logdir.append("train", eventRecord([scalarValue("loss", 1)], 1, TIME));
  const recordings = new Recordings(world.stateDir);
  const [file] = discover(world.logdir.root).runs[0]?.files ?? [];
  const place = await recordings.directoryOfAnchor(file as NonNullable<typeof file>);
  const recording = Recording.open(place as string) as Recording;
  const sample = (value: number) => ({
    wallTime: TIME + value,
    values: new Map([
      ["cpu_utilization_percentage", value],
      ["gpu_0_utilization_percentage", 50],
    ]),
  });
  await recording.addOnce("git", {
    tags: { "mlflow.source.git.commit": "c0ffee", "mlflow.source.git.dirty": "true" },
    artifacts: [{ path: "git/diff.patch", bytes: Buffer.from("diff\n") }],
  });
  await recording.add([sample(1), sample(2)]);
  expect(Object.fromEntries((await world.sync({ recordings })).runs[0]?.tally.kinds ?? [])).toMatchObject({
    scalars: { read: 5, sent: 5 },
    run_tags: { sent: 1 },
    artifacts: { sent: 1 },
  });
  await recording.add([sample(3)]);
  world.logdir.append("train", eventRecord([scalarValue("loss", 2)], 2, TIME + 1));
  await world.sync({ recordings });
  for (const name of readdirSync(world.stateDir)) if (name !== "recorded") rmSync(path.join(world.stateDir, name));
  await recording.add([sample(4)]);
  await world.sync({ recordings });
  recording.close();
  const [only, ...others] = world.server.runs(PROJECT);
  if (only === undefined) throw new Error("there is no run");
  expect(others).toEqual([]);
  expect(cpuOf(only.events.lines)).toEqual([1, 2, 3, 4]);
  expect(only.events).toMatchObject({ gaps: [], changed: 0, repeated: 0 });
  expect(only.rows.map(({ loss }) => loss)).toEqual([1, 2]);
  expect(only.fields.commit).toBe("c0ffee");
  expect(only.files.get("diff.patch")?.bytes.toString()).toBe("diff\n");
  expect(Object.keys(only.summary).filter((key) => key.startsWith("system"))).toEqual([]);
});
