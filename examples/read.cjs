const { readEvents } = require("tracelet");

/** The last value of each scalar. */
async function main() {
  /** @type {Map<string, string>} */
  const last = new Map();
  for await (const value of readEvents("runs")) {
    if (value.kind === "scalars") last.set(`${value.run} ${value.tag}`, `${value.value} at step ${value.step}`);
    if (value.kind === "text") last.set(`${value.run} ${value.tag}`, value.strings[0] ?? "");
  }
  for (const [series, text] of last) console.log(`${series}: ${text}`);
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
