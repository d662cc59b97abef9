/** `--backend ./a-file.mjs` and `tracelet-backend-<name>`: found, opened, and blamed for what it does wrong. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { curve, fileOf } from "../sync/world.ts";
import { type Machine, machineWithRun } from "./tracelet.ts";

/** A plug-in that appends lines, each of a point, to a file; `open`'s and `write`'s bodies can be replaced. */
function plugin({ write = "", open = "", head = "seam: 1" } = {}): string {
  return `import { appendFileSync } from "node:fs";
export default {
  ${head},
  options: { file: { form: "text", value: "<file>", default: "lines.txt", help: "the file to append to" } },
  address: ({ file }) => file,
  open({ file }, { TraceletError }) {
    return {
      async open(run) {
        ${open}
        return { id: run.name };
      },
      async write(run, { scalars }, refuse) {
        ${write}
        for (let i = 0; i < scalars.length; i++) appendFileSync(file, run.id + " " + scalars.step[i] + "\\n");
      },
    };
  },
};
`;
}

function withPlugin(text: string, file = "my-backend.mjs"): Machine {
  const machine = machineWithRun();
  mkdirSync(path.dirname(path.join(machine.root, file)), { recursive: true });
  writeFileSync(path.join(machine.root, file), text);
  return machine;
}

function linesOf(machine: Machine, file = "lines.txt"): string[] {
  return readFileSync(path.join(machine.root, file), "utf8").split("\n").slice(0, -1);
}

const HERE = ["--backend", "./my-backend.mjs"];

test("a file: its options are options, its name is in the state", async () => {
  const machine = withPlugin(plugin());
  const { code, kinds } = await machine.sync(...HERE, "--file", "other.txt");
  expect([code, kinds["scalars"]?.sent, linesOf(machine, "other.txt").length]).toEqual([0, 20, 20]);
  const { stdout } = await machine.run("status", "runs", "--json");
  expect(JSON.parse(stdout).runs).toMatchObject([{ destination: "my-backend other.txt", run: "train", state: "done" }]);
  expect((await machine.run("forget", "train", "--backend", "mine")).code).toBe(1);
  expect((await machine.run("forget", "train", "--backend", "my-backend")).code).toBe(0);
  await machine.sync(...HERE, "--file", "other.txt");
  expect((await machine.run("forget", "train", ...HERE)).code).toBe(0);
  machine.env = { TRACELET_FILE: "a third.txt", TRACELET_BACKEND: "./my-backend.mjs" };
  expect((await machine.sync()).code).toBe(0);
  expect(linesOf(machine, "a third.txt").length).toBe(20);
});

test("a file's options are in the help when it is named", async () => {
  const machine = withPlugin(plugin());
  const { code, stdout } = await machine.run("sync", ...HERE, "--help");
  expect([code, stdout]).toEqual([
    0,
    expect.stringMatching(/--backend my-backend:\n +--file <file> +the file to append/),
  ]);
  expect((await machine.run("sync", "--help")).stdout).not.toContain("--file");
  expect((await machine.run("watch", ...HERE, "--help")).stdout).toContain("--file <file>");
});

test("a dry run never opens it", async () => {
  const machine = withPlugin(plugin({ write: `throw new Error("written");`, open: `throw new Error("opened");` }));
  const { code, kinds } = await machine.sync(...HERE, "--dry-run");
  expect([code, kinds["scalars"]?.sent]).toEqual([0, 20]);
});

test.each([
  ["by main", { main: "lib/index.js", type: "module" }],
  ["by exports", { exports: "./lib/index.js", type: "module" }],
  ["by a map of exports", { exports: { "./other": "./no.js", ".": { import: "./lib/index.js" } }, type: "module" }],
  ["by conditions", { exports: { require: "./no.js", node: { default: "./lib/index.js" } }, type: "module" }],
])("a package in node_modules, found from the current directory up, entered %s", async (_, manifest) => {
  const machine = withPlugin(plugin(), "node_modules/tracelet-backend-lines/lib/index.js");
  const folder = path.join(machine.root, "node_modules/tracelet-backend-lines");
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name: "tracelet-backend-lines", ...manifest }));
  const { code, kinds, stderr } = await machine.sync("--backend", "lines");
  expect([code, kinds["scalars"]?.sent, stderr]).toEqual([0, 20, expect.stringContaining("1 run: 1 sent")]);
});

