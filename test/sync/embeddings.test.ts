/** The projector's files: found within the run's directory only, and looked at again when any of them changes. */
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { type DiscoveredRun, discover } from "../../src/reader/discover.ts";
import { localFiles } from "../../src/reader/local-files.ts";
import { findEmbeddings, readProjector } from "../../src/sync/source/embeddings.ts";
import { temporaryDirectory } from "../support/logdirs.ts";

function world(): string {
  const root = temporaryDirectory();
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, "run/00002/default"), { recursive: true });
  writeFileSync(join(root, "secret.tsv"), "secret");
  for (const name of ["tensors.tsv", "metadata.tsv"]) writeFileSync(join(root, "run/00002/default", name), name);
  symlinkSync(join(root, "secret.tsv"), join(root, "run/link.tsv"));
  symlinkSync(root, join(root, "run/up"));
  writeFileSync(join(root, "run/events.tfevents"), "");
  return join(root, "run");
}

const NONE = {
  tensorName: "e",
  metadataPath: "",
  spriteImagePath: "",
  singleImageDim: [],
  tensorShape: [],
  bookmarksPath: "",
};

test("no path leads out of the run's directory", async () => {
  const run = world();
  const outside = [
    "../secret.tsv",
    "/etc/passwd",
    "link.tsv",
    "up/secret.tsv",
    "a/../../secret.tsv",
    "..\\secret.tsv",
    ".",
  ];
  const missing = ["nothing.tsv", "00002", "nul\0.tsv"];
  const embeddings = [...outside, ...missing].map((tensorPath) => ({ ...NONE, tensorPath }));
  const found = await findEmbeddings(embeddings, localFiles, run);
  expect(found.flatMap(({ files }) => files)).toEqual([]);
  expect(found.flatMap((each) => each.missing)).toEqual([
    ...outside.map((path) => ({ role: "tensors", path, reason: "outside-run" })),
    ...missing.map((path) => ({ role: "tensors", path, reason: "not-found" })),
  ]);
});

const CONFIG = `embeddings {
  tensor_name: "default:00002"
  tensor_path: "00002/default/tensors.tsv"
  metadata_path: "00002\\\\default\\\\metadata.tsv"
  bookmarks_path: "later.json"
}
`;

function look(directory: string, known?: string): ReturnType<typeof readProjector> {
  return readProjector(discover(directory).runs[0] as DiscoveredRun, known);
}

test("what it names is sent again when any of it changes, or comes", async () => {
  const run = world();
  expect(await look(run)).toEqual({ state: "unchanged", stamp: undefined });
  writeFileSync(join(run, "projector_config.pbtxt"), CONFIG);
  const first = await look(run);
  expect(first).toMatchObject({
    state: "changed",
    embeddings: [
      {
        files: [
          { role: "tensors", file: { size: 11 } },
          { role: "metadata", path: "00002\\default\\metadata.tsv", file: { size: 12 } },
        ],
        missing: [{ role: "bookmarks", path: "later.json", reason: "not-found" }],
      },
    ],
  });
  let { stamp } = first;
  const changes = [
    () => appendFileSync(join(run, "00002/default/metadata.tsv"), "more"),
    () => writeFileSync(join(run, "later.json"), "[]"),
    () => appendFileSync(join(run, "projector_config.pbtxt"), "# a comment"),
    () => rmSync(join(run, "00002/default/tensors.tsv")),
  ];
  for (const change of changes) {
    expect(await look(run, stamp)).toEqual({ state: "unchanged", stamp });
    change();
    const next = await look(run, stamp);
    expect(next.state).toBe("changed");
    stamp = next.stamp;
  }
  const moved = `${run}-moved`;
  renameSync(run, moved);
  expect(await look(moved, stamp)).toEqual({ state: "unchanged", stamp });
});

test("one that is half written is tried again, and a problem only if it stays so", async () => {
  const run = world();
  const config = join(run, "projector_config.pbtxt");
  writeFileSync(config, CONFIG.slice(0, 50));
  const first = await look(run);
  expect(first).toEqual({ state: "unfinished", stamp: expect.any(String) as string });
  expect(await look(run, first.stamp)).toMatchObject({
    state: "problem",
    stamp: first.stamp,
    problem: { path: config, code: "malformed", detail: expect.stringContaining("line 3") as string },
  });
  writeFileSync(config, CONFIG.slice(0, 60));
  expect((await look(run, first.stamp)).state).toBe("unfinished");
  writeFileSync(config, CONFIG);
  expect((await look(run, first.stamp)).state).toBe("changed");
});

test("one that no writer would have written is a problem at once", async () => {
  const run = world();
  const config = join(run, "projector_config.pbtxt");
  writeFileSync(config, "");
  truncateSync(config, 16 * 1024 * 1024 + 1);
  expect(await look(run, "before")).toMatchObject({
    state: "problem",
    stamp: "before",
    problem: { path: config, code: "malformed", detail: "it is larger than 16777216 bytes" },
  });
});
