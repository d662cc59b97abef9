/** Which runs are in a logdir; every logdir here is a real one. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileSource, SmallFile } from "../../src/reader/byte-source.ts";
import { type Discovery, discover, displayPath, isEventFileName } from "../../src/reader/discover.ts";
import { localFile } from "../support/local-file.ts";

const EVENTS = "events.out.tfevents.1700000000.host";

let logdir: string;

beforeEach(() => {
  logdir = mkdtempSync(path.join(tmpdir(), "tracelet-discover-"));
  chmodSync(logdir, 0o755);
});

afterEach(() => rmSync(logdir, { recursive: true, force: true }));

/** Write a file and the directories it lies in. */
function touch(name: string, content = ""): string {
  const file = path.join(logdir, name);
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, content);
  return file;
}

/** In an order that no file system takes for sorted, neither forwards nor backwards. */
function shuffled(names: readonly string[]): string[] {
  return [...names.filter((_, i) => i % 2), ...names.filter((_, i) => i % 2 === 0)];
}

const byPath = (a: { readonly path: string }, b: { readonly path: string }) => (a.path < b.path ? -1 : 1);

/** Runs with the names of their files, as one line each. */
function runsOf({ runs }: Discovery): string[] {
  return runs.map(({ name, files }) => `${name}: ${files.map((file) => file.name).join(" ")}`);
}

describe("runs", () => {
  test("are the directories that hold event files, named by their path; the logdir itself is `.`", () => {
    for (const name of [EVENTS, `train/${EVENTS}`, `a/b/c/${EVENTS}`, "empty/notes.txt"]) touch(name);
    const found = discover(logdir);
    expect(runsOf(found)).toEqual([`.: ${EVENTS}`, `a/b/c: ${EVENTS}`, `train: ${EVENTS}`]);
    expect(found.problems).toEqual([]);
    expect(found.runs[1]).toMatchObject({ directory: path.join(logdir, "a/b/c"), logdir, hparamsFile: undefined });
  });

  test("are none where there are no event files", () => {
    touch("a/notes.txt");
    expect(discover(logdir)).toMatchObject({ runs: [], problems: [] });
  });

  test("in hidden directories count", () => {
    touch(`.hidden/.more/${EVENTS}`);
    expect(runsOf(discover(logdir))).toEqual([`.hidden/.more: ${EVENTS}`]);
  });

  test("below a directory that is a run", () => {
    for (const name of [`trial/${EVENTS}`, `trial/train/${EVENTS}`, `trial/validation/${EVENTS}`]) touch(name);
    expect(discover(logdir).runs.map(({ name }) => name)).toEqual(["trial", "trial/train", "trial/validation"]);
  });

  test("are ordered by the bytes of their names, as TensorBoard orders them", () => {
    // JavaScript would put the astral character, which is two surrogates, before U+FF5E.
    const names = ["A", "B", "a", "a-b", "a/b", "é", "\uFF5E", "\u{1F600}"];
    for (const name of shuffled(names)) touch(`${name}/${EVENTS}`);
    expect(discover(logdir).runs.map(({ name }) => name)).toEqual(names);
  });

  test("of a logdir given with a trailing slash, or relative to the working directory", () => {
    touch(`run/${EVENTS}`);
    const expected = discover(logdir);
    expect(discover(`${logdir}/`)).toEqual(expected);
    expect(discover(path.relative(process.cwd(), logdir))).toEqual(expected);
  });

  test("of a logdir that is a symlink", () => {
    touch(`run/${EVENTS}`);
    symlinkSync(logdir, path.join(logdir, "link to the logdir"));
    expect(discover(path.join(logdir, "link to the logdir")).runs.map(({ name }) => name)).toEqual(["run"]);
  });
});

