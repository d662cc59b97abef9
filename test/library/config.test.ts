/** Configuration files, as a program reads them. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { type Config, defineConfig, loadConfig } from "../../src/library/config.ts";
import { sync } from "../../src/library/sync.ts";
import { Logdir, temporaryDirectory } from "../support/logdirs.ts";
import { curve, fileOf } from "../sync/world.ts";

function place(text: string) {
  const root = temporaryDirectory();
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  new Logdir(path.join(root, "runs")).write("train", fileOf(curve("loss", 0, 10)));
  const file = path.join(root, "tracelet.config.yaml");
  writeFileSync(file, text);
  return { root, file };
}

test("what a file gives is what sync is called with", async () => {
  const { root, file } = place(
    "logdirs: runs\nstate_dir: state\nproject: mnist\ntracking_uri: sqlite:///m.db\ngive_up_after: 5s\njson: true\n",
  );
  vi.stubEnv("TRACELET_EXPERIMENT", "not read");
  onTestFinished(() => void vi.unstubAllEnvs());
  const config = await loadConfig("sync", { directory: root });
  expect(config).toEqual({
    file,
    calls: [
      {
        logdirs: [path.join(root, "runs")],
        stateDir: path.join(root, "state"),
        experiment: "mnist",
        trackingUri: `sqlite:///${path.join(root, "m.db")}`,
        giveUpAfter: "5s",
      },
    ],
  });
  const [call] = config.calls;
  expect(await sync({ logdirs: "elsewhere", ...call })).toMatchObject({ ok: true });
});

test("each source is a call, without the options of backends that it does not send to", async () => {
  const { root, file } = place(
    "stateDir: state\nexperiment: a\nsources:\n  - logdirs: runs\n  - { logdirs: runs, backend: jsonl, output: out }\n",
  );
  const { calls } = await loadConfig("sync", { file });
  expect(calls).toMatchObject([{ experiment: "a" }, { backend: ["jsonl"], output: path.join(root, "out") }]);
  expect(calls[1]).not.toHaveProperty("experiment");
});

test("sync reads no file by itself", async () => {
  const { root } = place("excludeTags: ['*']\n");
  const [stateDir, output] = [path.join(root, "state"), path.join(root, "out")];
  mkdirSync(output);
  const cwd = vi.spyOn(process, "cwd").mockReturnValue(root);
  onTestFinished(() => cwd.mockRestore());
  const report = await sync({ logdirs: path.join(root, "runs"), backend: "jsonl", output, stateDir });
  expect(report.destinations[0]?.runs[0]?.tally.kinds.get("scalars")?.sent).toBe(10);
});

test("without a file there is one call with nothing in it; a wrong file is told", async () => {
  const root = temporaryDirectory();
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  expect(await loadConfig("watch", { directory: root })).toEqual({ file: undefined, calls: [{}] });
  await expect(loadConfig("sync", { file: path.join(root, "no.yaml") })).rejects.toMatchObject({ code: "usage" });
  await expect(loadConfig("sync", { file: place("evry: 2\n").file })).rejects.toMatchObject({
    code: "usage",
    message: expect.stringMatching(/yaml:1: evry: there is no such option/),
    hint: "did you mean every?",
  });
});

test("defineConfig gives back what it is given, and knows the types", () => {
  const config: Config = defineConfig({
    experiment: "mnist",
    maxImageSize: "1MB",
    sources: [{ logdirs: "a", backend: ["mlflow", "jsonl"] }],
    // @ts-expect-error It is a list of globs, or one.
    includeTags: 5,
  });
  expect(config.experiment).toBe("mnist");
});
