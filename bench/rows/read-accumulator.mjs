import path from "node:path";
import { line, times } from "../lines.mjs";
import { alternate, inspect, measured } from "../measure.mjs";

const SCRIPT = path.join(import.meta.dirname, "../peers/event_accumulator.py");

export async function run(context) {
  const logdir = context.shape("scalars");
  const python = await context.python("main");
  const { ours, accumulator } = await alternate(
    context.times,
    {
      ours: async () => context.complete(await inspect(logdir.folder), logdir.points),
      accumulator: async () => {
        const sample = await measured(python, [SCRIPT, logdir.folder]);
        const { points, seconds } = JSON.parse(sample.stdout);
        return context.complete({ ...sample, points, wall: seconds }, logdir.points);
      },
    },
    // Half a minute each.
    { ...context.watch, once: ["accumulator"] },
  );
  const notes = ["ours the whole process, Python without its imports, once"];
  return [
    line({ what: "read **scalars**", beside: "EventAccumulator", ours, peer: accumulator, goal: times(100), notes }),
  ];
}
