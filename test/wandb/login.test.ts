import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { readPlace } from "../../src/backends/wandb/place.ts";

const KEY = "k".repeat(40);
const OTHER = "local-".padEnd(46, "o");
const BASE = "https://api.wandb.ai";
const basic = (key: string) => ({ authorization: `Basic ${Buffer.from(`api:${key}`).toString("base64")}` });

describe("the API key", () => {
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(path.join(os.tmpdir(), "tracelet-wandb-"));
  });
  afterEach(() => rmSync(home, { recursive: true }));
  const netrc = (text: string, name = ".netrc") => writeFileSync(path.join(home, name), text);

  test("is that of the environment, before that of the netrc file", () => {
    netrc(`machine api.wandb.ai\n  login user\n  password ${OTHER}\n`);
    expect(readLogin(BASE, { WANDB_API_KEY: ` ${KEY}\n` }, home).headers()).toEqual(basic(KEY));
    expect(readLogin(BASE, {}, home).headers()).toEqual(basic(OTHER));
  });

  test("is that of the server's own host", () => {
    netrc(
      `# mine\nmachine x login a password ${"x".repeat(40)} # old\nmachine wandb.lab login user password "${OTHER}"`,
    );
    expect(readLogin("http://wandb.lab:8080/hosted", {}, home).headers()).toEqual(basic(OTHER));
    expect(() => readLogin(BASE, {}, home)).toThrow("there is no API key for api.wandb.ai");
  });

  test("may be that of any host, or lie in another file", () => {
    netrc(`macdef init\nmachine api.wandb.ai password no\n\ndefault login user password ${KEY}`, "_netrc");
    expect(readLogin(BASE, {}, home).headers()).toEqual(basic(KEY));
    netrc(`default password ${OTHER}`, "mine");
    expect(readLogin(BASE, { NETRC: path.join(home, "mine") }, home).headers()).toEqual(basic(OTHER));
  });

  test("is missing, too short or no header: what to do is said, the key is not", () => {
    const hint = "run `wandb login`, or set WANDB_API_KEY to a key from your W&B settings page";
    expect(() => readLogin(BASE, {}, home)).toThrow(expect.objectContaining({ code: "auth", hint }));
    expect(() => readLogin(BASE, { WANDB_API_KEY: "secret" }, home)).toThrow(
      expect.objectContaining({ code: "auth", hint, message: expect.not.stringContaining("secret") }),
    );
    expect(() => readLogin(BASE, { WANDB_API_KEY: `secret\n${KEY}` }, home)).toThrow(
      expect.objectContaining({ code: "usage", message: expect.not.stringContaining("secret") }),
    );
    expect(readLogin(BASE, { WANDB_API_KEY: KEY }, home).scrub(`it was ${KEY}`)).toBe("it was ***");
  });

  test("goes with a time limit and TLS as W&B's client takes them", () => {
    const access = readLogin(
      BASE,
      { WANDB_API_KEY: KEY, WANDB_HTTP_TIMEOUT: "2.5", WANDB_INSECURE_DISABLE_SSL: "true" },
      home,
    );
    expect([access.requestTimeoutMs, access.tlsOptions()]).toEqual([2500, { rejectUnauthorized: false }]);
    expect(() => readLogin(BASE, { WANDB_API_KEY: KEY, WANDB_HTTP_TIMEOUT: "soon" }, home)).toThrow(
      "WANDB_HTTP_TIMEOUT",
    );
  });
});

describe("the place", () => {
  const options = { wandbProject: undefined, wandbEntity: undefined };

  test("is W&B's own where nothing is given", () => {
    expect(readPlace(options, {})).toEqual({
      base: BASE,
      project: "uncategorized",
      entity: undefined,
      group: undefined,
      jobType: undefined,
      tags: [],
    });
  });

  test("is given by options, then W&B's variables, then the experiment", () => {
    const env = {
      WANDB_BASE_URL: "http://lab:8080/hosted/",
      WANDB_PROJECT: "env",
      WANDB_ENTITY: "team",
      WANDB_RUN_GROUP: "g",
      WANDB_JOB_TYPE: "train",
      WANDB_TAGS: "a, b,,a",
    };
    expect(readPlace({ ...options, experiment: "exp" }, env)).toEqual({
      base: "http://lab:8080/hosted",
      project: "env",
      entity: "team",
      group: "g",
      jobType: "train",
      tags: ["a", "b"],
    });
    expect(readPlace({ wandbProject: "p", wandbEntity: "e" }, env)).toMatchObject({ project: "p", entity: "e" });
    expect(readPlace({ ...options, experiment: "exp" }, {})).toMatchObject({ project: "exp" });
  });

  test("has names that W&B takes, and two of them stay two", () => {
    const projectOf = (wandbProject: string) => readPlace({ ...options, wandbProject }, {}).project;
    expect(projectOf("a/b\\c#d?e%f:g")).toBe("a-b-c-d-e-f-g");
    const [one, two] = [projectOf(`${"ü".repeat(200)}1`), projectOf(`${"ü".repeat(200)}2`)];
    expect([one.length, two.length]).toEqual([128, 128]);
    expect(one).not.toBe(two);
    const [tag = ""] = readPlace(options, { WANDB_TAGS: "t".repeat(65) }).tags;
    expect(tag).toHaveLength(64);
  });

  test.each([
    ["no address", "lab:8080"],
    ["a login in it", "https://ada:secret@lab"],
    ["a query", "https://lab/?x=1"],
    ["the address of the web page", "https://wandb.ai/ada/project"],
  ])("refuses %s", (_what, text) => {
    expect(() => readPlace(options, { WANDB_BASE_URL: text })).toThrow(
      expect.objectContaining({
        code: "usage",
        message: expect.not.stringContaining("secret"),
        hint: expect.anything(),
      }),
    );
  });
});
