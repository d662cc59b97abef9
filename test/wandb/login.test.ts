import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readLogin } from "../../src/backends/wandb/login.ts";
import { readPlace, remarksOn } from "../../src/backends/wandb/place.ts";

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
    expect(() => readLogin(BASE, {}, home)).toThrow("there is no W&B API key for api.wandb.ai");
  });

  test("is found where `wandb login` puts it: under the server's host with its port, or a name of the hosted service", () => {
    netrc(
      `machine lab login user password ${KEY}\nmachine lab:8080\n  login user\n  password ${OTHER}\nmachine api.forge.coreweave.com login user password ${KEY}`,
    );
    expect(readLogin("http://lab:8080/hosted", {}, home).headers()).toEqual(basic(OTHER));
    expect(readLogin("http://lab:9090", {}, home).headers()).toEqual(basic(KEY));
    expect(readLogin(BASE, {}, home).headers()).toEqual(basic(KEY));
  });

  test("has 40 characters behind a server's own prefix, or is a token of three parts", () => {
    const prefixed = `local-${"k".repeat(39)}`;
    expect(() => readLogin(BASE, { WANDB_API_KEY: prefixed }, home)).toThrow("and it has 39");
    expect(readLogin(BASE, { WANDB_API_KEY: "a.b-c.d" }, home).headers()).toEqual(basic("a.b-c.d"));
  });

  test("may be that of any host, or lie in another file", () => {
    netrc(`macdef init\nmachine api.wandb.ai password no\n\ndefault login user password ${KEY}`, "_netrc");
    expect(readLogin(BASE, {}, home).headers()).toEqual(basic(KEY));
    netrc(`default password ${OTHER}`, "mine");
    expect(readLogin(BASE, { NETRC: path.join(home, "mine") }, home).headers()).toEqual(basic(OTHER));
  });

  test("is missing, too short or no header: what to do is said, the key is not", () => {
    const end = "or set WANDB_API_KEY, which goes first, to a key from";
    const hint = `run \`wandb login --relogin\`, ${end} https://wandb.ai/authorize`;
    expect(() => readLogin(BASE, {}, home)).toThrow(expect.objectContaining({ code: "auth", hint }));
    const hosted = `run \`wandb login --relogin --host http://lab:8080/w\`, ${end} http://lab:8080/w/authorize`;
    expect(() => readLogin("http://lab:8080/w", {}, home)).toThrow(
      expect.objectContaining({ message: "there is no W&B API key for lab:8080", hint: hosted }),
    );
    expect(() => readLogin(BASE, { WANDB_IDENTITY_TOKEN_FILE: "/jwt" }, home)).toThrow("is not supported");
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
      page: "https://wandb.ai",
      project: "uncategorized",
      entity: undefined,
      group: undefined,
      jobType: undefined,
      tags: [],
      notes: undefined,
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
      WANDB_NOTES: "why",
    };
    expect(readPlace({ ...options, experiment: "exp" }, env)).toEqual({
      base: "http://lab:8080/hosted",
      page: "http://lab:8080/hosted",
      project: "env",
      entity: "team",
      group: "g",
      jobType: "train",
      tags: ["a", "b"],
      notes: "why",
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

  test("that was changed to fit, and variables of W&B's client that mean nothing here, are said", () => {
    const env = { WANDB_TAGS: `a, ${"t".repeat(65)}`, WANDB_NAME: "n", WANDB_RUN_ID: "r", WANDB_RESUME: "allow" };
    expect(remarksOn({ ...options, experiment: "a/b" }, env)).toEqual([
      'W&B takes no project called "a/b"; it is called "a-b" there (b of a is --wandb-entity a --wandb-project b)',
      `tags of WANDB_TAGS have 64 characters at most there: ${"t".repeat(65)}`,
      "WANDB_NAME is ignored: runs are called as in TensorBoard, or as --run-name says",
      "WANDB_RUN_ID, WANDB_RESUME are ignored: each run has an id of its own, by which it is resumed",
    ]);
    expect(remarksOn({ ...options, experiment: "mnist" }, { WANDB_TAGS: "a, b", WANDB_SILENT: "true" })).toEqual([]);
  });

  test.each([
    ["https://api.wandb.ai", "https://wandb.ai"],
    ["https://api.wandb.corp.com", "https://wandb.corp.com"],
    ["https://api.lab.org", "https://app.lab.org"],
    ["https://api.forge.coreweave.com", "https://forge.coreweave.com/wandb"],
    ["http://lab:8080/w", "http://lab:8080/w"],
  ])("has its web page where W&B's client takes it to be: %s", (base, page) => {
    expect(readPlace(options, { WANDB_BASE_URL: base }).page).toBe(page);
    expect(readPlace(options, { WANDB_BASE_URL: base, WANDB_APP_URL: "http://page/" }).page).toBe("http://page");
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
