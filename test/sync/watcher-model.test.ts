/** Whatever is done to a tree, in whatever order: what was seen of it at the end is what a fresh look at it finds. */
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { EVENT_FILE, temporaryDirectory } from "../support/logdirs.ts";
import { Followed } from "./followed.ts";

type Action =
  | { readonly kind: "append" | "write" | "truncate" | "remove" | "replace"; readonly on: string }
  | { readonly kind: "rename" | "link" | "retarget"; readonly on: string; readonly to: string }
  | { readonly kind: "pause"; readonly ms: number };

/** Few names, so that they meet again and again. */
const directory = fc.constantFrom(".", "a", "b", "a/b", "a/c", "b/a", "b/a/c", ".h/d");

const action: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("append" as const), on: directory }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("write" as const), on: directory }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("truncate" as const, "remove" as const, "replace" as const),
      on: directory,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom("rename" as const, "link" as const, "retarget" as const),
      on: directory,
      to: directory.filter((name) => name !== "."),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("pause" as const), ms: fc.integer({ min: 0, max: 60 }) }) },
);

/** @returns whether there was anything to do it to */
async function act(logdir: string, step: Action): Promise<boolean> {
  if (step.kind === "pause") {
    await setTimeout(step.ms);
    return true;
  }
  const on = path.join(logdir, step.on);
  const file = path.join(on, EVENT_FILE);
  try {
    switch (step.kind) {
      case "append":
        appendFileSync(file, "more");
        break;
      case "write":
        mkdirSync(on, { recursive: true });
        writeFileSync(file, "0123456789");
        break;
      case "truncate":
        truncateSync(file, 3);
        break;
      case "replace":
        writeFileSync(path.join(on, "part"), "replaced");
        renameSync(path.join(on, "part"), file);
        break;
      case "remove":
        rmSync(on, { recursive: true });
        break;
      case "rename":
        renameSync(on, path.join(logdir, step.to));
        break;
      case "link":
        symlinkSync(on, path.join(logdir, step.to));
        break;
      case "retarget":
        rmSync(path.join(logdir, "next"), { force: true });
        symlinkSync(on, path.join(logdir, "next"));
        renameSync(path.join(logdir, "next"), path.join(logdir, step.to));
        break;
    }
    return true;
  } catch {
    return false;
  }
}

test.each([
  // The rescan comes too late to help.
  ["events by chokidar", { events: true, chokidarLimit: 1000, pollMs: 100, rescanMs: 600_000 }, 60],
  ["events by watches of our own", { events: true, chokidarLimit: 0, pollMs: 100, rescanMs: 600_000 }, 60],
  ["events of a tree that outgrows chokidar", { events: true, chokidarLimit: 4, pollMs: 100, rescanMs: 600_000 }, 25],
  ["polling", { events: false, pollMs: 100, rescanMs: 600_000 }, 25],
  ["both and the rescan", { events: true, pollMs: 50, rescanMs: 200 }, 25],
])(
  "no change is missed, with %s",
  async (_, options, numRuns) => {
    let done = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(action, { minLength: 10, maxLength: 60 }), async (steps) => {
        const world = temporaryDirectory();
        const logdir = path.join(world, "runs");
        for (const run of ["a", "b/a", "b/a/c"]) {
          mkdirSync(path.join(logdir, run), { recursive: true });
          writeFileSync(path.join(logdir, run, EVENT_FILE), "1");
        }
        const followed = new Followed([logdir], options);
        try {
          for (const step of steps) if (await act(logdir, step)) done++;
          mkdirSync(logdir, { recursive: true });
          await followed.start();
          await followed.catchesUp(logdir);
        } finally {
          await followed.end();
          rmSync(world, { recursive: true, force: true });
        }
      }),
      { numRuns },
    );
    expect(done).toBeGreaterThan(numRuns * 10);
  },
  300_000,
);
