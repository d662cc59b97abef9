// Files of all scalars, beside others that write them.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { line, times } from "../lines.mjs";
import { alternate, measured, syncToFiles } from "../measure.mjs";

const PEERS = path.join(import.meta.dirname, "../peers");
/** Each of the others runs once, and not for longer, s. */
const TIMEOUT = 600;
/** Above the means: tags, the reduction, and the name of the index. */
const HEADER_LINES = 3;

export async function run(context) {
  return [...(await onShape(context, "scalars")), ...(await onShape(context, "runs"))];
}

async function onShape(context, shape) {
  const logdir = context.shape(shape);
  const python = await context.python("files");
  const inside = (name) => path.join(context.folder, `${shape}-${name}`);
  const rowsOf = async (file) => {
    const { stdout } = await measured(python, [path.join(PEERS, "count_parquet.py"), file]);
    return Number(stdout);
  };

  const ours = (backend, count) => async (turn) => {
    const output = inside(`${backend}-${turn}`);
    const sample = await syncToFiles(logdir.folder, backend, output, { stateDir: inside(`state-${backend}-${turn}`) });
    return context.complete({ ...sample, points: await count(output) }, logdir.points);
  };
  const tbparse = (format, count) => async () => {
    const file = inside(`tbparse.${format}`);
    const script = path.join(PEERS, `tbparse_${format}.py`);
    const sample = await measured(python, [script, logdir.folder, file], { timeout: TIMEOUT });
    return context.complete({ ...sample, points: await count(file) }, logdir.points);
  };
  // It keeps the means over all runs, and reads every point for them.
  const reducer = async () => {
    const file = inside("reduced.csv");
    const runs = readdirSync(logdir.folder).map((name) => path.join(logdir.folder, name));
    const program = path.join(path.dirname(python), "tb-reducer");
    const sample = await measured(program, [...runs, "-o", file, "-r", "mean"], { timeout: TIMEOUT });
    const steps = logdir.points / logdir.runs / logdir.tags;
    return context.complete({ ...sample, points: linesIn(file) - HEADER_LINES }, steps);
  };

  const results = await alternate(
    context.times,
    {
      csv: ours("csv", (output) => {
        const files = readdirSync(output, { recursive: true }).filter((name) => name.endsWith("scalars.csv"));
        return files.reduce((rows, name) => rows + linesIn(path.join(output, name)) - 1, 0);
      }),
      parquet: ours("parquet", (output) => rowsOf(path.join(output, "scalars"))),
      jsonl: ours("jsonl", () => logdir.points),
      tbparseCsv: tbparse("csv", (file) => linesIn(file) - 1),
      tbparseParquet: tbparse("parquet", rowsOf),
      reducer,
    },
    { ...context.watch, once: ["tbparseCsv", "tbparseParquet", "reducer"] },
  );
  const notes = ["the peer once"];
  const common = (format) => ({ what: `**${shape}** to \`${format}\``, ours: results[format], goal: times(20), notes });
  return [
    line({ ...common("csv"), beside: "tbparse → CSV", peer: results.tbparseCsv }),
    line({ ...common("csv"), beside: "tensorboard-reducer → CSV", peer: results.reducer }),
    line({ ...common("parquet"), beside: "tbparse → Parquet", peer: results.tbparseParquet }),
    line({ ...common("jsonl"), beside: "tbparse → CSV", peer: results.tbparseCsv }),
  ];
}

function linesIn(file) {
  return readFileSync(file).reduce((lines, byte) => lines + Number(byte === 0x0a), 0);
}