const REFUSED: readonly (readonly [backend: string, text: string, message: RegExp])[] = [
  ["./gone.mjs", plugin(), /there is no file .*gone\.mjs/],
  [".", plugin(), /is a directory|there is no backend/],
  ["./", plugin(), /is a directory, and --backend takes the file of a plug-in/],
  [
    "lines",
    plugin(),
    /there is no backend lines: .* no package tracelet-backend-lines is installed\n +npm install tracelet/,
  ],
  ["../evil name", plugin(), /there is no file/],
  ["EVIL name", plugin(), /there is no backend EVIL name/],
  ["./my-backend.mjs", "const = 1;", /cannot be loaded: SyntaxError/],
  ["./my-backend.mjs", "throw new RangeError('at once');", /cannot be loaded: RangeError: at once/],
  [
    "./my-backend.mjs",
    "import { createRequire } from 'node:module'; createRequire(import.meta.url)('better-sqlite3');",
    /cannot be loaded: Error: Cannot find module 'better-sqlite3'\n +run node \S+my-backend\.mjs to see where it fails\n/,
  ],
  ["./my-backend.mjs", "import 'not-there';", /cannot be loaded: Error: Cannot find package 'not-there'/],
  [
    "./my-backend.mjs",
    "export const x = 1;",
    /is not a tracelet backend: it has no default export.*\n.*writing-a-backend/,
  ],
  ["./my-backend.mjs", "export default {};", /does not say which version of the seam/],
  ["./my-backend.mjs", "export default { seam: 1 };", /needs the functions open and address/],
  [
    "./my-backend.mjs",
    plugin({ head: "seam: 2" }),
    /is for version 2 of the seam, and this tracelet has version 1\n +upgrade tracelet\n/,
  ],
  ["./my-backend.mjs", plugin({ head: "seam: 0" }), /is for version 0 .*\n +a newer version of my-backend may fit/],
  ["./my-backend.mjs", plugin({ head: 'seam: 1, name: "csv"' }), /calls its backend csv, as one of tracelet's own/],
  [
    "./my-backend.mjs",
    plugin().replaceAll(/file: \{ form: "text"/g, 'file: { form: "words"'),
    /its option file needs a/,
  ],
  ["./my-backend.mjs", plugin().replaceAll("file", "json"), /has an option --json, as tracelet itself/],
  [
    "./my-backend.mjs",
    plugin().replace("({ file }) => file", "() => 1"),
    /address\(\) of the backend .*did not return a string/,
  ],
  ["./my-backend.mjs", plugin().replace("async write", "async store"), /returned no backend: it has no write\(\)/],
];

test.each(REFUSED.map(([backend, text, message]) => [backend, message, text] as const))(
  "--backend %j is refused: %s",
  async (backend, message, text) => {
    const machine = withPlugin(text);
    const { code, stderr, stdout } = await machine.run("sync", "runs", "--backend", backend);
    const isItsBug = stderr.includes("this is a bug in the plug-in");
    expect([code, stdout, stderr]).toEqual([isItsBug ? 1 : 2, "", expect.stringMatching(message)]);
    expect(stderr).not.toContain("bug in tracelet");
    expect(stderr).not.toMatch(/^\s+at /m);
  },
);

test.each([
  [
    "throws",
    { write: `throw new RangeError("no index");` },
    /write\(\) of the backend my-backend: RangeError: no index/,
  ],
  ["throws a text", { write: `throw "a text";` }, /write\(\) of the backend my-backend: threw a text/],
  ["returns nonsense", { write: "return { cursor: 3 };" }, /write\(\) of the backend my-backend: returned a cursor/],
  ["returns a tally of its own", { write: "return { tally: 3 };" }, /write\(\) of .* returned an invalid tally/],
  ["returns other notes", { write: "return { notes: [3] };" }, /write\(\) of .* returned invalid notes/],
  ["never answers", { write: "await new Promise(() => {});" }, /write\(\) of .* returned a promise that never settles/],
  ["finds no run", { open: "return {};" }, /open\(\) of the backend my-backend: returned no id/],
  ["has other marks", { open: "return { id: 'a', marks: [1] };" }, /open\(\) of the backend my-backend: returned some/],
])("one run that it %s for: said to be its bug, and the others are sent", async (_, bodies, message) => {
  const { write = "", open = "" }: { write?: string; open?: string } = bodies;
  const only = (body: string, name: string) => (body === "" ? "" : `if (${name} === "bad") { ${body} }`);
  const machine = withPlugin(plugin({ write: only(write, "run.id"), open: only(open, "run.name") }));
  machine.logdir.write("bad", fileOf(curve("loss", 0, 10), 1));
  const { code, runs, stderr } = await machine.sync(...HERE);
  expect(code).toBe(1);
  expect(runs.map(({ name, outcome }) => [name, outcome])).toEqual([
    ["bad", "failed"],
    ["train", "sent"],
  ]);
  expect(stderr).toMatch(message);
  expect(stderr).toContain("this is a bug in the plug-in my-backend, not in tracelet");
  // What it throws itself is told as it is.
  expect(linesOf(machine).filter((line) => line.startsWith("train")).length).toBe(20);
});

test.each([
  ["a file", "my-backend.mjs", HERE],
  ["a package", "node_modules/tracelet-backend-lines/index.mjs", ["--backend", "lines"]],
])("what a package throws at the plug-in is told by the line of the plug-in: %s", async (_, file, chosen) => {
  const text = `import { fail } from "fails";\n${plugin({ write: "fail();" })}`;
  const machine = withPlugin(text, file);
  const folders = {
    fails: "export const fail = () => { throw new RangeError('deep'); };",
    "tracelet-backend-lines": "",
  };
  for (const [name, body] of Object.entries(folders)) {
    const folder = path.join(machine.root, "node_modules", name);
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name, exports: "./index.mjs" }));
    if (body !== "") writeFileSync(path.join(folder, "index.mjs"), body);
  }
  const { code, stderr } = await machine.sync(...chosen);
  const line = text.split("\n").findIndex((each) => each.includes("fail();")) + 1;
  expect([code, stderr]).toEqual([
    1,
    expect.stringContaining(`RangeError: deep (${path.join(machine.root, file)}:${line})`),
  ]);
});

