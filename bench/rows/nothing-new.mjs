import path from "node:path";
import { debianPackages } from "../../scripts/setup.mjs";
import { CountingMlflow } from "../counting-mlflow.mjs";
import { bound, line } from "../lines.mjs";
import { alternate, measured, sync } from "../measure.mjs";

export async function run(context) {
  debianPackages({ rsync: "/usr/bin/rsync" });
  const logdir = context.shape("tiny");
  const copy = path.join(context.folder, "copy/");
  const database = `sqlite:///${path.join(context.folder, "mlflow.db")}`;
  const states = { served: path.join(context.folder, "state-served"), local: path.join(context.folder, "state-local") };
  const server = await CountingMlflow.start();
  try {
    const whole = await sync(logdir.folder, server.uri, { stateDir: states.served });
    context.say(`all sent in ${whole.wall.toFixed(1)} s, ${server.requests} requests`);
    const embedded = await sync(logdir.folder, database, { stateDir: states.local });
    context.say(`all written into a database in ${embedded.wall.toFixed(1)} s`);
    await measured("rsync", ["-a", `${logdir.folder}/`, copy]);
    server.requests = 0;
    const { served, local, rsync } = await alternate(
      context.times,
      {
        served: () => sync(logdir.folder, server.uri, { stateDir: states.served }),
        local: () => sync(logdir.folder, database, { stateDir: states.local }),
        rsync: () => measured("rsync", ["-an", `${logdir.folder}/`, copy]),
      },
      context.watch,
    );
    const requests = server.requests / context.times;
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
      line({ ...compared, what: `${compared.what}, \`sqlite:///\``, ours: local, goal: bound(1, "≤ 1 s") }),
    ];
  } finally {
    server.stop();
  }
}
