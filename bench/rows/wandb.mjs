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

  const { points, tags } = some;
  const samples = await alternate(
    context.times,
    {
      ours: () => ours(million),
      log: () => client(["log", "1", String(points), String(tags)], points),
      tensorboard: () => client(["tensorboard", some.folder], points),
      some: () => ours(some),
    },
    context.watch,
  );
  const common = {
    what: "`sync` of 1 M points to a W&B server",
    unit: "points/s",
    of: ({ rate }) => rate,
    ours: samples.ours,
  };
  // CPU of as many points.
  const cost = ({ cpu, rate, wall }) => cpu / (rate * wall);
  const costs = (peer) => (peer.failed ? [] : [`CPU a point ${(cost(peer) / cost(samples.ours)).toFixed(1)} × ours`]);
  return [
    line({
      ...common,
      beside: "W&B's client, a `log` a step of 20 metrics",
      peer: samples.log,
      goal: times(10),
      notes: [...costs(samples.log), "ours the whole process, the client 200,000 points without its imports"],
    }),
    line({
      ...common,
      beside: "W&B's own TensorBoard sync",
      peer: samples.tensorboard,
      goal: times(10),
      notes: [...costs(samples.tensorboard), "200,000 points in 20 runs"],
    }),
    line({
      what: "the same: peak memory",
      unit: "MB",
      of: ({ peak }) => peak,
      ours: samples.ours,
      goal: bound(MEMORY, "≤ 300 MB"),
      notes: [`${Math.round(samples.some.peak / 1e6)} MB for 200,000 points in 20 runs`],
    }),
  ];
}
