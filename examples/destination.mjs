import { setTimeout } from "node:timers/promises";
import { sync } from "tracelet";
import { openMlflow } from "tracelet/backends/mlflow";

const mlflow = await openMlflow({ trackingUri: "sqlite:///mlflow.db", experiment: "nightly" });
try {
  for (let night = 0; night < 2; night++) {
    const { destinations } = await sync({ logdirs: "runs", destination: mlflow });
    for (const { runs } of destinations) for (const { name, outcome } of runs) console.log(name, outcome);
    await setTimeout(100);
  }
} finally {
  await mlflow.backend.close();
}
