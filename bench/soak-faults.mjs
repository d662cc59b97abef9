// What a soak has the way to the server do.
const answer = (status, headers = {}, more = {}) => ({
  kind: "answer",
  answer: { status, headers: { "content-type": "application/json", ...headers }, body: "{}" },
  ...more,
});
const page = {
  kind: "answer",
  answer: { status: 200, headers: { "content-type": "text/html" }, body: "<h1>Log in</h1>" },
};

const FAULTS = [
  { kind: "delay", beforeMs: 700 },
  { kind: "delay", afterMs: 700 },
  { kind: "reset-before" },
  { kind: "reset-after" },
  { kind: "reset-middle" },
  { kind: "half" },
  { kind: "truncated-chunks" },
  { kind: "garbage" },
  { kind: "black-hole" },
  { kind: "silence" },
  { kind: "slow", everyMs: 5 },
  { kind: "trickle", everyMs: 100 },
  { kind: "gzip-bomb", mebibytes: 300 },
  answer(429, { "retry-after": "1" }),
  () => answer(429, { "retry-after": new Date(Date.now() + 3000).toUTCString() }),
  answer(500),
  answer(500, {}, { carriedOut: true }),
  answer(502, {}, { carriedOut: true }),
  answer(503),
  answer(504, {}, { carriedOut: true }),
  answer(401),
  answer(403),
  answer(307, { location: "http://localhost:9/" }),
  page,
];

/** One fault after the other, in an order of chance, each once before any comes again. */
export function faultsInTurn(random) {
  let left = [];
  return () => {
    if (left.length === 0) {
      const shuffled = FAULTS.map((fault) => ({ fault, at: random() })).sort((a, b) => a.at - b.at);
      left = shuffled.map(({ fault }) => fault);
    }
    const fault = left.pop();
    return typeof fault === "function" ? fault() : fault;
  };
}
