// Sending to an MLflow server, for the rows that differ in what is behind it.
import path from "node:path";
import { line, times } from "./lines.mjs";
import { alternate, measured, sync } from "./measure.mjs";

const GENERATOR = path.join(import.meta.dirname, "load-generator.mjs");
const CLIENT = path.join(import.meta.dirname, "peers/mlflow_log_batch.py");
/** Of the points, for what is only to be compared with itself, or slow. */
const SOME = 0.2;

/**
 * @param server of `mlflow-servers.mjs`
 * @returns the lines: beside a generator of load, MLflow's client in a loop, and the same without waiting
 */
export async function besideOthers(context, server, what) {
  const logdir = context.shape("upload");
  const perRun = logdir.points / logdir.runs;
  const numbers = (share) => [logdir.runs, Math.round(perRun * share), logdir.tags].map(String);
  let experiments = 0;
  const fresh = (name) => `${name}-${++experiments}`;
  const python = await context.python("main");

  /** A process that says what it sent and how long that took; and is it all there? */
  async function sender(name, program, args) {
    const experiment = fresh(name);
    const sample = await measured(program, args(experiment));
    const { points, seconds } = JSON.parse(sample.stdout.trim().split("\n").at(-1));
    context.complete({ points: await server.points(experiment) }, points);
    return { ...sample, wall: seconds, rate: points / seconds };
  }
  const generator = ({ concurrency, connection }, share) =>
    sender("generator", process.execPath, (experiment) => {
      return [GENERATOR, server.uri, experiment, ...numbers(share), String(concurrency), connection];
    });
  const client = (mode, share) =>
    sender(mode, python, (experiment) => [CLIENT, server.uri, experiment, ...numbers(share), mode]);

  const best = await sweep(context, (way) => generator(way, SOME));
  const { ours, ...peers } = await alternate(
    context.times,
    {
      ours: async () => {
        const experiment = fresh("ours");
        const sample = await sync(logdir.folder, server.uri, {
          experiment,
          stateDir: path.join(context.folder, experiment),
        });
        context.complete({ points: await server.points(experiment) }, logdir.points);
        return { ...sample, rate: logdir.points / sample.wall };
      },
      generator: () => generator(best, 1),
      asynchronous: () => client("asynchronous", 1),
      loop: () => client("loop", SOME),
    },
    context.watch,
  );
  const common = { what, unit: "points/s", of: ({ rate }) => rate, ours };
  const whole = "ours the whole process";
  const way = `best of the sweep: ${best.concurrency} under way, connections ${best.connection}`;
  return [
    line({
      ...common,
      beside: "load generator",
      peer: peers.generator,
      goal: times(0.95, "≥ 95 %"),
      notes: [way, whole],
    }),
    line({
      ...common,
      beside: "MLflow's asynchronous `log_batch`",
      peer: peers.asynchronous,
      goal: times(1, "faster"),
    }),
    line({ ...common, beside: "MLflow's `log_batch` in a loop", peer: peers.loop, goal: times(2.5) }),
  ];
}

/** The number of requests under way, and the kind of connection, at which the server takes most. */
async function sweep(context, generate) {
  let best;
  for (const connection of ["kept", "fresh"]) {
    for (const concurrency of [1, 2, 4, 8]) {
      const { rate } = await generate({ concurrency, connection });
      context.say(`generator, ${concurrency} under way, connections ${connection}: ${Math.round(rate)} points/s`);
      if (best === undefined || rate > best.rate) best = { concurrency, connection, rate };
    }
  }
  return best;
}
