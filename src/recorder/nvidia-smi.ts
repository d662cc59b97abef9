/**
 * NVIDIA's GPUs, as `nvidia-smi` tells of them, under the names and in the units of MLflow's own system metrics.
 *
 * Source: mlflow/system_metrics/metrics/gpu_monitor.py, which reads the same from NVML; `nvidia-smi --help-query-gpu`.
 */
import type { Sample } from "./machine.ts";
import { ask } from "./program.ts";

const FIELDS = ["index", "utilization.gpu", "memory.used", "memory.total", "power.draw", "enforced.power.limit"];
/** A driver may take its time to wake up, where nothing keeps it awake. */
const TIMEOUT_MS = 8000;
const MAX_BYTES = 1 << 20;
/** After as many failures in a row it is not asked again. */
const MAX_FAILURES = 3;
/** `memory.used` and `memory.total` are in MiB. */
const MEGABYTES_PER_MIB = 2 ** 20 / 1e6;

export class NvidiaSmi {
  readonly #say: (message: string) => void;
  #failures = 0;
  #hasAnswered = false;

  /** @param say told once why there is nothing to be had */
  constructor(say: (message: string) => void) {
    this.#say = say;
  }

  /** What can be had of the GPUs now; nothing where there are none. */
  async sample(): Promise<Sample> {
    if (this.#failures >= MAX_FAILURES) return NOTHING;
    const query = [`--query-gpu=${FIELDS.join(",")}`, "--format=csv,noheader,nounits"];
    const answer = await ask("nvidia-smi", query, { timeoutMs: TIMEOUT_MS, maxBytes: MAX_BYTES });
    if (answer instanceof Error) {
      const isAbsent = (answer as NodeJS.ErrnoException).code === "ENOENT";
      this.#failed(isAbsent ? "there is no nvidia-smi" : answer.message, !this.#hasAnswered && isAbsent);
      return NOTHING;
    }
    if (answer.code !== 0) {
      // It says so on standard output.
      const said = answer.stderr.trim() || answer.stdout.toString().trim();
      this.#failed(`nvidia-smi: ${said.split("\n")[0] ?? ""}`, !this.#hasAnswered);
      return NOTHING;
    }
    this.#hasAnswered = true;
    this.#failures = 0;
    return new Map(answer.stdout.toString().split("\n").flatMap(gpuOf));
  }

  /** @param forGood whether it makes no sense to ask again */
  #failed(why: string, forGood: boolean): void {
    this.#failures = forGood ? MAX_FAILURES : this.#failures + 1;
    if (this.#failures === MAX_FAILURES) this.#say(`no GPU metrics are recorded: ${why}`);
  }
}

const NOTHING: Sample = new Map();

/** What a line tells of one GPU. What the card does not tell is `[N/A]` or the like, and no number. */
function gpuOf(line: string): [name: string, value: number][] {
  const cells = line.split(",").map((cell) => cell.trim());
  if (cells.length !== FIELDS.length || !/^\d+$/.test(cells[0] as string)) return [];
  const [index, utilization, used, total, power, limit] = cells.map((cell) =>
    /^[\d.]+$/.test(cell) ? Number(cell) : NaN,
  );
  const entries: [string, number][] = [
    ["memory_usage_percentage", round(((used as number) / (total as number)) * 100)],
    ["memory_usage_megabytes", round((used as number) * MEGABYTES_PER_MIB)],
    ["utilization_percentage", utilization as number],
    ["power_usage_watts", round(power as number)],
    ["power_usage_percentage", round(((power as number) / (limit as number)) * 100)],
  ];
  return entries.flatMap(([name, value]) => (Number.isFinite(value) ? [[`gpu_${index}_${name}`, value]] : []));
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
