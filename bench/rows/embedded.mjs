import { copyFileSync, rmSync } from "node:fs";
import path from "node:path";
import { both, bound, line, times } from "../lines.mjs";
import { alternate, measured, sync } from "../measure.mjs";
import { pointsInSqlite } from "../mlflow-servers.mjs";

const RAW = path.join(import.meta.dirname, "../raw-inserts.mjs");

export async function run(context) {
  const logdir = context.shape("scalars");
  const empty = await emptyDatabase(context);

  /** In a fresh copy of a database that MLflow has made. */
  async function into(name, experiment, fill) {
    const database = path.join(context.folder, `${name}.db`);
    copyFileSync(empty, database);
    const sample = await fill(database);
    context.complete({ points: await pointsInSqlite(database, experiment) }, logdir.points);
    rmSync(database);
    return { ...sample, rate: logdir.points / sample.wall };
  }
  const { ours, raw } = await alternate(
    context.times,
    {
      ours: (turn) =>
        into("ours", "bench", (file) =>
          sync(logdir.folder, `sqlite:///${file}`, { stateDir: path.join(context.folder, `state-${turn}`) }),
        ),
      raw: () =>
        into("raw", "Default", (file) => {
          return measured(process.execPath, [RAW, file, String(logdir.points), String(logdir.tags)]);
        }),
    },
    context.watch,
  );
  const common = { what: "`sync` of **scalars** to `sqlite:///`", unit: "points/s", of: ({ rate }) => rate, ours };
  const goal = both(bound(200_000, "≥ 200,000/s"), times(0.8, "≥ 80 %"));
  return [
    line({ ...common, beside: "raw `INSERT`s from Node", peer: raw, goal }),
    line({ ...common, beside: "`sync` to a server", peer: overHttp(context), goal: times(10) }),
  ];
}

/** Made by MLflow itself. */
async function emptyDatabase(context) {
  const file = path.join(context.folder, "empty.db");
  const script = "import sys; from mlflow import MlflowClient; MlflowClient(sys.argv[1]).search_experiments()";
  const env = { MLFLOW_DISABLE_TELEMETRY: "true" };
  await measured(await context.python("main"), ["-c", script, `sqlite:///${file}`], { env, cwd: context.folder });
  return file;
}

/** The rate of ours that the row `http-sqlite` found. */
function overHttp({ results }) {
  const rate = results["http-sqlite"]?.lines?.[0]?.ours;
  return rate === undefined ? { failed: "the row http-sqlite is needed" } : { rate };
}
