/**
 * One training as one run, followed by a watch that its program starts beside it: writers that come and go, the watch killed
 * again and again, its state lost, then the end of its input. TensorBoard's own reading tells what has to be at MLflow.
 */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { MlflowServer } from "./support/mlflow-server.ts";
import { difference } from "./support/python.ts";
import { EQUAL, Scene } from "./support/scene.ts";
import { type SyncJson, tracelet } from "./support/tracelet.ts";

let workspace: string;
let server: MlflowServer;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-session-"));
  server = await MlflowServer.start(path.join(workspace, "mlflow.db"));
});

afterAll(async () => {
  await server?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

test("writers come and go, the watch is killed three times and loses its state: one run, each point once", async ({
  onTestFinished,
}) => {
  const scene = await Scene.begin(server);
  onTestFinished(() => scene.end());
  const ledger = (name: string) => path.join(scene.folder, name);
  const old = scene.write({ runs: 1, steps: 10, prefix: "old-", ledger: ledger("old") });
  await old.ended();

  const session = ["--group", "logdir", "--since", String(Date.now() / 1000), "--run-name", "exp 1"];
  const watch = () => scene.watch([...session, "--until-eof", "--json"], { hasInput: true });
  let watching = watch();
  const lightning = scene.write({ runs: 1, prefix: "version_", ledger: ledger("lightning") });
  for (const [n, before] of ["", "kill", "lose", "kill"].entries()) {
    if (before !== "") {
      await watching.kill();
      if (before === "lose") rmSync(scene.stateDir, { recursive: true });
      watching = watch();
    }
    // Each goes on in the directories of the one before, and in a new one.
    const writer = scene.write({ runs: n + 1, partial: 2 });
    await writer.started();
    await scene.goesOn();
    await writer.kill();
  }
  await lightning.stop();
  watching.closeInput();
  expect(await watching.ended()).toBe(0);

  const what = { session: "exp 1", without: ["old-000"] };
  expect(await difference(scene.logdir, server.uri, scene.experiment, what)).toEqual(EQUAL);
  expect(scene.statuses()).toEqual(["FINISHED"]);
  const to = ["--tracking-uri", server.uri, "--experiment", scene.experiment];
  expect(await tracelet(["verify", scene.logdir, ...session, ...to])).toMatchObject({ code: 0 });
  const again = await tracelet(["sync", scene.logdir, "--json", ...session, ...to, "--state-dir", scene.stateDir]);
  const { earlierFiles, runs, kinds } = JSON.parse(again.stdout) as SyncJson;
  // The watch went through a proxy: nothing is remembered of this address, and the run is found by its marks.
  expect([again.code, earlierFiles, runs.length, kinds["scalars"]?.sent ?? 0]).toEqual([0, 1, 1, 0]);
});
