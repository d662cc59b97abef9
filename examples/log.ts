import { startLogging, stopLogging } from "tracelet";

const run = startLogging({ expName: "first", project: "demo", trackingUri: "sqlite:///mlflow.db" });
run.logParams({ epochs: 2, optimizer: { name: "sgd", lr: 0.1 } });
for (let step = 0; step < 100; step++) run.logMetric("loss", 1 / (step + 1), step);
run.logText("notes", "# It **learns**");
await run.logArtifact("runs/model.txt", "models/");
const { isSent, problem } = await stopLogging();
console.log(isSent ? "everything is sent" : problem);
