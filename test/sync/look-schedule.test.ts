/** When directories are looked at, with looks that take as long as a test wants. */
import { setTimeout } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { type Attention, LookSchedule, type Scheduled, Turn } from "../../src/sync/tree/look-schedule.ts";
import { until } from "./followed.ts";

class Directory implements Scheduled {
  readonly turn: Turn = new Turn();
  readonly cost = 1;
  looks = 0;
}

let schedule: LookSchedule<Directory>;
let look: (directory: Directory) => Promise<void> = async () => {};

function start(attention: Attention, rescanMs = 600_000): void {
  look = async () => {};
  schedule = new LookSchedule<Directory>({
    pollMs: 50,
    rescanMs,
    attention: () => attention,
    look: (directory) => {
      directory.looks++;
      return look(directory);
    },
    onAllSeen: () => {},
    onFailure: (error) => {
      throw error;
    },
  });
}

afterEach(() => schedule.close());

test("a hint during a look gives another one", async () => {
  start("events");
  const directory = new Directory();
  let end: () => void = () => {};
  look = () => new Promise((resolve) => (end = resolve));
  schedule.add(directory);
  await until(() => directory.looks === 1);
  schedule.hint(directory, false);
  schedule.hint(directory, false);
  await setTimeout(100);
  expect(directory.looks).toBe(1);
  end();
  await until(() => directory.looks === 2);
  end();
  await setTimeout(300);
  expect(directory.looks).toBe(2);
});

test("hints without end give few looks", async () => {
  start("events");
  const directory = new Directory();
  schedule.add(directory);
  const begin = performance.now();
  for (let i = 0; i < 200; i++) {
    for (let j = 0; j < 100; j++) schedule.hint(directory, false);
    await setTimeout(1);
  }
  expect(directory.looks).toBeGreaterThan(2);
  // A pause of 40 ms after each.
  expect(directory.looks).toBeLessThan((performance.now() - begin) / 40 + 5);
});

test("the live ones are polled, the ones that have been quiet for long are not, until the rescan", async () => {
  start("polled", 1000);
  const [live, quiet] = [new Directory(), new Directory()];
  schedule.add(live);
  schedule.add(quiet);
  schedule.changed([live], 0);
  schedule.changed([quiet], 86_400_000);
  await until(() => live.looks > 20);
  expect(quiet.looks).toBeLessThan(live.looks / 3);
  await until(() => quiet.looks > 2);
});

test("a directory that was cold is polled again once it has changed", async () => {
  start("polled");
  const directory = new Directory();
  schedule.changed([directory], 86_400_000);
  schedule.add(directory);
  await setTimeout(300);
  expect(directory.looks).toBe(1);
  schedule.changed([directory], 0);
  await until(() => directory.looks > 5);
});

test("looks leave threads for those who read: two at a time", async () => {
  start("polled");
  let [now, most] = [0, 0];
  look = async () => {
    most = Math.max(most, ++now);
    await setTimeout(5);
    now--;
  };
  const directories = Array.from({ length: 20 }, () => new Directory());
  for (const directory of directories) schedule.add(directory);
  await until(() => directories.every(({ looks }) => looks > 0));
  expect(most).toBe(2);
});

test("a directory that is removed is looked at no more, and no more waited for", async () => {
  start("always");
  const [stays, goes] = [new Directory(), new Directory()];
  let end: () => void = () => {};
  look = () => new Promise((resolve) => (end = resolve));
  schedule.add(goes);
  await until(() => goes.looks === 1);
  schedule.remove(goes);
  end();
  expect(schedule.hasUnseen).toBe(false);
  look = async () => {};
  schedule.add(stays);
  await until(() => stays.looks > 3);
  expect(goes.looks).toBe(1);
});
