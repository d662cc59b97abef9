// TensorBoard's Rust data server: how long its load cycle takes, by its own account.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const start = promisify(execFile);
/** What it keeps a sample of unless it is told not to. */
const KINDS = ["scalars", "histograms", "images", "audio", "text"];
/** Linux counts a process' CPU time in these, s. */
const TICK = 0.01;

/**
 * Load a logdir with it, both CRCs checked, in a fresh process.
 *
 * @param keepAll false: as it is by default, it keeps a sample (of scalars 1000 a tag), and works less for it
 * @param threads how many it loads with; as many as there are processors unless this is given
 * @param count ask it afterwards how many values it has
 * @returns wall (of the load cycle), cpu and peak (of the process until then), points if they were counted
 */
export async function load(python, logdir, { keepAll, threads, count = false }) {
  const find = "import tensorboard_data_server as s; print(s.server_binary())";
  const server = (await start(python, ["-c", find])).stdout.trim();
  const sampling = keepAll ? [`--samples-per-plugin=${KINDS.map((kind) => `${kind}=all`).join()}`] : [];
  const fixed = ["--checksum", "--verbose", "--reload", "once", "--port", "0", "--die-after-stdin"];
  const child = spawn(server, ["--logdir", logdir, ...fixed, ...sampling], {
    stdio: ["pipe", "ignore", "pipe"],
    env: { ...process.env, ...(threads && { RAYON_NUM_THREADS: String(threads) }) },
  });
  const ended = once(child, "exit");
  try {
    let address;
    let wall;
    for await (const line of createInterface({ input: child.stderr })) {
      address ??= /^listening on (.*)/.exec(line)?.[1];
      wall = seconds(/Finished load cycle \((.*)\)/.exec(line)?.[1]);
      if (wall !== undefined) break;
    }
    if (wall === undefined) throw new Error(`the data server ended with ${(await ended)[0]}`);
    // Nobody listens to it any more, and a full pipe would hold it up.
    child.stderr.resume();
    const sample = { wall, ...costOf(child.pid) };
    return count ? { ...sample, points: await valuesOf(python, address) } : sample;
  } finally {
    child.stdin.end();
    await ended;
  }
}

/** As Rust prints a duration. */
function seconds(text) {
  const [, figure, unit] = /^([\d.]+)(s|ms|µs)$/.exec(text ?? "") ?? [];
  return unit && Number(figure) * { s: 1, ms: 1e-3, µs: 1e-6 }[unit];
}

function costOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  // Behind the name, which may hold anything.
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return {
    cpu: (Number(fields[11]) + Number(fields[12])) * TICK,
    peak: Number(/VmHWM:\s+(\d+)/.exec(status)[1]) * 1024,
  };
}

async function valuesOf(python, address) {
  const script = path.join(import.meta.dirname, "peers/count_data_server.py");
  const { stdout } = await start(python, [script, address]);
  return Object.values(JSON.parse(stdout)).reduce((sum, count) => sum + count, 0);
}
