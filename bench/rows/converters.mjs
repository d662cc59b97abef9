import { mkdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { openDatabase } from "../../dist/sqlite.js";
import { line, times } from "../lines.mjs";
import { alternate, measured, sync } from "../measure.mjs";
import { pointsInSqlite } from "../mlflow-servers.mjs";

const PEERS = path.join(import.meta.dirname, "../peers");
/** Each of the others runs once, and not for longer, s. */
const TIMEOUT = 400;

export async function run(context) {
  const logdir = context.shape("runs");
  const inside = (name) => path.join(context.folder, name);
  const { ours, ...peers } = await alternate(
    context.times,
    {
      ours: async (turn) => {
        const database = inside(`ours-${turn}.db`);
        const sample = await sync(logdir.folder, `sqlite:///${database}`, { stateDir: inside(`state-${turn}`) });
        return context.complete({ ...sample, points: await pointsInSqlite(database, "bench") }, logdir.points);
      },
      "tbparse → CSV": () => tbparse(context, logdir, inside("scalars.csv")),
      "trackio's import": () => trackio(context, logdir, inside("trackio")),
      "`aim convert tf`": () => aim(context, logdir, inside("aim")),
    },
    { ...context.watch, once: ["tbparse → CSV", "trackio's import", "`aim convert tf`"] },
  );
  return Object.entries(peers).map(([name, peer]) => {
    const common = { what: "**runs** into a local store", beside: name, ours, peer, notes: ["the peer once"] };
    return line({ ...common, goal: times(10) });
  });
}

async function tbparse(context, logdir, file) {
  const script = path.join(PEERS, "tbparse_csv.py");
  const sample = await measured(await context.python("main"), [script, logdir.folder, file], { timeout: TIMEOUT });
  // A line for each point, below the one that names the columns.
  const points = readFileSync(file).reduce((lines, byte) => lines + Number(byte === 0x0a), -1);
  return context.complete({ ...sample, points }, logdir.points);
}

async function trackio(context, logdir, folder) {
  const env = { TRACKIO_DIR: folder };
  const script = path.join(PEERS, "import_trackio.py");
  const python = await context.python("trackio");
  const sample = await measured(python, [script, logdir.folder, "bench"], { env, timeout: TIMEOUT });
  const database = openDatabase(path.join(folder, "bench.db"), { busyTimeout: 0, readOnly: true });
  const points = database.prepare("SELECT count(*) AS n FROM metrics").get().n;
  database.close();
  return context.complete({ ...sample, points }, logdir.points);
}

async function aim(context, logdir, folder) {
  const python = await context.python("aim");
  const program = path.join(path.dirname(python), "aim");
  mkdirSync(folder);
  await measured(program, ["init", "--repo", folder]);
  const args = ["convert", "--repo", folder, "tf", "--logdir", logdir.folder];
  const sample = await measured(program, args, { timeout: TIMEOUT });
  // What a process that has ended has written is not found before it is in the index, which its web server makes otherwise.
  await measured(program, ["storage", "--repo", folder, "reindex", "--yes"]);
  const counted = await measured(python, [path.join(PEERS, "count_aim.py"), folder]);
  return context.complete({ ...sample, points: Number(counted.stdout.trim().split("\n").at(-1)) }, logdir.points);
}
