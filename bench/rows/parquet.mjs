// Ten million scalars of one run to Parquet, on one core.
import path from "node:path";
import { bound, line } from "../lines.mjs";
import { alternate, measured, syncToFiles } from "../measure.mjs";

const COUNT = path.join(import.meta.dirname, "../peers/count_parquet.py");
/** Bytes. */
const MAX_PEAK = 256e6;

export async function run(context) {
  const logdir = context.shape("10m");
  const python = await context.python("files");
  const { ours } = await alternate(
    context.times,
    {
      ours: async (turn) => {
        const output = path.join(context.folder, `out-${turn}`);
        const stateDir = path.join(context.folder, `state-${turn}`);
        const sample = await syncToFiles(logdir.folder, "parquet", output, { stateDir, core: 0 });
        const { stdout } = await measured(python, [COUNT, path.join(output, "scalars")]);
        return context.complete({ ...sample, rate: logdir.points / sample.cpu, points: Number(stdout) }, logdir.points);
      },
    },
    context.watch,
  );
  return [
    line({
      what: "**10m** to `parquet`, one core, by processor time",
      unit: "points/s",
      of: ({ rate }) => rate,
      ours,
      goal: bound(1_000_000, "≥ 1,000,000/s"),
      also: ours.failed ? [] : [[`at most ${MAX_PEAK / 1e6} MB`, ours.peak <= MAX_PEAK]],
    }),
  ];
}
