/** The logdir that the states of earlier versions were made from, as it was then and as it has grown since. */
import {
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import path from "node:path";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

/**
 * Real event files of several writers, one of them damaged in its middle, and a file of zeros.
 *
 * @param half whether two of them are as long as when the earlier versions read them
 */
export function writeLogdir(directory: string, half: boolean): void {
  for (const writer of ["torch", "lightning", "torch-restart", "tensorboardx"])
    cpSync(path.join(FIXTURES, writer, "runs"), path.join(directory, writer), { recursive: true });
  for (const file of eventFiles(directory, "torch/tensors")) {
    const handle = openSync(file, "r+");
    writeSync(handle, Uint8Array.of(255), 0, 1, Math.floor(statSync(file).size / 2));
    closeSync(handle);
  }
  mkdirSync(path.join(directory, "zeros"), { recursive: true });
  writeFileSync(path.join(directory, "zeros/events.out.tfevents.1700000000.zeros"), new Uint8Array(64));
  if (!half) return;
  for (const run of ["torch/scalars", "torch/histograms"])
    for (const file of eventFiles(directory, run)) truncateSync(file, Math.floor(statSync(file).size * 0.6));
}

function eventFiles(directory: string, run: string): string[] {
  const names = readdirSync(path.join(directory, run)).filter((name) => name.includes("tfevents"));
  return names.map((name) => path.join(directory, run, name));
}