describe("files", () => {
  test("are told by their names", () => {
    const yes = [
      "events.out.tfevents.1.host",
      "x.tfevents",
      ".tfevents",
      "tfevents",
      "a tfevents.gz",
      "tfevents~",
      EVENTS,
    ];
    const no = ["events.out.TFEVENTS.1", "events.out", "tfevent", `${EVENTS}.profile-empty`, ".profile-empty", ""];
    expect([...yes, ...no].filter(isEventFileName)).toEqual(yes);
  });

  test("that a profiler leaves empty make no run", () => {
    touch(`plugins/${EVENTS}.profile-empty`);
    touch(`train/${EVENTS}.profile-empty`);
    touch(`train/${EVENTS}`);
    expect(runsOf(discover(logdir))).toEqual([`train: ${EVENTS}`]);
  });

  test("are read in the order of their names' bytes: numbers are no numbers", () => {
    const names = [
      "events.out.tfevents.1700000001.a",
      "events.out.tfevents.1700000001.a.v2",
      "events.out.tfevents.1700000001.b",
      "events.out.tfevents.999999999.a",
      "events.out.tfevents.\uFF5E",
      "events.out.tfevents.\u{1F600}",
    ];
    for (const name of shuffled(names)) touch(name);
    expect(discover(logdir).runs[0]?.files.map(({ name }) => name)).toEqual(names);
  });

  test("come with what their file system says of them", () => {
    const file = touch(`run/${EVENTS}`, "12345");
    utimesSync(file, 1_700_000_000, 1_700_000_000.5);
    const { ino } = statSync(file, { bigint: true });
    expect(discover(logdir).runs[0]?.files).toEqual([
      { ...localFile(file), name: EVENTS, size: 5, mtime: 1_700_000_000_500_000_000n, token: ino },
    ]);
  });

  test("that are symlinks count as what they lead to", () => {
    const target = touch("elsewhere/data", "123");
    mkdirSync(path.join(logdir, "run"));
    symlinkSync(target, path.join(logdir, "run", EVENTS));
    const found = discover(logdir);
    expect(runsOf(found)).toEqual([`run: ${EVENTS}`]);
    expect(found.runs[0]?.files[0]?.size).toBe(3);
  });

  test("that are symlinks to what lies outside the logdir are a problem, whatever else is there", () => {
    const secret = touch("secret/key.pem", "PRIVATE");
    const logs = path.join(logdir, "logs");
    for (const run of ["a", "b", "secret-too"]) touch(`logs/${run}/${EVENTS}`, "1");
    // One that only begins like the logdir.
    touch("logs-2/data", "2");
    const links = ["a/hparams.yaml", `b/${EVENTS}.2`, "b/projector_config.pbtxt", `c/${EVENTS}`];
    mkdirSync(path.join(logs, "c"));
    for (const link of links) symlinkSync(secret, path.join(logs, link));
    symlinkSync("../logs-2/data", path.join(logs, "x.tfevents"));
    const found = discover(logs);
    expect(runsOf(found)).toEqual([`a: ${EVENTS}`, `b: ${EVENTS}`, `secret-too: ${EVENTS}`]);
    for (const { hparamsFile, projectorFile } of found.runs)
      expect([hparamsFile, projectorFile]).toEqual([undefined, undefined]);
    const problems = ["x.tfevents", ...links].map((link) => ({ path: path.join(logs, link), code: "OUTSIDE" }));
    expect(found.problems.toSorted(byPath)).toEqual(problems.toSorted(byPath));
  });

  test("that are symlinks within a directory that was reached by one count", () => {
    touch("elsewhere/run/blobs/data", "123");
    symlinkSync("blobs/data", path.join(logdir, "elsewhere/run", EVENTS));
    mkdirSync(path.join(logdir, "logs"));
    symlinkSync("../elsewhere/run", path.join(logdir, "logs/latest"));
    const found = discover(path.join(logdir, "logs"));
    expect([runsOf(found), found.problems]).toEqual([[`latest: ${EVENTS}`], []]);
  });

  test("that became a symlink since they were found are not opened", async () => {
    const secret = touch("secret", "PRIVATE");
    const file = touch(`logs/run/${EVENTS}`, "1");
    const [run] = discover(path.join(logdir, "logs")).runs;
    rmSync(file);
    symlinkSync(secret, file);
    const found = run?.files[0]?.path ?? "";
    await expect(FileSource.open(found)).rejects.toMatchObject({ code: "ELOOP" });
    expect(() => new SmallFile(found, 1)).toThrow(expect.objectContaining({ code: "ELOOP" }));
  });

  test("a single one as the logdir is the run `.`", () => {
    const file = touch(`some/run/${EVENTS}`, "1234");
    touch(`some/run/${EVENTS}.2`);
    touch("some/run/hparams.yaml");
    const found = discover(file);
    expect(runsOf(found)).toEqual([`.: ${EVENTS}`]);
    expect(found.runs[0]).toMatchObject({ logdir: path.dirname(file), hparamsFile: undefined });
    expect(found.runs[0]?.files[0]).toMatchObject({ path: file, size: 4 });
  });

  test.each([
    ["hparams.yaml", "hparamsFile"],
    ["projector_config.pbtxt", "projectorFile"],
  ] as const)("%s beside event files is found; alone it makes no run", (beside, property) => {
    touch(`version_0/${EVENTS}`);
    const file = touch(`version_0/${beside}`, "12345\n");
    touch(`version_1/${beside}`);
    touch(`version_2/${EVENTS}`);
    touch(`version_2/my ${beside}`);
    mkdirSync(path.join(logdir, `version_2/${beside}`));
    const { runs } = discover(logdir);
    expect(runs.map((run) => [run.name, run[property]?.path])).toEqual([
      ["version_0", file],
      ["version_2", undefined],
    ]);
    expect(runs[0]?.[property]).toMatchObject({ name: beside, size: 6 });
  });
});

