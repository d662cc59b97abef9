// The W&B server of the tests, for the bench: it keeps all that it is sent, and tells how many points that is.
import { createJiti } from "jiti";

const OWN = new Set(["_step", "_timestamp", "_runtime", "global_step", "_wandb"]);

const jiti = createJiti(import.meta.url);
const { WandbServer, API_KEY } = await jiti.import("../test/support/wandb-server/server.ts");

/** A server that has nothing yet. */
export async function startWandb() {
  const server = await WandbServer.start();
  return {
    /** What a client has to have in its environment; all that it writes goes into the folder. */
    environment: (project, folder) => ({
      WANDB_BASE_URL: server.uri,
      WANDB_API_KEY: API_KEY,
      WANDB_PROJECT: project,
      WANDB_DIR: folder,
      WANDB_CACHE_DIR: folder,
      WANDB_DATA_DIR: folder,
      WANDB_CONFIG_DIR: folder,
      WANDB_ERROR_REPORTING: "false",
      HOME: folder,
    }),
    points: (project) => server.runs(project).reduce((sum, run) => sum + pointsOf(run.history.lines), 0),
    /** How many there were since the last time. */
    takeRequests: () => server.requests.splice(0).length,
    stop: () => server.stop(),
  };
}

function pointsOf(lines) {
  let points = 0;
  for (const line of lines) for (const key of Object.keys(JSON.parse(line))) if (!OWN.has(key)) points++;
  return points;
}
