// tracelet beside others that do the same, as a table:
//   npm run bench [-- --only read-scalars,http-sqlite] [--runs 5] [--cache DIR] [--scale 0.01] [--write]
// Results are kept in the cache: a row that is measured again replaces its own. --scale is to try the bench itself.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { build } from "../scripts/setup.mjs";
import { contextOf } from "./context.mjs";
import { tableOf } from "./lines.mjs";
import { machine } from "./machine.mjs";
import { stop } from "./measure.mjs";
import { publish } from "./publish.mjs";

/** In the order of the table. */
const ROWS = [
  ...["read-scalars", "read-accumulator", "read-v2", "read-mixed", "read-all-cores", "read-tiny", "read-memory"],
  ...["http-sqlite", "http-postgresql", "several", "live-batch", "embedded", "nothing-new", "catch-up", "derived"],
  ...["converters", "wandb", "files", "parquet", "start"],
];

const { values } = parseArgs({
  options: {
    only: { type: "string", default: ROWS.join() },
    runs: { type: "string", default: "5" },
    cache: { type: "string", default: path.join(os.tmpdir(), "tracelet-bench") },
    scale: { type: "string", default: "1" },
    write: { type: "boolean", default: false },
  },
});
const only = values.only.split(",");
const unknown = only.find((name) => !ROWS.includes(name));
if (unknown !== undefined) throw new Error(`no row ${unknown}; there are ${ROWS.join(", ")}`);

build();
mkdirSync(values.cache, { recursive: true });
const scale = Number(values.scale);
const kept = path.join(values.cache, scale === 1 ? "results.json" : `results-${scale}.json`);
const results = readdirSync(values.cache).includes(path.basename(kept)) ? JSON.parse(readFileSync(kept, "utf8")) : {};
const workspace = mkdtempSync(path.join(values.cache, "work-"));
const began = Date.now();
let interrupted = false;
for (const signal of ["SIGINT", "SIGTERM"]) {
  // The row then comes to its end, and stops its servers.
  process.on(signal, () => {
    interrupted = true;
    stop();
  });
}
try {
  for (const name of ROWS.filter((row) => only.includes(row))) {
    if (interrupted) break;
    const folder = path.join(workspace, name);
    mkdirSync(folder);
    process.stderr.write(`${name} …\n`);
    const context = contextOf({ name, times: Number(values.runs), cache: values.cache, scale, folder, results });
    const row = await (await import(`./rows/${name}.mjs`)).run(context).then(
      (lines) => ({ lines }),
      (error) => ({ failed: error.message.trim().split("\n").at(-1) }),
    );
    if (!interrupted) results[name] = { ...row, at: new Date().toISOString(), runs: Number(values.runs) };
    if (row.failed !== undefined) process.stderr.write(`  ${row.failed}\n`);
    writeFileSync(kept, JSON.stringify(results, undefined, 2));
    // Databases of a row are large, and no other needs them.
    rmSync(folder, { recursive: true, force: true });
  }
} finally {
  rmSync(workspace, { recursive: true, force: true });
}
const inOrder = Object.fromEntries(ROWS.filter((name) => results[name]).map((name) => [name, results[name]]));
const report = [
  ...(scale === 1 ? [] : [`At a scale of ${scale}: the figures tell nothing.`, ""]),
  tableOf(inOrder),
  "",
  ...machine(inOrder),
].join("\n");
writeFileSync(path.join(values.cache, "report.md"), `${report}\n`);
console.log(report);
process.stderr.write(`${Math.round((Date.now() - began) / 1000)} s; ${path.join(values.cache, "report.md")}\n`);
if (values.write) publish(report);
if (interrupted) process.exitCode = 130;