describe("what is neither a directory nor a file", () => {
  test("a directory named like an event file is a directory", () => {
    touch(`logs.tfevents/${EVENTS}`);
    mkdirSync(path.join(logdir, "empty.tfevents"));
    expect(runsOf(discover(logdir))).toEqual([`logs.tfevents: ${EVENTS}`]);
  });

  test("a FIFO named like an event file is never opened", async () => {
    touch(`run/${EVENTS}`);
    for (const name of [`run/${EVENTS}.fifo`, "run/hparams.yaml", `fifo.tfevents`]) {
      execFileSync("mkfifo", [path.join(logdir, name)]);
    }
    const found = discover(logdir);
    expect(runsOf(found)).toEqual([`run: ${EVENTS}`]);
    expect(found.runs[0]?.hparamsFile).toBeUndefined();
    // Not even if it takes the place of a file that was found.
    await expect(FileSource.open(path.join(logdir, "fifo.tfevents"))).rejects.toMatchObject({ code: "EINVAL" });
    expect(() => discover(path.join(logdir, "fifo.tfevents"))).toThrow(expect.objectContaining({ code: "ENOTDIR" }));
  });

  test("a socket named like an event file, and a link to a device", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(path.join(logdir, "socket.tfevents"), resolve));
    symlinkSync("/dev/zero", path.join(logdir, "zero.tfevents"));
    touch(`run/${EVENTS}`);
    symlinkSync("/dev/zero", path.join(logdir, "run/hparams.yaml"));
    const found = discover(logdir);
    await new Promise((resolve) => void server.close(resolve));
    expect(runsOf(found)).toEqual([`run: ${EVENTS}`]);
    expect(found.runs[0]?.hparamsFile).toBeUndefined();
    expect(found.problems).toEqual([]);
  });
});

describe("symlinks", () => {
  test("to a directory are followed", () => {
    touch(`real/run/${EVENTS}`);
    mkdirSync(path.join(logdir, "logs"));
    symlinkSync(path.join(logdir, "real"), path.join(logdir, "logs/link"));
    const found = discover(path.join(logdir, "logs"));
    expect(runsOf(found)).toEqual([`link/run: ${EVENTS}`]);
  });

  test("that lead back end there, and show no run twice", () => {
    touch(`a/b/${EVENTS}`);
    for (const [target, name] of [
      [".", "self"],
      ["..", "a/up"],
      ["../../a", "a/b/again"],
      [logdir, "a/b/logdir"],
    ] as const) {
      symlinkSync(target, path.join(logdir, name));
    }
    const found = discover(logdir);
    expect(runsOf(found)).toEqual([`a/b: ${EVENTS}`]);
    expect(found.problems).toEqual([]);
  });

  test("that lead into each other end", () => {
    touch(`a/${EVENTS}`);
    touch(`b/${EVENTS}`);
    symlinkSync("../b", path.join(logdir, "a/b"));
    symlinkSync("../a", path.join(logdir, "b/a"));
    expect(discover(logdir).runs.map(({ name }) => name)).toEqual(["a", "a/b", "b", "b/a"]);
  });

  test("that lead nowhere are no problem", () => {
    touch(`run/${EVENTS}`);
    symlinkSync("/nowhere/at all", path.join(logdir, "run/gone"));
    symlinkSync("gone", path.join(logdir, `run/${EVENTS}.2`));
    const found = discover(logdir);
    expect(runsOf(found)).toEqual([`run: ${EVENTS}`]);
    expect(found.problems).toEqual([]);
  });

  test("that lead to themselves are a problem of their own", () => {
    touch(`run/${EVENTS}`);
    symlinkSync("loop", path.join(logdir, "loop"));
    const found = discover(logdir);
    expect(runsOf(found)).toEqual([`run: ${EVENTS}`]);
    expect(found.problems).toEqual([{ path: path.join(logdir, "loop"), code: "ELOOP" }]);
  });
});

