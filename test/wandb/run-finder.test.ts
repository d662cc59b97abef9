import { expect, onTestFinished, test } from "vitest";
import { WandbApi } from "../../src/backends/wandb/api.ts";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";
import { RunFinder } from "../../src/backends/wandb/run-finder.ts";
import { API_KEY, WandbServer } from "../support/wandb-server/server.ts";
import { description, markAt } from "./batches.ts";

test("the project's runs are listed again for a new run once the last listing is 10 s old", async () => {
  const server = await WandbServer.start();
  const store = new WandbApi({
    base: server.uri,
    access: readLogin(server.uri, { WANDB_API_KEY: API_KEY }, "/nowhere"),
  });
  onTestFinished(async () => {
    await store.close();
    await server.stop();
  });
  let now = 1000;
  const place = readPlace({ wandbProject: "p" }, { WANDB_BASE_URL: server.uri });
  const finder = new RunFinder({ store, place, entity: "ada", resendsDeleted: false, now: () => now });
  const listings: number[] = [];
  for (const ms of [0, 9999, 1, 5000, 5000]) {
    now += ms;
    const source = `s${listings.length}`;
    const { isNew } = await finder.findOrCreate(
      description({ source, name: source, marks: [{ ...markAt(0), key: source }] }),
      undefined,
    );
    expect(isNew).toBe(true);
    listings.push(server.operations("Runs").length);
  }
  expect(listings).toEqual([1, 1, 2, 2, 3]);
});
