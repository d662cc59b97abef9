/** A process that ends between any two requests while media are on their way: each is there once, with its file. */
import { rmSync } from "node:fs";
import { expect, test } from "vitest";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import {
  event,
  eventFile,
  imageEvent,
  scalarEvent,
  textEvent,
  versionEvent,
  WALL_TIME,
} from "../support/event-writer.ts";
import { isRow } from "../support/wandb-server/extended-json.ts";
import { faultsOf, NO_FAULTS, PROJECT } from "./destination.ts";
import { WandbWorld } from "./world.ts";

/** All requests of a run with one batch, and the first of those that go on. */
const LAST = 14;

/** A medium of each kind at a step, with its number. */
function mediaAt(step: number): Uint8Array[] {
  const histo = { min: 0, max: 2, num: 3, sum: 2, sumSquares: 2, bucketLimit: [1, 2], bucket: [1, 2] };
  return [
    scalarEvent("loss", step, step),
    imageEvent("image", step, Buffer.from(`image ${step}`)),
    textEvent("text", step, `text ${step}`),
    event({ wallTime: WALL_TIME, step, summary: { value: [{ tag: "histogram", histo }] } }),
  ];
}

async function fill(world: WandbWorld): Promise<void> {
  world.logdir.write("run", eventFile(versionEvent(), ...mediaAt(1), ...mediaAt(2)));
}

interface Content {
  readonly values: readonly string[];
  readonly files: readonly string[];
  readonly announced: readonly string[];
}

/** What there is: values by key, step and file; files by name and content. */
function contentOf({ server }: WandbWorld): Content {
  const [run] = server.runs(PROJECT);
  if (run === undefined) throw new Error("there is no run");
  // Lines that may have come late are written over by the same ones.
  expect({ ...faultsOf(run), repeated: 0 }).toEqual(NO_FAULTS);
  const values = run.rows.flatMap(({ global_step: step, ...row }) =>
    Object.entries(row).flatMap(([key, value]) => {
      if (key.startsWith("_")) return [];
      return `${key} ${step as number} ${isRow(value) ? ((value["path"] as string | undefined) ?? "") : ""}`;
    }),
  );
  // Pages are the same whenever they are drawn, and no row names them.
  const media = [...run.files].filter(([name]) => name.startsWith("media/"));
  const announced = [...run.announced].filter((name) => name.startsWith("media/"));
  return {
    values: values.sort(),
    files: media.map(([name, { sha256 }]) => `${name} ${sha256}`).sort(),
    announced: announced.sort(),
  };
}

test.each([
  ["before a request is carried out, and goes on", "reset-before", false],
  ["after it, without the answer, and loses its state", "reset-after", true],
] as const)("ends %s", async (_what, kind, losesState) => {
  const whole = await WandbWorld.create();
  await fill(whole);
  await whole.sync();
  whole.logdir.append("run", eventFile(...mediaAt(3)));
  await whole.sync();
  const expected = contentOf(whole);
  expect([expected.values.length, expected.files.length, expected.announced.length]).toEqual([12, 6, 6]);

  let sentAgain = 0;
  for (let at = 1; at <= LAST; at++) {
    const world = await WandbWorld.create();
    const proxy = await FaultProxy.start(world.server.port);
    try {
      await fill(world);
      proxy.inject({ fault: { kind }, nth: (n) => n === at }, { fault: { kind: "reset-before" }, nth: (n) => n > at });
      await world.sync({}, proxy.uri);
      expect(proxy.faults).toBeGreaterThan(0);
      if (losesState) rmSync(world.stateDir, { recursive: true, force: true });
      await world.sync();
      world.logdir.append("run", eventFile(...mediaAt(3)));
      await world.sync();
      expect([at, contentOf(world)]).toEqual([at, expected]);
      for (const { times } of world.server.runs(PROJECT)[0]?.files.values() ?? []) if (times > 1) sentAgain++;
    } finally {
      await proxy.stop();
    }
  }
  expect(sentAgain).toBeGreaterThan(0);
});
