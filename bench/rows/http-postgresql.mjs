import { serverOnPostgreSql } from "../mlflow-servers.mjs";
import { besideOthers } from "../uploading.mjs";

export async function run(context) {
  const server = await serverOnPostgreSql(context);
  try {
    return await besideOthers(context, server, "`sync` to a server, PostgreSQL behind");
  } finally {
    await server.stop();
  }
}
