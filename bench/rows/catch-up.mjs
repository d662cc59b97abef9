import { copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, truncateSync } from "node:fs";
import path from "node:path";
import { line } from "../lines.mjs";
import { alternate, sync } from "../measure.mjs";
import { pointsInSqlite } from "../mlflow-servers.mjs";

/** What may be left over of the time for the whole, beside the start. */
const SHARE = 0.03;

export async function run(context) {
  const logdir = context.shape("scalars");
  const inside = (...names) => path.join(context.folder, ...names);
  const [runName] = readdirSync(logdir.folder);
  const [fileName] = readdirSync(path.join(logdir.folder, runName));
  const whole = path.join(logdir.folder, runName, fileName);
  const grown = inside("runs", runName, fileName);
  mkdirSync(path.dirname(grown), { recursive: true });

  // 99 % are there and sent; that state is kept, so that the rest can be sent from it again and again.
  copyFileSync(whole, grown);
  truncateSync(grown, Math.floor(0.99 * logdir.bytes));
  mkdirSync(inside("before"));
  mkdirSync(inside("now"));
  const destination = `sqlite:///${inside("now/mlflow.db")}`;
  const send = () => sync(inside("runs"), destination, { stateDir: inside("now/state") });
  await send();
  cpSync(inside("now"), inside("before"), { recursive: true });
  copyFileSync(whole, grown);

  async function all(folder, sample) {
    context.complete({ points: await pointsInSqlite(path.join(folder, "mlflow.db"), "bench") }, logdir.points);
    return sample;
  }
  const { ours, full, start } = await alternate(
    context.times,
    {
      ours: async () => {
        rmSync(inside("now"), { recursive: true });
        cpSync(inside("before"), inside("now"), { recursive: true });
        return all(inside("now"), await send());
      },
      full: async () => {
        rmSync(inside("full"), { recursive: true, force: true });
        mkdirSync(inside("full"));
        const sample = await sync(inside("runs"), `sqlite:///${inside("full/mlflow.db")}`, {
          stateDir: inside("full/state"),
        });
        return all(inside("full"), sample);
      },
      start: send,
    },
    context.watch,
  );
  const failed = [ours, full, start].find((sample) => sample.failed);
  if (failed) throw new Error(failed.failed);
  const left = (ours.wall - start.wall) / full.wall;
  const goal = { words: `start + ≤ ${100 * SHARE} %`, isMet: () => left <= SHARE };
  const notes = [`nothing new ${start.wall.toFixed(2)} s; beside that ${(100 * left).toFixed(1)} % of the whole`];
  return [line({ what: "catch-up of **scalars**, 99 % through", beside: "the whole", ours, peer: full, goal, notes })];
}
