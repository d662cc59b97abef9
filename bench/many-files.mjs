// What many event files in one run cost, as a preempted job leaves them: node bench/many-files.mjs [FILES,…] [http]
// Needs `node scripts/build.mjs`. A line for each number of files: sync at first, again with nothing new, after one more file,
// and a watch from its start until all is sent; CPU and wall seconds of the whole process, beside those of 1,000 files.
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { CountingMlflow } from "./counting-mlflow.mjs";
import { EventFileWriter } from "./event-file-writer.mjs";
import { sync, tracelet } from "./measure.mjs";

const POINTS = 20;
const START = 1.7e9;
const [given = "1000,2000,4000", where = "sqlite"] = process.argv.slice(2);

/** Each goes on where the one before it ended. */
function writeFile(folder, index) {
  const start = START + index * 60;
  const file = new EventFileWriter(path.join(folder, "job"), start);
  for (let point = 0; point < POINTS; point++)
    file.scalar("loss", index * POINTS + point, 1 / (point + 1), start + point);
  file.close();
}

async function measure(files, folder, uri) {
  const logdir = path.join(folder, "logs");
  for (let index = 0; index < files; index++) writeFile(logdir, index);
  const stateDir = path.join(folder, "state");
  const first = await sync(logdir, uri, { stateDir });
  const again = await sync(logdir, uri, { stateDir });
  writeFile(logdir, files);
  const oneMore = await sync(logdir, uri, { stateDir });
  const watching = ["watch", logdir, "--tracking-uri", uri, "--experiment", "watched", "--state-dir", stateDir];
  const watch = await tracelet([...watching, "--until-idle", "1s", "--quiet"]);
  return { first, again, "one more": oneMore, watch };
}

for (const files of given.split(",").map(Number)) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-bench-"));
  const server = where === "http" ? await CountingMlflow.start() : undefined;
  try {
    const samples = await measure(files, folder, server?.uri ?? `sqlite:///${folder}/mlflow.db`);
    const figures = Object.entries(samples).map(([what, { cpu, wall }]) => {
      const per = (cpu / files) * 1000;
      return `${what} ${cpu.toFixed(2)} s CPU (${per.toFixed(2)} per 1,000), ${wall.toFixed(1)} s`;
    });
    console.log(`${files} files: ${figures.join("; ")}${server ? `; ${server.requests} requests` : ""}`);
  } finally {
    server?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
