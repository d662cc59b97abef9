import path from "node:path";
import { debianPackages } from "../../scripts/setup.mjs";
import { CountingMlflow } from "../counting-mlflow.mjs";
import { bound, line } from "../lines.mjs";
import { alternate, measured, sync } from "../measure.mjs";

export async function run(context) {
  debianPackages({ rsync: "/usr/bin/rsync" });
  const logdir = context.shape("tiny");
  const stateDir = path.join(context.folder, "state");
  const copy = path.join(context.folder, "copy/");
  const server = await CountingMlflow.start();
  try {
    const whole = await sync(logdir.folder, server.uri, { stateDir });
    context.say(`all sent in ${whole.wall.toFixed(1)} s, ${server.requests} requests`);
    await measured("rsync", ["-a", `${logdir.folder}/`, copy]);
    server.requests = 0;
    const { ours, rsync } = await alternate(
      context.times,
      {
        ours: () => sync(logdir.folder, server.uri, { stateDir }),
        rsync: () => measured("rsync", ["-an", `${logdir.folder}/`, copy]),
      },
      context.watch,
    );
    const requests = server.requests / context.times;
    const also = [[`${requests} requests`, requests <= 12]];
    const goal = bound(1, "≤ 1 s, ≤ 12 requests");
    return [line({ what: "nothing new on **tiny**", beside: "`rsync -an`", ours, peer: rsync, goal, also })];
  } finally {
    server.stop();
  }
}
