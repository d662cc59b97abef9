import { serverOnSqlite } from "../mlflow-servers.mjs";
import { besideOthers } from "../uploading.mjs";

export async function run(context) {
  const server = await serverOnSqlite(context);
  try {
    return await besideOthers(context, server, "`sync` to a server, SQLite behind");
  } finally {
    await server.stop();
  }
}
