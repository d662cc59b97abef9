import { sync } from "tracelet";

const { ok, destinations } = await sync({
  logdirs: "runs",
  backend: ["mlflow", "jsonl"],
  trackingUri: "sqlite:///mlflow.db",
  output: "out",
  excludeTags: ["debug/*"],
  onProgress: ({ runs, totalRuns }, destination) => console.log(`${destination}: ${runs} of ${totalRuns} runs`),
});
for (const { destination, location, error, runs } of destinations)
  console.log(destination, location ?? "", error?.message ?? `${runs.length} runs`);
process.exitCode = ok ? 0 : 1;
