// Writes logdirs to measure with, the same bytes each time:
//   node bench/generate.mjs DIR RUNS POINTS_PER_RUN [TAGS]
//   node bench/generate.mjs SHAPE [CACHE_DIR]                  scalars, v2, runs, tiny, mixed … as `npm run bench` has them
import os from "node:os";
import path from "node:path";
import { SHAPE_NAMES, scalarRuns, shape } from "./shapes.mjs";

const [what, runs, points, tags = "20"] = process.argv.slice(2);
if (SHAPE_NAMES.includes(what)) {
  const { folder, ...made } = shape(what, runs ?? path.join(os.tmpdir(), "tracelet-bench"));
  console.log(`${folder}: ${JSON.stringify(made.values)} in ${made.runs} runs, ${made.bytes} bytes`);
} else {
  scalarRuns(what, { runs: Number(runs), points: Number(points), tags: Number(tags) });
}
