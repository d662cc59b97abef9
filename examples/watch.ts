import { sync, TraceletError, type WatchCall, watch } from "tracelet";

const end = new AbortController();
process.once("SIGINT", () => end.abort());

const call: WatchCall = {
  logdirs: "runs",
  backend: "jsonl",
  output: "out",
  flushInterval: "200ms",
  signal: end.signal,
  onStart: (status, destination) =>
    setInterval(() => console.log(`${destination}: ${status.bytesBehind} bytes behind`), 10_000).unref(),
  onEvent: ({ level, run, message }) => console.log(level, run ?? "", message),
};

try {
  for (const { destination, isCaughtUp, error } of await watch(call))
    console.log(destination, error?.message ?? (isCaughtUp ? "everything is sent" : "there is more to send"));
  // What was written while it was ending.
  await sync({ logdirs: "runs", backend: "jsonl", output: "out" });
} catch (error) {
  if (!(error instanceof TraceletError)) throw error;
  console.error(`${error.code}: ${error.message}`, error.hint ?? "");
  process.exitCode = 1;
}
