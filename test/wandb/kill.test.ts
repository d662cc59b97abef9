/** A process that ends between any two requests, with its state or without: nothing is lost, and nothing is there twice. */
import { rmSync } from "node:fs";
import { expect, test } from "vitest";
import { curve, Place, RUNS } from "../../src/testing/place.ts";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { connect, faultsOf, NO_FAULTS, PROJECT, pointsOf } from "./destination.ts";

/** After how many requests a process dies at most: all but the last that two runs take for their first batches. */
const LAST = 13;

test.each([
  ["before a request is carried out, and goes on", "reset-before", false],
  ["after it, without the answer, and goes on", "reset-after", false],
  ["after it, without the answer, and loses its state", "reset-after", true],
] as const)("ends %s", async (_what, kind, losesState) => {
  for (let at = 1; at <= LAST; at++) {
    const server = await WandbServer.start();
    const proxy = await FaultProxy.start(server.port);
    const place = new Place(() => ({
      connect: () => connect(proxy.uri, 1),
      points: () => pointsOf(server),
      keepsMarks: true,
    }));
    try {
      place.fill();
      proxy.inject({ fault: { kind }, nth: (n) => n === at }, { fault: { kind: "reset-before" }, nth: (n) => n > at });
      await place.sync();
      expect(proxy.faults).toBeGreaterThan(0);
      proxy.calm();
      if (losesState) rmSync(place.stateDir("state"), { recursive: true, force: true });
      await place.complete();
      for (const run of RUNS) place.grow(run, curve("loss", 20, 30));
      await place.complete();
      for (const run of server.runs(PROJECT)) expect(faultsOf(run), `after ${at} requests`).toEqual(NO_FAULTS);
    } finally {
      place.remove();
      await proxy.stop();
      await server.stop();
    }
  }
});
