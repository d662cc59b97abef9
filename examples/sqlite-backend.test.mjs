// The contract that every backend keeps, run on this one: node --test
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import test from "node:test";
import { backendContract, openPlugin } from "tracelet/testing";
import plugin from "./sqlite-backend.mjs";

const require = createRequire(import.meta.url);
const Database = process.version.startsWith("v20.") ? require("better-sqlite3") : require("node:sqlite").DatabaseSync;

/** @returns {import("tracelet/testing").DestinationUnderTest} */
function destination(/** @type {string} */ root) {
  const file = `${root}/points.db`;
  return {
    keepsMarks: true,
    connect() {
      mkdirSync(root, { recursive: true });
      return openPlugin(plugin, { database: file });
    },
    points() {
      const database = new Database(file);
      const rows = database.prepare("SELECT run, tag, step, wall_time AS wallTime, value FROM points").all();
      database.close();
      /** @type {Map<string, import("tracelet/testing").Point[]>} */
      const runs = new Map();
      for (const { run, ...point } of rows) runs.set(run, [...(runs.get(run) ?? []), point]);
      return runs;
    },
  };
}

for (const { name, run } of backendContract(destination)) await test(name, run);
