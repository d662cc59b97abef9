/** Configuration files, as a user has them: the built command in a directory that holds one. */
import { chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { curve, fileOf } from "../sync/world.ts";
import { type Machine, machineWithRun } from "./tracelet.ts";

interface Shown {
  readonly value: unknown;
  readonly from: string;
  readonly key?: string;
  readonly line?: number | null;
  readonly variable?: string;
  readonly flag?: string;
}

function write(machine: Machine, name: string, text: string): string {
  const file = path.join(machine.root, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  return file;
}

/** What `tracelet config` shows. */
async function shown(machine: Machine, ...args: readonly string[]) {
  const { code, stdout, stderr } = await machine.run("config", "--json", ...args);
  expect(stderr).not.toContain("error");
  expect(code).toBe(0);
  return JSON.parse(stdout) as {
    readonly file: string | null;
    readonly options: Readonly<Record<string, Shown>>;
    readonly sources: readonly Readonly<Record<string, Shown>>[];
  };
}

function experiments(machine: Machine): unknown[] {
  return machine.look((database) =>
    database
      .prepare("SELECT name FROM experiments WHERE name <> 'Default' ORDER BY name")
      .all()
      .map(({ name }) => name),
  );
}

const JSON_TEXT = '{ "$schema": "./schema.json", "experiment": "mnist", "trackingUri": "sqlite:///mlflow.db" }';
const TOML_TEXT = 'experiment = "mnist"\ntracking-uri = "sqlite:///mlflow.db"\n';
const CODE = 'export default { experiment: "mnist", trackingUri: "sqlite:///mlflow.db" };\n';

test.each([
  ["tracelet.config.json", JSON_TEXT],
  ["tracelet.config.yaml", "experiment: mnist\ntracking_uri: sqlite:///mlflow.db\n"],
  ["tracelet.config.toml", TOML_TEXT],
  ["tracelet.config.js", CODE],
  ["tracelet.config.mjs", CODE],
  [
    "tracelet.config.ts",
    `import { type Config, defineConfig } from "tracelet";
enum Experiment { Mnist = "mnist" }
const base: Config = { trackingUri: "sqlite:///mlflow.db" };
export default defineConfig({ ...base, experiment: Experiment.Mnist as string });\n`,
  ],
  ["pyproject.toml", `[project]\nname = "x"\n[tool.tracelet]\n${TOML_TEXT}`],
  ["package.json", `{ "type": "module", "tracelet": ${JSON_TEXT} }`],
])("%s is found, from below as well, and its paths are relative to it", async (name, text) => {
  const machine = machineWithRun();
  mkdirSync(path.join(machine.root, ".git"));
  if (name.endsWith(".js")) write(machine, "package.json", '{ "type": "module" }');
  const file = write(machine, name, text);
  const below = path.join(machine.root, "a", "b");
  mkdirSync(below, { recursive: true });
  const { kinds } = await machine.sync();
  expect(kinds["scalars"]?.sent).toBe(20);
  expect(experiments(machine)).toEqual(["mnist"]);
  const ended = await machine.runIn(below, "sync", "../../runs", "--json");
  expect(JSON.parse(ended.stdout)).toMatchObject({ outcome: "ok", runs: [{ outcome: "unchanged" }] });
  expect(existsSync(path.join(below, "mlflow.db"))).toBe(false);
  expect((await shown(machine)).file).toBe(file);
});

test("the nearest file holds; outside of a repository none above is looked at", async () => {
  const machine = machineWithRun();
  write(machine, "tracelet.config.yaml", "experiment: above\n");
  write(machine, "inner/tracelet.config.yaml", "experiment: near\n");
  const of = async (directory: string) => {
    const { stdout } = await machine.runIn(path.join(machine.root, directory), "config", "--json");
    return (JSON.parse(stdout) as { options: Record<string, Shown> }).options["experiment"]?.value;
  };
  mkdirSync(path.join(machine.root, "inner", "deep"));
  expect(await of("inner")).toBe("near");
  expect(await of("inner/deep")).toBeNull();
  mkdirSync(path.join(machine.root, ".git"));
  expect(await of("inner/deep")).toBe("near");
  // Another repository is another project.
  mkdirSync(path.join(machine.root, "inner", "deep", ".git"));
  expect(await of("inner/deep")).toBeNull();
});

test("a flag goes before a variable, that before the file, and that before the default", async () => {
  const machine = machineWithRun();
  const file = write(
    machine,
    "tracelet.config.yaml",
    "group: parent\nimages: false\nverbose: true\nexclude_tags: [a, b]\ngive-up-after: 5s\nproject: mnist\n",
  );
  const all = async (...args: readonly string[]) => (await shown(machine, ...args)).options;
  const plain = await all();
  expect(plain["group"]).toEqual({ value: "parent", from: "file", file, key: "group", line: 1 });
  expect(plain["images"]).toMatchObject({ value: false, from: "file", line: 2 });
  expect(plain["excludeTags"]).toMatchObject({ value: ["a", "b"], key: "exclude_tags" });
  expect(plain["giveUpAfter"]).toMatchObject({ value: 5000, key: "give-up-after" });
  expect(plain["experiment"]).toMatchObject({ value: "mnist", key: "project", line: 6 });
  expect(plain["restarts"]).toEqual({ value: "explicit", from: "default" });

  machine.env = {
    TRACELET_GROUP: "none",
    TRACELET_IMAGES: "1",
    TRACELET_VERBOSE: "0",
    TRACELET_EXCLUDE_TAGS: "c",
    TRACELET_PROJECT: "theirs",
  };
  const varied = await all();
  expect(varied["group"]).toEqual({ value: "none", from: "environment", variable: "TRACELET_GROUP" });
  expect(varied["images"]).toEqual({ value: true, from: "environment", variable: "TRACELET_IMAGES" });
  expect(varied["verbose"]).toEqual({ value: false, from: "environment", variable: "TRACELET_VERBOSE" });
  expect(varied["excludeTags"]).toEqual({ value: ["c"], from: "environment", variable: "TRACELET_EXCLUDE_TAGS" });
  expect(varied["experiment"]).toEqual({ value: "theirs", from: "environment", variable: "TRACELET_PROJECT" });

  const flagged = await all(..."--group run --no-images --verbose --exclude-tags d,e --experiment mine".split(" "));
  expect(flagged["group"]).toEqual({ value: "run", from: "flag", flag: "--group" });
  expect(flagged["images"]).toEqual({ value: false, from: "flag", flag: "--no-images" });
  expect(flagged["verbose"]).toEqual({ value: true, from: "flag", flag: "--verbose" });
  expect(flagged["excludeTags"]).toEqual({ value: ["d", "e"], from: "flag", flag: "--exclude-tags" });
  expect(flagged["experiment"]).toEqual({ value: "mine", from: "flag", flag: "--experiment" });

  machine.env = {};
  const back = await all("--images", "--no-verbose");
  expect(back["images"]).toEqual({ value: true, from: "flag", flag: "--images" });
  expect(back["verbose"]).toEqual({ value: false, from: "flag", flag: "--no-verbose" });
});

test("the precedence holds for what is sent, not only for what is shown", async () => {
  const machine = machineWithRun();
  write(machine, "tracelet.config.yaml", "experiment: from-file\nexclude_tags: [lr]\n");
  expect((await machine.sync()).kinds["scalars"]).toMatchObject({ sent: 10 });
  machine.env = { TRACELET_EXPERIMENT: "from-variable" };
  await machine.sync();
  expect((await machine.sync("--experiment", "from-flag", "--exclude-tags", "none")).kinds["scalars"]?.sent).toBe(20);
  machine.env = { MLFLOW_EXPERIMENT_NAME: "from-mlflow" };
  await machine.sync();
  expect(experiments(machine)).toEqual(["from-file", "from-flag", "from-variable"]);
});

test("--config and TRACELET_CONFIG name a file, --no-config and TRACELET_NO_CONFIG none", async () => {
  const machine = machineWithRun();
  write(machine, "tracelet.config.yaml", "experiment: found\n");
  write(machine, "conf/other.json", '{ "experiment": "named" }');
  const value = async (...args: readonly string[]) => (await shown(machine, ...args)).options["experiment"]?.value;
  expect(await value()).toBe("found");
  expect(await value("--config", "conf/other.json")).toBe("named");
  expect(await value("--config=conf/other.json")).toBe("named");
  expect(await value("--no-config")).toBeNull();
  machine.env = { TRACELET_CONFIG: "conf/other.json" };
  expect(await value()).toBe("named");
  expect(await value("--config", "tracelet.config.yaml")).toBe("found");
  expect(await value("--no-config")).toBeNull();
  machine.env = { TRACELET_NO_CONFIG: "1", TRACELET_CONFIG: "conf/other.json" };
  expect(await value()).toBeNull();
  machine.env = {};
  const missing = await machine.run("sync", "runs", "--config", "nowhere.json");
  expect(missing).toMatchObject({ code: 2, stderr: expect.stringMatching(/no configuration file \S+nowhere\.json/) });
});

test.each([
  ["yaml", "experiment: x\nexperment: y\n", /yaml:2: experment: there is no such option\n +did you mean experiment\?/],
  ["yaml", "max_imag_size: 1MB\n", /max_imag_size: there is no such option\n +did you mean max_image_size\?/],
  ["yaml", "xyzzy: 1\n", /xyzzy: there is no such option\n +tracelet config lists the options/],
  ["yaml", "\ngroup: runs\n", /yaml:2: group: it must be one of run, parent,/],
  ["yaml", "giveUpAfter: soon\n", /yaml:1: giveUpAfter: It must be a time such as 90s, 10m or 2h/],
  ["yaml", "giveUpAfter: true\n", /giveUpAfter: it cannot be true\n +allowed is a time such as "90s"/],
  ["yaml", "images: 'no'\n", /images: it must be true or false/],
  ["yaml", "only: [scalars, pictures]\n", /only: There is no kind pictures; there are scalars, images/],
  ["yaml", "experiment: 5\n", /experiment: it must be a text\n +allowed is a text; in quotes/],
  ["yaml", "project: a\nexperiment: b\n", /yaml:2: experiment: it is given twice, by project as well/],
  ["yaml", "- a\n", /yaml: it must be an object with options/],
  ["yaml", "a: [\n", /yaml:2: /],
  [
    "yaml",
    "sources:\n  - logdirs: a\n  - logdirs: b\n    every: 0\n",
    /yaml:4: sources\[1\]\.every: It must be a whole/,
  ],
  ["yaml", "sources:\n  - experiment: a\n", /yaml:2: sources\[0\]: it has no logdirs/],
  ["yaml", "sources:\n  - logdirs: a\n    quiet: true\n", /yaml:3: sources\[0\]\.quiet: it holds for all sources/],
  ["yaml", "logdirs: []\n", /logdirs: it must be a path, or a list of at least one/],
  ["json", '{ "every": "x" }', /json:1: every: it cannot be "x"\n +allowed is a whole number, 1 or more/],
  ["json", '{\n  "every": 1,\n}', /json:3: /],
  ["toml", 'every = 1\nevery = "\n', /toml:2: /],
  ["toml", "constructor = 1\n", /constructor: there is no such option/],
  ["mjs", "export const every = 1;", /mjs has no default export that is an object/],
  ["mjs", "export default {", /mjs cannot be loaded: SyntaxError/],
  ["ts", "export default { every: 'x' } as const;", /ts: every: it cannot be "x"/],
  ["ts", "throw new Error('at once');", /ts cannot be loaded: Error: at once/],
])("what is wrong in a .%s file is told: %j", async (format, text, words) => {
  const machine = machineWithRun();
  write(machine, `tracelet.config.${format}`, text);
  const { code, stderr, stdout } = await machine.run("sync", "runs", "--json");
  expect(stderr).toMatch(words);
  expect(stderr).toContain(`tracelet.config.${format}`);
  expect(stderr).not.toMatch(/^\s+at /m);
  expect(code).toBe(2);
  expect(stdout).toBe("");
  // Help is there whatever the file says.
  expect(await machine.run("sync", "--help")).toMatchObject({ code: 0 });
});

test("two files in one directory are one too many", async () => {
  const machine = machineWithRun();
  write(machine, "tracelet.config.yaml", "experiment: a\n");
  write(machine, "pyproject.toml", "[tool.tracelet]\nexperiment = 'b'\n");
  const { code, stderr } = await machine.run("sync", "runs");
  expect(stderr).toMatch(/several configuration files: tracelet\.config\.yaml, pyproject\.toml/);
  expect(code).toBe(2);
  // Without a section of ours it is none.
  write(machine, "pyproject.toml", "[project]\ndependencies = ['tracelet']\n");
  expect((await shown(machine)).options["experiment"]?.value).toBe("a");
});

test.runIf(process.getuid?.() === 0)("a file of another user is not used unless it is named", async () => {
  const machine = machineWithRun();
  const file = write(machine, "tracelet.config.mjs", 'import "node:fs"; console.error("ran"); export default {};');
  chownSync(file, 12_345, 12_345);
  const refused = await machine.run("sync", "runs");
  expect(refused.stderr).toMatch(/belongs to another user \(uid 12345\)\n +name it with --config/);
  expect(refused.stderr).not.toContain("ran");
  expect(refused.code).toBe(2);
  expect((await machine.run("sync", "runs", "--config", "tracelet.config.mjs")).stderr).toContain("ran");
});

test("the names of the Python library work, and what means nothing here is said once", async () => {
  const machine = machineWithRun();
  write(
    machine,
    "tracelet.config.yaml",
    `exp_name: first run
project: mnist
backend: [mlflow, jsonl]
output: out
tensorboard_log_dir: ./runs
track_tensorboard: true
track_lightning: true
capture_images: true
capture_histograms: false
capture_audio: false
max_image_size: "1MB"
track_system: true
track_git: false
track_env: true
metrics_interval: 5.0
`,
  );
  const { options } = await shown(machine);
  const values = Object.fromEntries(Object.entries(options).map(([name, { value }]) => [name, value]));
  expect(values).toMatchObject({
    runName: "first run",
    experiment: "mnist",
    backend: ["mlflow", "jsonl"],
    logdirs: [path.join(machine.root, "runs")],
    images: true,
    histograms: false,
    audio: false,
    maxImageSize: 1e6,
    trackSystem: true,
    trackGit: false,
    trackEnv: "auto",
    metricsInterval: 5000,
  });
  machine.env = { TRACELET_ENABLE_AUTOMAGIC: "true" };
  const { code, stderr } = await machine.run("sync");
  expect(code).toBe(0);
  expect(stderr.match(/ignored/g)).toHaveLength(2);
  expect(stderr).toContain("note: TRACELET_ENABLE_AUTOMAGIC means nothing here, and is ignored");
  expect(stderr).toContain(
    "tracelet.config.yaml: track_tensorboard, track_lightning mean nothing here, and are ignored",
  );
  expect((await machine.run("sync", "-q")).stderr).toBe("");
  expect(experiments(machine)).toEqual(["mnist"]);
  const name = machine.look((database) => database.prepare("SELECT name FROM runs").get()?.["name"]);
  expect(name).toBe("first run");
});

test("so do its variables", async () => {
  const machine = machineWithRun();
  machine.env = {
    TRACELET_PROJECT: "theirs",
    TRACELET_EXPERIMENT_NAME: "first run",
    TRACELET_BACKEND: "mlflow,jsonl",
    TRACELET_BACKEND_URL: "http://user:word@127.0.0.1:5000",
    TRACELET_API_KEY: "xyz",
  };
  const { options } = await shown(machine);
  expect(options["experiment"]).toEqual({ value: "theirs", from: "environment", variable: "TRACELET_PROJECT" });
  expect(options["runName"]).toEqual({ value: "first run", from: "environment", variable: "TRACELET_EXPERIMENT_NAME" });
  expect(options["backend"]?.value).toEqual(["mlflow", "jsonl"]);
  expect(options["trackingUri"]).toMatchObject({
    value: "http://***@127.0.0.1:5000",
    variable: "TRACELET_BACKEND_URL",
  });
});

test("secrets are masked, also those of a plug-in, whose options a file may give", async () => {
  const machine = machineWithRun();
  write(
    machine,
    "conf/backend.mjs",
    `export default { seam: 1, name: "mine", options: {
      apiToken: { form: "text", value: "<token>", help: "the token" },
      place: { form: "text", value: "<place>", help: "where" },
    }, address: () => "x", open: () => { throw new Error("not opened"); } };`,
  );
  write(
    machine,
    "conf/tracelet.config.toml",
    'backend = "./backend.mjs"\napi_token = "s3cret"\nplace = "https://u:s3cret@host/?key=s3cret"\n',
  );
  for (const args of [[], ["--json"]]) {
    const { stdout, code } = await machine.run("config", "--config", "conf/tracelet.config.toml", ...args);
    expect(code).toBe(0);
    expect(stdout).not.toContain("s3cret");
    expect(stdout).toMatch(/apiToken.*\*\*\*/);
    expect(stdout).toContain("https://***@host/?***");
    expect(stdout).toContain(path.join(machine.root, "conf", "backend.mjs"));
  }
});

test("status, inspect and verify take their logdirs from the file, too", async () => {
  const machine = machineWithRun();
  write(machine, "tracelet.config.yaml", "logdirs: runs\nexperiment: mnist\n");
  expect((await machine.run("sync", "-q")).code).toBe(0);
  expect((await machine.run("verify")).code).toBe(0);
  expect((await machine.run("inspect")).stdout).toContain("train");
  expect((await machine.run("status")).stdout).toContain("train");
  // To forget takes a name.
  expect(await machine.run("forget")).toMatchObject({ code: 2, stderr: expect.stringContaining("missing required") });
});

const SOURCES = `
exclude_tags: [lr]
sources:
  - logdirs: runs
    experiment: first
  - logdirs: more
    backend: jsonl
    output: out
    excludeTags: []
`;

function machineWithSources(): Machine {
  const machine = machineWithRun();
  mkdirSync(path.join(machine.root, "more", "b"), { recursive: true });
  writeFileSync(path.join(machine.root, "more", "b", "events.out.tfevents.1.b"), fileOf([...curve("lr", 0, 5)]));
  write(machine, "tracelet.config.yaml", SOURCES);
  return machine;
}

test("sync without a logdir sends all sources, each with a summary and an object of its own", async () => {
  const machine = machineWithSources();
  const { code, stdout, stderr } = await machine.run("sync", "--json");
  const json = JSON.parse(stdout) as { outcome: string; sources: Record<string, unknown>[] };
  expect(json).toMatchObject({
    outcome: "ok",
    sources: [
      { source: "runs", outcome: "ok", kinds: { scalars: { sent: 10, skipped: { excluded: 10 } } } },
      { source: "more", outcome: "ok", kinds: { scalars: { sent: 5 } } },
    ],
  });
  expect(code).toBe(0);
  expect(stderr).toMatch(/^runs$[^]*^1 run: 1 sent[^]*^more$[^]*^1 run: 1 sent/m);
  expect(experiments(machine)).toEqual(["first"]);
  const lines = readFileSync(path.join(machine.root, "out", "b.jsonl"), "utf8").split("\n");
  expect(lines.filter((line) => line.includes('"tag":"lr"'))).toHaveLength(5);
  const again = JSON.parse((await machine.run("sync", "--json")).stdout) as typeof json;
  expect(again.sources.map(({ runs }) => runs)).toMatchObject([[{ outcome: "unchanged" }], [{ outcome: "unchanged" }]]);
});

test("a source that fails keeps no other from being sent, and the worst exit code counts", async () => {
  const machine = machineWithSources();
  write(machine, "tracelet.config.yaml", SOURCES.replace("logdirs: more", "logdirs: nowhere"));
  const { code, stdout, stderr } = await machine.run("sync", "--json");
  expect(JSON.parse(stdout)).toMatchObject({
    outcome: "failed",
    sources: [
      { source: "runs", outcome: "ok" },
      { source: "nowhere", outcome: "failed", error: { code: "logdir" } },
    ],
  });
  expect(stderr).toMatch(/^nowhere$\n.*error: /m);
  expect(code).toBe(1);
});

test("two sources may go into the same database", async () => {
  const machine = machineWithSources();
  write(
    machine,
    "tracelet.config.yaml",
    "sources:\n  - { logdirs: runs, experiment: a }\n  - { logdirs: runs, experiment: b }\n  - { logdirs: more, experiment: c }\n",
  );
  const { code, stdout } = await machine.run("sync", "--json");
  const { sources } = JSON.parse(stdout) as { sources: { source: string }[] };
  expect(sources.map(({ source }) => source)).toEqual(["1: runs", "2: runs", "more"]);
  expect(code).toBe(0);
  expect(experiments(machine)).toEqual(["a", "b", "c"]);
  expect(machine.points()).toBe(45);
});

test("logdirs of the command line go by the top level, and that is said", async () => {
  const machine = machineWithSources();
  const { code, stderr } = await machine.run("sync", "runs");
  expect(stderr).toContain("the sources of tracelet.config.yaml are not used");
  expect(code).toBe(0);
  expect(experiments(machine)).toEqual([]);
  expect(machine.points()).toBe(10);
});

test("flags hold for all sources, and must be options of one of them", async () => {
  const machine = machineWithSources();
  const { sources } = await shown(machine, "--experiment", "mine");
  expect(sources[0]?.["experiment"]).toEqual({ value: "mine", from: "flag", flag: "--experiment" });
  expect((await machine.run("sync", "--experiment", "mine", "-q")).code).toBe(0);
  expect(experiments(machine)).toEqual(["mine"]);
});

test("watch follows all sources as one", async () => {
  const machine = machineWithSources();
  const { code, stdout } = await machine.run("watch", "--json", "--until-idle", "1s");
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const statuses = lines.filter(({ type }) => type === "status");
  expect(statuses.map(({ source, backend, sent }) => ({ source, backend, sent }))).toEqual(
    expect.arrayContaining([
      { source: "runs", backend: "mlflow", sent: 10 },
      { source: "more", backend: "jsonl", sent: 5 },
    ]),
  );
  expect(lines.at(-1)).toMatchObject({
    type: "end",
    code: 0,
    destinations: [
      { source: "runs", backend: "mlflow", code: 0 },
      { source: "more", backend: "jsonl", code: 0 },
    ],
  });
  expect(code).toBe(0);
  expect(machine.points()).toBe(10);
});

test("a source that cannot be watched keeps no other from being", async () => {
  const machine = machineWithSources();
  write(machine, "tracelet.config.yaml", SOURCES.replace("experiment: first", "tracking_uri: nonsense://x"));
  const { code, stdout } = await machine.run("watch", "--json", "--until-idle", "1s");
  const lines = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(lines).toContainEqual(
    expect.objectContaining({
      type: "event",
      level: "error",
      source: "runs",
      message: expect.stringContaining("nonsense"),
    }),
  );
  expect(lines.at(-1)).toMatchObject({
    code: 2,
    destinations: [
      { source: "runs", code: 2 },
      { source: "more", code: 0 },
    ],
  });
  expect(code).toBe(2);
});
