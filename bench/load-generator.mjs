// The most that a server takes: bodies of 1000 metrics that are ready, sent as fast as it answers.
//   node bench/load-generator.mjs URI EXPERIMENT RUNS POINTS TAGS CONCURRENCY kept|fresh
// The same points as bench/shapes.mjs writes. The runs are there before; prints JSON: points and seconds.
import { Agent, request } from "undici";

const METRICS = 1000;
const [uri, experiment, ...rest] = process.argv.slice(2);
const connection = rest.pop();
const [runs, points, tags, concurrency] = rest.map(Number);
const dispatcher = new Agent({ connections: concurrency, ...(connection === "fresh" && { pipelining: 0 }) });

async function post(path, body) {
  const answer = await request(`${uri}/api/2.0/mlflow/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    dispatcher,
  });
  const text = await answer.body.text();
  if (answer.statusCode !== 200) throw new Error(`${path}: HTTP ${answer.statusCode} ${text.slice(0, 200)}`);
  return JSON.parse(text);
}

const { experiment_id } = await post("experiments/create", JSON.stringify({ name: experiment }));
const ids = [];
for (let run = 0; run < runs; run++) {
  const { run: created } = await post("runs/create", JSON.stringify({ experiment_id, start_time: Date.now() }));
  ids.push(created.info.run_id);
}
// Round the runs, so that those under way are of different ones, as ours are.
const bodies = [];
for (let first = 0; first < points; first += METRICS) {
  for (const [run, run_id] of ids.entries()) {
    const metrics = [];
    for (let point = first; point < Math.min(points, first + METRICS); point++) {
      const timestamp = Math.floor((1.7e9 + run * 1000 + point / 1000) * 1000);
      const [key, step] = [`train/metric_${point % tags}`, Math.floor(point / tags)];
      metrics.push({ key, value: Math.fround(Math.sin(point / 1000)), timestamp, step });
    }
    bodies.push(Buffer.from(JSON.stringify({ run_id, metrics })));
  }
}
const began = performance.now();
let next = 0;
async function send() {
  while (next < bodies.length) await post("runs/log-batch", bodies[next++]);
}
await Promise.all(Array.from({ length: concurrency }, send));
const seconds = (performance.now() - began) / 1000;
await dispatcher.close();
console.log(JSON.stringify({ points: runs * points, seconds }));
