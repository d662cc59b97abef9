import { mkdirSync } from "node:fs";
import path from "node:path";
import { debianPackages } from "../../scripts/setup.mjs";
import { CountingMlflow } from "../counting-mlflow.mjs";
import { bound, line } from "../lines.mjs";
import { alternate, measured, sync, tracelet } from "../measure.mjs";
import { startWandb } from "../wandb-server.mjs";

export async function run(context) {
  debianPackages({ rsync: "/usr/bin/rsync" });
  const logdir = context.shape("tiny");
  const copy = path.join(context.folder, "copy/");
  const database = `sqlite:///${path.join(context.folder, "mlflow.db")}`;
  const states = { served: path.join(context.folder, "state-served"), local: path.join(context.folder, "state-local") };
  const atWandb = path.join(context.folder, "wandb");
  mkdirSync(atWandb);
  const [server, wandb] = await Promise.all([CountingMlflow.start(), startWandb()]);
  const toWandb = () => {
    const args = ["sync", logdir.folder, "--backend", "wandb", "--state-dir", path.join(atWandb, "state"), "--quiet"];
    return tracelet(args, { env: wandb.environment("bench", atWandb) });
  };
  try {
    const whole = await sync(logdir.folder, server.uri, { stateDir: states.served });
    context.say(`all sent in ${whole.wall.toFixed(1)} s, ${server.requests} requests`);
    const embedded = await sync(logdir.folder, database, { stateDir: states.local });
    context.say(`all written into a database in ${embedded.wall.toFixed(1)} s`);
    const tracked = await toWandb();
    context.say(`all sent to W&B in ${tracked.wall.toFixed(1)} s, ${wandb.takeRequests()} requests`);
    await measured("rsync", ["-a", `${logdir.folder}/`, copy]);
    server.requests = 0;
    const { served, local, tracking, rsync } = await alternate(
      context.times,
      {
        served: () => sync(logdir.folder, server.uri, { stateDir: states.served }),
        local: () => sync(logdir.folder, database, { stateDir: states.local }),
        tracking: toWandb,
        rsync: () => measured("rsync", ["-an", `${logdir.folder}/`, copy]),
      },
      context.watch,
    );
    const requests = server.requests / context.times;
    const requestsOfWandb = wandb.takeRequests() / context.times;
    const compared = { what: "nothing new on **tiny**", beside: "`rsync -an`", peer: rsync };
    const also = [[`${requests} requests`, requests <= 12]];
    return [
      line({
        ...compared,
        what: `${compared.what}, a server`,
        ours: served,
        goal: bound(3, "≤ 3 s, ≤ 12 requests"),
        also,
      }),
      line({
        ...compared,
        what: `${compared.what}, a W&B server`,
        ours: tracking,
        goal: bound(3, "≤ 3 s, ≤ 12 requests"),
        also: [[`${requestsOfWandb} requests`, requestsOfWandb <= 12]],
      }),
      line({ ...compared, what: `${compared.what}, \`sqlite:///\``, ours: local, goal: bound(1, "≤ 1 s") }),
    ];
  } finally {
    server.stop();
    await wandb.stop();
  }
}
