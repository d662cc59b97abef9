import { afterEach, expect, test, vi } from "vitest";
import { check, open } from "../../src/backends/wandb/open.ts";
import { surroundingsOf } from "../../src/sync/backend-plugin.ts";
import { API_KEY } from "../support/wandb-server/server.ts";

const OPTIONS = { wandbProject: "p", wandbEntity: "team", resendDeleted: false };

afterEach(() => vi.unstubAllEnvs());

test("a destination has an address without the key", async () => {
  vi.stubEnv("WANDB_API_KEY", API_KEY);
  vi.stubEnv("WANDB_BASE_URL", "http://127.0.0.1:9/hosted/");
  const { address, backend, retries } = open(OPTIONS, surroundingsOf({ live: true }));
  expect([address, retries?.(), backend.location()]).toEqual(["http://127.0.0.1:9/hosted team/p", 0, undefined]);
  await backend.close();
});

test("a dry run needs no key, and asks nobody", async () => {
  vi.stubEnv("WANDB_API_KEY", "");
  vi.stubEnv("WANDB_BASE_URL", "http://127.0.0.1:9");
  vi.stubEnv("HOME", "/nowhere");
  const { backend } = open(OPTIONS, surroundingsOf({ dryRun: true }));
  expect(await backend.survey([], undefined)).toMatchObject({ changes: new Map() });
  expect(() => open(OPTIONS, surroundingsOf())).toThrow(expect.objectContaining({ code: "auth" }));
});

test("an address that is none is told before anything is opened", () => {
  vi.stubEnv("WANDB_BASE_URL", "lab:8080");
  expect(() => check(OPTIONS)).toThrow(expect.objectContaining({ code: "usage" }));
});

test.each([".", " .. ", " ", "\t"])("%j is not the name of a project", (wandbProject) => {
  vi.stubEnv("WANDB_BASE_URL", "http://127.0.0.1:9");
  expect(() => check({ ...OPTIONS, wandbProject })).toThrow(
    expect.objectContaining({ code: "usage", message: `W&B takes no project called ${JSON.stringify(wandbProject)}` }),
  );
});

test("white space around the name of a project is left out, and said", async () => {
  vi.stubEnv("WANDB_API_KEY", API_KEY);
  vi.stubEnv("WANDB_BASE_URL", "http://127.0.0.1:9");
  const said: string[] = [];
  const surroundings = surroundingsOf({ dryRun: true, say: (message: string) => void said.push(message) });
  const { address } = open({ ...OPTIONS, wandbProject: " a/b " }, surroundings);
  expect([address, said]).toEqual([
    "http://127.0.0.1:9 team/a-b",
    ['W&B takes no project called " a/b "; it is called "a-b" there (b of a is --wandb-entity a --wandb-project b)'],
  ]);
});
