/** `tracelet sync` over the state and the database that an earlier version left behind. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import type { SqlRow } from "../../src/sqlite.ts";
import { writeLogdir } from "../sync/upgraded-logdir.ts";
import { Machine } from "./tracelet.ts";

const STATES = path.resolve(import.meta.dirname, "../sync/states");

/** Put what a version left where this machine has its own. */
function place(machine: Machine, version: string): void {
  const unpack = (name: string) => gunzipSync(readFileSync(path.join(STATES, version, `${name}.gz`)));
  mkdirSync(machine.state, { recursive: true });
  writeFileSync(path.join(machine.state, "state.db"), unpack("state.db"));
  writeFileSync(machine.database, unpack("mlflow.db"));
  const there = `/tmp/upgrade/${version}`;
  machine.look((database) => {
    database.exec(
      `UPDATE experiments SET artifact_location = replace(artifact_location, '${there}', '${machine.root}')`,
    );
    database.exec(`UPDATE runs SET artifact_uri = replace(artifact_uri, '${there}', '${machine.root}')`);
  });
  machine.look(
    (database) => database.exec(`UPDATE run SET destination = replace(destination, '${there}', '${machine.root}')`),
    path.join(machine.state, "state.db"),
  );
}

/** Every point, with the name of its run. */
function points(machine: Machine): SqlRow[] {
  return machine.look((database) =>
    database
      .prepare(
        `SELECT runs.name, key, CAST(step AS TEXT) AS step, timestamp, value, is_nan
         FROM metrics JOIN runs USING (run_uuid) WHERE lifecycle_stage = 'active'
         ORDER BY runs.name, key, metrics.step, timestamp, value, is_nan`,
      )
      .all(),
  );
}

test.each(["0.1.0", "version-7"])("the runs of %s go on, each point once", async (version) => {
  const fresh = Machine.create();
  const uri = (machine: Machine) => ["--tracking-uri", `sqlite:///${machine.database}`];
  writeLogdir(path.join(fresh.root, "runs"), false);
  await fresh.sync(...uri(fresh));

  const machine = Machine.create();
  writeLogdir(path.join(machine.root, "runs"), true);
  place(machine, version);
  const before = points(machine);
  const dry = await machine.sync(...uri(machine), "--dry-run");
  expect(dry.error).toBeNull();
  expect(points(machine)).toEqual(before);

  writeLogdir(path.join(machine.root, "runs"), false);
  const { kinds } = await machine.sync(...uri(machine));
  const after = points(machine);
  expect(after).toEqual(points(fresh));
  // Only what has grown since was sent: nothing was read as if it were new.
  expect(kinds["scalars"]?.sent).toBe(after.length - before.length);
});

test("a dry run changes nothing in the directory of an old state", async () => {
  const machine = Machine.create();
  writeLogdir(path.join(machine.root, "runs"), true);
  place(machine, "0.1.0");
  const files = () =>
    readdirSync(machine.state, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.parentPath.includes("locks"))
      .map(({ name, parentPath }) => [name, readFileSync(path.join(parentPath, name))]);
  const before = files();
  const { error, kinds } = await machine.sync("--tracking-uri", `sqlite:///${machine.database}`, "--dry-run");
  expect(error).toBeNull();
  // All but what has grown is known to be there.
  expect(kinds["scalars"]?.sent ?? 0).toBe(0);
  expect(files()).toEqual(before);
});