test("what it throws on purpose is no bug; one made elsewhere counts, too", async () => {
  for (const made of [
    `new TraceletError("auth", "the key is refused", { hint: "renew it" })`,
    `Object.assign(new Error("the key is refused"), { name: "TraceletError", code: "auth", hint: "renew it" })`,
  ]) {
    const { code, error, stderr } = await withPlugin(plugin({ write: `throw ${made};` })).sync(...HERE);
    expect([code, error?.code, stderr]).toEqual([1, "auth", expect.stringMatching(/the key is refused[^]*renew it/)]);
    expect(stderr).not.toContain("bug");
  }
});

test("a value that it refuses is set aside", async () => {
  const machine = withPlugin(
    plugin({
      write: `if (run.id === "train") await refuse([{ kind: "scalars", tag: "loss", step: 3n, reason: "no" }]);`,
    }),
  );
  const { code, kinds } = await machine.sync(...HERE);
  expect([code, kinds["scalars"]]).toEqual([1, expect.objectContaining({ sent: 19, skipped: { refused: 1 } })]);
});

test("beside another destination: its bug is told as its own, and the other has everything", async () => {
  const machine = withPlugin(plugin({ write: "undefined.index();" }));
  const { code, stdout, stderr } = await machine.run(
    "sync",
    "runs",
    "--json",
    "--backend",
    "jsonl,./my-backend.mjs",
    "--output",
    "out",
  );
  expect(code).toBe(1);
  expect(stderr).toMatch(/write\(\) of the backend my-backend: TypeError: .*my-backend\.mjs:\d+\)/);
  expect(JSON.parse(stdout)).toMatchObject({ destinations: [{ outcome: "ok" }, { outcome: "failed" }] });
  expect(linesOf(machine, "out/train.jsonl").filter((line) => line.includes('"scalar"'))).toHaveLength(20);
});

test("a watch sends to it, and verify says that it cannot read it", async () => {
  const machine = withPlugin(plugin());
  const { code } = await machine.run("watch", "runs", ...HERE, "--until-idle", "1ms");
  expect([code, linesOf(machine).length]).toEqual([0, 20]);
  for (const more of [[], ["--file", "lines.txt"]]) {
    const { code, stderr } = await machine.run("verify", "runs", ...HERE, ...more);
    const message = "verify cannot read what the plug-in my-backend has written";
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
  }
});
