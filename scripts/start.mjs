// `npm start`: from a fresh clone to the example runs in an MLflow database.
import path from "node:path";
import { build, installPackages, root, run } from "./setup.mjs";

installPackages();
build();
const store = path.join(root, "example-store");
const uri = `sqlite:///${path.join(store, "mlflow.db")}`;
console.error("tracelet sync fixtures/example/runs\n");
run(process.execPath, [
  path.join(root, "dist/cli/main.js"),
  ...["sync", "fixtures/example/runs", "--backend", "mlflow", "--tracking-uri", uri],
  ...["--experiment", "example", "--state-dir", path.join(store, "state"), "--verbose"],
]);
console.error("(mlflow is a Python package: pip install mlflow)");
