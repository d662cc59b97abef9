import { writeFileSync } from "node:fs";
import path from "node:path";
import { line } from "../lines.mjs";
import { alternate, sync } from "../measure.mjs";
import { pointsInSqlite } from "../mlflow-servers.mjs";

/** The mean begins with the fifth point of a metric. */
const WINDOW = 5;

/** A mean of the last five of each metric: nearly twice as many points are written. */
export async function run(context) {
  const logdir = context.shape("scalars");
  const inside = (name) => path.join(context.folder, name);
  const config = inside("derived.json");
  writeFileSync(config, JSON.stringify({ derive: { "{tag}_mean": { mean: WINDOW } } }));
  const send = (name, points, env) => async (turn) => {
    const database = inside(`${name}-${turn}.db`);
    const stateDir = inside(`state-${name}-${turn}`);
    const sample = await sync(logdir.folder, `sqlite:///${database}`, { stateDir, env });
    return context.complete({ ...sample, points: await pointsInSqlite(database, "bench") }, points);
  };
  const derived = logdir.points - logdir.tags * (WINDOW - 1);
  const { ours, peer } = await alternate(
    context.times,
    { ours: send("derived", logdir.points + derived, { TRACELET_CONFIG: config }), peer: send("plain", logdir.points) },
    context.watch,
  );
  const notes = [`${derived.toLocaleString("en")} points more are written`];
  return [line({ what: "**scalars** with a mean of each metric, embedded", beside: "without", ours, peer, notes })];
}
