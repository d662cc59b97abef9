// Loaded by tracelet before itself: as soon as a batch is on its way, nothing else happens in this process for so many ms,
// one after the other, as TEST_STALLS says. So what has to be done by then is overdue, also where the answer has come.
import { subscribe } from "node:diagnostics_channel";

const stalls = process.env.TEST_STALLS.split(",").map(Number);
const lock = new Int32Array(new SharedArrayBuffer(4));

subscribe("undici:request:bodySent", ({ request }) => {
  if (!request.path.endsWith("log-batch") || stalls.length === 0) return;
  const ms = stalls.shift();
  setImmediate(() => {
    Atomics.wait(lock, 0, 0, ms);
    process.stderr.write(`stalled for ${ms} ms\n`);
  });
});
