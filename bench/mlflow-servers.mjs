// Real MLflow servers as their users start them, and what they hold.
import path from "node:path";
import { pathToFileURL } from "node:url";
import { debianPackages } from "../scripts/setup.mjs";
import { load, root } from "./typescript.mjs";

/** What `mlflow server` has unless it is told otherwise. */
const WORKERS = 4;

const points = (experiment) =>
  `SELECT count(*) AS n FROM metrics JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)
   WHERE experiments.name = '${experiment}'`;

/** @returns uri, `points` (of an experiment, counted in the database), `stop` */
export async function serverOnSqlite(context) {
  const database = path.join(context.folder, "server/mlflow.db");
  const server = await start(context, database);
  return { uri: server.uri, points: (experiment) => pointsInSqlite(database, experiment), stop: () => server.stop() };
}

export async function serverOnPostgreSql(context) {
  debianPackages({ postgresql: "/usr/lib/postgresql" });
  const [{ PostgreSql }] = await load("test/e2e/support/postgresql.ts");
  const cluster = await PostgreSql.start({ durable: true });
  try {
    const server = await start(context, path.join(context.folder, "server/mlflow.db"), cluster.uri);
    return {
      uri: server.uri,
      points: async (experiment) => Number(await cluster.value(points(experiment))),
      stop: async () => {
        await server.stop();
        await cluster.stop();
      },
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function start(context, database, store) {
  const executable = await context.python("main");
  const [{ MlflowServer }] = await load("test/e2e/support/mlflow-server.ts");
  return MlflowServer.start(database, { executable, workers: WORKERS, ...(store && { store }) });
}

export async function pointsInSqlite(file, experiment) {
  const { openDatabase } = await import(pathToFileURL(path.join(root, "dist/sqlite.js")).href);
  const database = openDatabase(file, { busyTimeout: 60_000, readOnly: true });
  try {
    return database.prepare(points(experiment)).get().n;
  } finally {
    database.close();
  }
}
