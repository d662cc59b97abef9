import { mkdirSync } from "node:fs";
import path from "node:path";
import { bound, line, times } from "../lines.mjs";
import { alternate, measured, tracelet } from "../measure.mjs";
import { startWandb } from "../wandb-server.mjs";

const CLIENT = path.join(import.meta.dirname, "../peers/wandb_client.py");
/** What a process may hold, whatever the logdir. */
const MEMORY = 300e6;

export async function run(context) {
  const python = await context.python("wandb");
  const [some, million] = [context.shape("upload"), context.shape("1m")];
  let made = 0;

  /** Each time to a server of its own, since one keeps all in memory. */
  async function to(send, points) {
    const project = `bench-${++made}`;
    const folder = path.join(context.folder, project);
    mkdirSync(folder);
    const server = await startWandb();
    try {
      const { wall, ...sample } = await send(server.environment(project, folder), folder);
      context.complete({ points: server.points(project) }, points);
      return { ...sample, wall, rate: points / wall };
    } finally {
      await server.stop();
    }
  }
  const ours = ({ folder, points }) =>
    to((env, state) => {
      return tracelet(["sync", folder, "--backend", "wandb", "--state-dir", path.join(state, "state"), "--quiet"], {
        env,
      });
    }, points);
  const client = (args, points) =>
    to(async (env, cwd) => {
      const sample = await measured(python, [CLIENT, ...args], { env, cwd });
      return { ...sample, wall: JSON.parse(sample.stdout.trim().split("\n").at(-1)).seconds };
    }, points);

  const { runs, points, tags } = some;
  const samples = await alternate(
    context.times,
    {
      ours: () => ours(some),
      log: () => client(["log", ...[runs, points / runs, tags].map(String)], points),
      tensorboard: () => client(["tensorboard", some.folder], points),
      million: () => ours(million),
    },
    context.watch,
  );
  const what = "`sync` to a W&B server";
  const common = { what, unit: "points/s", of: ({ rate }) => rate, ours: samples.ours };
  const costs = ({ cpu, failed }) => (failed ? [] : [`CPU ${(cpu / samples.ours.cpu).toFixed(1)} ×`]);
  const notes = ["ours the whole process, the client without its imports"];
  return [
    line({
      ...common,
      beside: "W&B's client, a `log` a step of 20 metrics",
      peer: samples.log,
      goal: times(10),
      notes: [...costs(samples.log), ...notes],
    }),
    line({
      ...common,
      beside: "W&B's own TensorBoard sync",
      peer: samples.tensorboard,
      goal: times(10),
      notes: costs(samples.tensorboard),
    }),
    line({
      what: `${what}, 1 M points in one run: peak memory`,
      unit: "MB",
      of: ({ peak }) => peak,
      ours: samples.million,
      goal: bound(MEMORY, "≤ 300 MB"),
      notes: [
        `${Math.round(samples.million.rate).toLocaleString("en")} points/s; ${Math.round(samples.ours.peak / 1e6)} MB for 200,000`,
      ],
    }),
  ];
}