describe("names that are not UTF-8", () => {
  test("are read by their bytes and shown escaped", async () => {
    const directory = Buffer.concat([Buffer.from(`${logdir}/caf`), Buffer.from([0xe9, 0xff]), Buffer.from("é")]);
    const file = Buffer.concat([directory, Buffer.from(`/${EVENTS}.`), Buffer.from([0x80])]);
    mkdirSync(directory);
    writeFileSync(file, "123");
    touch(`plain/${EVENTS}`);
    const found = discover(logdir);
    expect(runsOf(found)).toEqual([`caf\\xe9\\xffé: ${EVENTS}.\\x80`, `plain: ${EVENTS}`]);
    const [run] = found.runs;
    expect(run?.directory).toEqual(directory);
    expect(run?.files[0]).toMatchObject({ path: file, size: 3 });
    expect(displayPath(run?.files[0]?.path ?? "")).toBe(`${logdir}/caf\\xe9\\xffé/${EVENTS}.\\x80`);

    const source = await FileSource.open(run?.files[0]?.path ?? "");
    const bytes = Buffer.alloc(10);
    expect(await source.read(bytes, 0, 10, 0)).toBe(3);
    await source.close();
    expect(bytes.toString("latin1", 0, 3)).toBe("123");
  });

  test("a run below one, whose own name is UTF-8", () => {
    const directory = Buffer.concat([Buffer.from(`${logdir}/`), Buffer.from([0xc3]), Buffer.from("/run")]);
    mkdirSync(directory, { recursive: true });
    writeFileSync(Buffer.concat([directory, Buffer.from(`/${EVENTS}`)]), "");
    expect(runsOf(discover(logdir))).toEqual([`\\xc3/run: ${EVENTS}`]);
  });
});

describe("what cannot be read", () => {
  test("a logdir that does not exist, or is below a file, throws", () => {
    const file = touch("file");
    expect(() => discover(path.join(logdir, "missing"))).toThrow(expect.objectContaining({ code: "ENOENT" }));
    expect(() => discover(path.join(file, "below"))).toThrow(expect.objectContaining({ code: "ENOTDIR" }));
  });

  test("a directory that may not be read is a problem, and the others are found", () => {
    touch(`closed/deep/${EVENTS}`);
    touch(`open/${EVENTS}`);
    const closed = path.join(logdir, "closed");
    chmodSync(closed, 0);
    try {
      const found = asNobody(() => discover(logdir));
      expect(runsOf(found)).toEqual([`open: ${EVENTS}`]);
      expect(found.problems).toEqual([{ path: closed, code: "EACCES" }]);
      expect(() => asNobody(() => discover(closed))).toThrow(expect.objectContaining({ code: "EACCES" }));
    } finally {
      chmodSync(closed, 0o755);
    }
  });

  test("directories nested too deep for a path are a problem, not a crash", () => {
    touch(`run/${EVENTS}`);
    // No system call takes a path that long, so it is made of two halves.
    const half = Array.from({ length: 15 }, () => "d".repeat(200)).join("/");
    for (const name of ["upper", "lower"]) mkdirSync(path.join(logdir, name, half), { recursive: true });
    renameSync(path.join(logdir, "lower"), path.join(logdir, "upper", half, "lower"));
    try {
      const found = discover(logdir);
      expect(runsOf(found)).toEqual([`run: ${EVENTS}`]);
      expect(found.problems.map(({ code }) => code)).toEqual(["ENAMETOOLONG"]);
    } finally {
      execFileSync("rm", ["-rf", path.join(logdir, "upper")]);
    }
  });
});

/** Root may read everything, so it steps down for a moment. */
function asNobody<T>(act: () => T): T {
  if (process.geteuid?.() !== 0) return act();
  process.seteuid?.(65534);
  try {
    return act();
  } finally {
    process.seteuid?.(0);
  }
}
