import path from "node:path";
import { CountingMlflow } from "../counting-mlflow.mjs";
import { line } from "../lines.mjs";
import { alternate, tracelet } from "../measure.mjs";

/** How long each answer of the server takes, ms: about as long as an MLflow over PostgreSQL takes for 1000 points. */
const DELAY_MS = 100;
/** How much longer two destinations may take than the slower of them alone. */
const MORE = 0.1;

export async function run(context) {
  const logdir = context.shape("upload");
  let made = 0;

  /** @param backends what `--backend` gets; each time into something new */
  async function to(backends) {
    const name = `several-${++made}`;
    const inside = (what) => path.join(context.folder, `${name}-${what}`);
    // It keeps one experiment.
    const server = await CountingMlflow.start(DELAY_MS);
    const mlflow = backends.includes("mlflow") ? ["--tracking-uri", server.uri] : [];
    const files = backends.includes("jsonl") ? ["--output", inside("out")] : [];
    const where = ["--backend", backends.join(), ...mlflow, ...files, "--state-dir", inside("state")];
    try {
      const sample = await tracelet(["sync", logdir.folder, ...where, "--json", "--quiet"]);
      const report = JSON.parse(sample.stdout);
      for (const { kinds } of report.destinations ?? [report])
        context.complete({ points: kinds.scalars.sent }, logdir.points);
      return sample;
    } finally {
      server.stop();
    }
  }
  const { both, mlflow, jsonl } = await alternate(
    context.times,
    { both: () => to(["mlflow", "jsonl"]), mlflow: () => to(["mlflow"]), jsonl: () => to(["jsonl"]) },
    context.watch,
  );
  const failed = [both, mlflow, jsonl].find((sample) => sample.failed);
  if (failed) throw new Error(failed.failed);
  const more = both.wall / mlflow.wall - 1;
  const goal = { words: `≤ ${100 * MORE} % more`, isMet: () => more <= MORE };
  const notes = [`${(100 * more).toFixed(1)} % more; JSON lines alone ${jsonl.wall.toFixed(2)} s`];
  const what = "`sync` to a slow server and JSON lines at once";
  return [line({ what, beside: "the server alone", ours: both, peer: mlflow, goal, notes })];
}
