/** GPUs, by a stand-in for nvidia-smi that prints what the real one prints. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { NvidiaSmi } from "../../src/recorder/nvidia-smi.ts";

/** Puts it first on PATH. */
function standIn(script: string): void {
  const directory = mkdtempSync(path.join(os.tmpdir(), "tracelet-smi-"));
  const file = path.join(directory, "nvidia-smi");
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  const before = process.env["PATH"];
  process.env["PATH"] = `${directory}${path.delimiter}${before}`;
  onTestFinished(() => {
    process.env["PATH"] = before;
    rmSync(directory, { recursive: true, force: true });
  });
}

async function samples(n: number): Promise<{ all: Record<string, number>[]; said: string[] }> {
  const said: string[] = [];
  const gpus = new NvidiaSmi((message) => said.push(message));
  const all: Record<string, number>[] = [];
  for (let i = 0; i < n; i++) all.push(Object.fromEntries(await gpus.sample()));
  return { all, said };
}

test("two GPUs, one of which does not tell its power: MLflow's names and units", async () => {
  standIn(`
case "$*" in *"--query-gpu=index,utilization.gpu,memory.used,memory.total,power.draw,enforced.power.limit"*) ;; *) exit 2 ;; esac
case "$*" in *"--format=csv,noheader,nounits"*) ;; *) exit 2 ;; esac
echo "0, 87, 20321, 81920, 301.25, 400.00"
echo "1, 0, 4, 24576, [N/A], [N/A]"`);
  const { all, said } = await samples(1);
  expect(all).toEqual([
    {
      gpu_0_memory_usage_percentage: 24.8,
      gpu_0_memory_usage_megabytes: 21308.1,
      gpu_0_utilization_percentage: 87,
      gpu_0_power_usage_watts: 301.3,
      gpu_0_power_usage_percentage: 75.3,
      gpu_1_memory_usage_percentage: 0,
      gpu_1_memory_usage_megabytes: 4.2,
      gpu_1_utilization_percentage: 0,
    },
  ]);
  expect(said).toEqual([]);
});

test("without a driver that is said once, and it is not asked again", async () => {
  const asked = path.join(mkdtempSync(path.join(os.tmpdir(), "tracelet-smi-")), "asked");
  onTestFinished(() => rmSync(path.dirname(asked), { recursive: true, force: true }));
  standIn(`
test -e ${asked} && exit 3
touch ${asked}
echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running."
echo
exit 9`);
  const { all, said } = await samples(3);
  expect(all).toEqual([{}, {}, {}]);
  expect(said).toEqual([expect.stringContaining("couldn't communicate with the NVIDIA driver")]);
});

test("without nvidia-smi nothing is recorded, which is said once", async () => {
  const before = process.env["PATH"];
  process.env["PATH"] = os.tmpdir();
  onTestFinished(() => void (process.env["PATH"] = before));
  const { all, said } = await samples(2);
  expect([all, said]).toEqual([[{}, {}], ["no GPU metrics are recorded: there is no nvidia-smi"]]);
});
