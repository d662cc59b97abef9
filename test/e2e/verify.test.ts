/** `tracelet verify` after a sync, and after somebody has been at what was sent. */
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openDatabase, type SqlRow, type SqlValue } from "../../src/sqlite.ts";
import { eventFile, scalarEvent } from "../support/event-writer.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import { difference, OLD_PYTHON, tamper } from "./support/python.ts";
import { sync, tracelet } from "./support/tracelet.ts";

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");

interface VerifyJson {
  readonly outcome: string;
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly runs: readonly {
    readonly name: string;
    readonly outcome: string;
    readonly remoteId: string | null;
    readonly error: { readonly code: string } | null;
    readonly differences: readonly object[];
  }[];
}

let workspace: string;
let server: MlflowServer;
let old: MlflowServer;
let count = 0;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-verify-"));
  mkdirSync(path.join(workspace, "old"));
  [server, old] = await Promise.all([
    MlflowServer.start(path.join(workspace, "mlflow.db")),
    MlflowServer.start(path.join(workspace, "old/mlflow.db"), { executable: OLD_PYTHON }),
  ]);
});

afterAll(async () => {
  await server?.stop();
  await old?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

describe.each(["a server", "an old server", "a database"] as const)("through %s", (place) => {
  let folder: string;
  let logdir: string;
  let options: string[];
  let uri: string;
  const database = () => {
    const files = { "a server": "mlflow.db", "an old server": "old/mlflow.db", "a database": "embedded/mlflow.db" };
    return path.join(workspace, files[place]);
  };

  /** An experiment, and a logdir and a state beside it. */
  function begin(): void {
    folder = path.join(workspace, `case ${++count}`);
    logdir = path.join(folder, "runs");
    uri = { "a server": server.uri, "an old server": old.uri, "a database": `sqlite:///${database()}` }[place];
    options = ["--tracking-uri", uri, "--experiment", `case ${count}`, "--give-up-after", "30s"];
  }

  beforeEach(begin);

  const send = (...more: string[]) => sync([logdir, ...options, ...more, "--state-dir", path.join(folder, "state")]);

  async function verify(...more: string[]): Promise<VerifyJson & { code: number | null; stderr: string }> {
    // A home of its own: nothing may be written there.
    const home = mkdtempSync(path.join(folder, "home-"));
    const env = { HOME: home, XDG_STATE_HOME: path.join(home, "state") };
    const { stdout, stderr, code } = await tracelet(["verify", logdir, ...options, "--json", ...more], { env });
    expect(readdirSync(home)).toEqual([]);
    if (stdout === "") throw new Error(`tracelet verify ended with ${code}:\n${stderr}`);
    return { ...(JSON.parse(stdout) as VerifyJson), stderr, code };
  }

  function query(sql: string, ...values: SqlValue[]): SqlRow[] {
    const connection = openDatabase(database(), { busyTimeout: 30_000 });
    try {
      return connection.prepare(sql).all(...values);
    } finally {
      connection.close();
    }
  }

  function change(sql: string, ...values: SqlValue[]): void {
    const connection = openDatabase(database(), { busyTimeout: 30_000 });
    try {
      connection.prepare(sql).run(...values);
    } finally {
      connection.close();
    }
  }

  /** Where MLflow keeps the run's files. */
  function filesOf(runId: string): string {
    const artifactUri = String(query("SELECT artifact_uri FROM runs WHERE run_uuid = ?", runId)[0]?.["artifact_uri"]);
    const served = path.join(path.dirname(database()), "artifacts");
    return artifactUri.replace(/^mlflow-artifacts:/, served);
  }

  // The keys of an old server cannot hold a colon; what a writer wrote makes no difference to it.
  const more = ["tf1", "dtypes", "odd", "tensorboardx", "lightning", "torch-restart"];
  test.each([...(place === "an old server" ? [] : more), "torch", "tf2", "example"])(
    "%s is equal after a sync",
    async (name) => {
      cpSync(path.join(FIXTURES, name, "runs"), logdir, { recursive: true });
      const sent = await send("--restarts", "keep");
      expect(sent.runs.map(({ error }) => error)).toEqual(sent.runs.map(() => null));
      const result = await verify("--restarts", "keep");
      expect(result.runs.flatMap(({ differences }) => differences)).toEqual([]);
      expect([result.code, result.outcome]).toEqual([0, "equal"]);
      const read = Object.values(sent.kinds).reduce((sum, kind) => sum + kind.sent, 0);
      const { points, files, lines } = result.counts;
      expect(points?.["compared"]).toBe(sent.kinds["scalars"]?.sent);
      expect((points?.["compared"] ?? 0) + (files?.["compared"] ?? 0) + (lines?.["compared"] ?? 0)).toBeGreaterThan(
        read / 2,
      );
    },
  );

  test("a logdir that grew between syncs is equal", async () => {
    cpSync(path.join(FIXTURES, "torch/runs"), logdir, { recursive: true });
    const files = readdirSync(logdir, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.name.includes("tfevents"))
      .map((entry) => path.join(entry.parentPath, entry.name));
    const whole = new Map(files.map((file) => [file, readFileSync(file)]));
    for (const part of [0.3, 0.55, 0.8, 1]) {
      for (const [file, bytes] of whole) {
        writeFileSync(file, bytes);
        truncateSync(file, Math.floor(part * bytes.length));
      }
      if (part === 0.8) rmSync(path.join(folder, "state"), { recursive: true });
      await send("--restarts", "keep");
    }
    const result = await verify("--restarts", "keep");
    expect(result.runs.flatMap(({ differences }) => differences)).toEqual([]);
    expect([result.code, result.outcome]).toEqual([0, "equal"]);
    const segments = result.runs.map(({ remoteId }) => {
      const histograms = path.join(filesOf(remoteId ?? ""), "histograms");
      try {
        return readdirSync(histograms).filter((name) => name.endsWith(".jsonl")).length;
      } catch {
        return 0;
      }
    });
    // As many as in one go, whatever it grew in.
    expect(Math.max(...segments)).toBe(1);
  });

  const states = place === "an old server" ? [] : ["kept", "lost"];
  test.each(states)("what a wider choice lets in is sent, and nothing twice; state %s", async (state) => {
    cpSync(path.join(FIXTURES, "torch/runs"), logdir, { recursive: true });
    const widening = [
      ["--only", "scalars", "--exclude-tags", "*a*"],
      ["--exclude-tags", "*a*"],
      ["--max-steps", "2"],
      [],
    ];
    const always = ["--restarts", "keep", "--group", "none"];
    let scalars = 0;
    for (const choice of widening) {
      if (state === "lost") rmSync(path.join(folder, "state"), { recursive: true, force: true });
      const { kinds } = await send(...always, ...choice);
      scalars += kinds["scalars"]?.sent ?? 0;
    }
    const result = await verify(...always);
    expect(result.runs.flatMap(({ differences }) => differences)).toEqual([]);
    const read = await difference(logdir, uri, options[3] as string);
    expect(read).toMatchObject({ lost: 0, doubled: 0, extra: 0 });
    expect(scalars).toBe(read.points);
  });

  describe("something is not as it was sent:", () => {
    const KEPT = ["metrics", "latest_metrics", "params", "tags"];
    let runId: string;
    /** Where all of them begin: it is sent once, and put back after each. */
    let sent: { readonly folder: string; readonly options: string[]; readonly files: string };
    const kept = (name: string) => `${sent.folder} kept/${name}`;

    /** Statements with what was kept of the database at hand as `kept`. */
    function inBoth(...statements: readonly string[]): void {
      const connection = openDatabase(database(), { busyTimeout: 30_000 });
      try {
        connection.prepare("ATTACH ? AS kept").run(kept("rows.db"));
        for (const statement of statements) connection.exec(statement);
      } finally {
        connection.close();
      }
    }

    beforeAll(async () => {
      begin();
      cpSync(path.join(FIXTURES, "torch/runs/media"), path.join(logdir, "media"), { recursive: true });
      cpSync(path.join(FIXTURES, "example/runs/baseline"), path.join(logdir, "media"), { recursive: true });
      await send();
      const before = await verify();
      expect([before.code, before.outcome]).toEqual([0, "equal"]);
      runId = before.runs[0]?.remoteId ?? "";
      sent = { folder, options, files: filesOf(runId) };
      mkdirSync(kept(""));
      cpSync(sent.folder, kept("folder"), { recursive: true });
      cpSync(sent.files, kept("files"), { recursive: true });
      inBoth(
        ...KEPT.map((table) => `CREATE TABLE kept.${table} AS SELECT * FROM main.${table} WHERE run_uuid = '${runId}'`),
      );
    });

    beforeEach(() => {
      ({ folder, options } = sent);
      logdir = path.join(folder, "runs");
    });

    afterEach(() => {
      for (const [place, copy] of [
        [sent.folder, "folder"],
        [sent.files, "files"],
      ] as const) {
        rmSync(place, { recursive: true });
        cpSync(kept(copy), place, { recursive: true });
      }
      inBoth(
        "BEGIN IMMEDIATE",
        ...KEPT.flatMap((table) => [
          `DELETE FROM main.${table} WHERE run_uuid = '${runId}'`,
          `INSERT INTO main.${table} SELECT * FROM kept.${table}`,
        ]),
        `UPDATE main.runs SET lifecycle_stage = 'active', deleted_time = NULL WHERE run_uuid = '${runId}'`,
        "COMMIT",
      );
    });

    afterAll(async () => {
      ({ folder, options } = sent);
      logdir = path.join(folder, "runs");
      expect((await verify()).code).toBe(0);
    });

    /** The only run differs in this alone, and the summary names it. */
    async function expectDifference(difference: object, named: string | RegExp): Promise<void> {
      const result = await verify();
      expect([result.code, result.outcome]).toEqual([1, "different"]);
      expect(result.runs).toHaveLength(1);
      expect(result.runs[0]?.differences).toMatchObject([difference]);
      expect(result.stderr).toMatch(named);
    }

    /** A metric with more than ten points, and its sixth. */
    function aPoint(): { key: string; step: string; timestamp: number; value: number; where: SqlValue[] } {
      const sql = `SELECT key, CAST(step AS TEXT) AS step, timestamp, value FROM metrics WHERE run_uuid = ? AND key =
        (SELECT key FROM metrics WHERE run_uuid = ? GROUP BY key HAVING count(*) > 10 ORDER BY key LIMIT 1)
        ORDER BY metrics.step LIMIT 1 OFFSET 5`;
      const [row] = query(sql, runId, runId);
      const { key, step, timestamp, value } = row as { key: string; step: string; timestamp: number; value: number };
      return { key, step, timestamp, value, where: [runId, key, BigInt(step)] };
    }

    test("a deleted point", async () => {
      const { key, step, timestamp, value, where } = aPoint();
      change("DELETE FROM metrics WHERE run_uuid = ? AND key = ? AND step = ?", ...where);
      const points = [{ source: { step, timestamp, value: String(value) }, there: null }];
      const counts = { missing: 1, extra: 0, different: 0 };
      await expectDifference(
        { what: "points", name: key, ...counts, points },
        `step ${step}: ${value} at ${timestamp} ms`,
      );
    });

    test("a value that is one unit in the last place greater", async () => {
      const { key, step, timestamp, value, where } = aPoint();
      const bits = new BigInt64Array(Float64Array.of(value).buffer);
      bits[0] = (bits[0] as bigint) + 1n;
      const next = new Float64Array(bits.buffer)[0] as number;
      change("UPDATE metrics SET value = ? WHERE run_uuid = ? AND key = ? AND step = ?", next, ...where);
      const points = [{ source: { step, timestamp, value: String(value) }, there: { value: String(next) } }];
      await expectDifference({ what: "points", name: key, different: 1, points }, `${next} at ${timestamp} ms there`);
    });

    test("another timestamp", async () => {
      const { key, step, timestamp, where } = aPoint();
      change("UPDATE metrics SET timestamp = timestamp - 1 WHERE run_uuid = ? AND key = ? AND step = ?", ...where);
      const points = [{ source: { step, timestamp }, there: { step, timestamp: timestamp - 1 } }];
      await expectDifference({ what: "points", name: key, different: 1, points }, `${timestamp - 1} ms there`);
    });

    test("a point too many", async () => {
      const { key } = aPoint();
      await tamper(uri, runId, "point", key);
      const points = [{ source: null, there: { step: "9007199254740993", timestamp: 1700000000123, value: "0.5" } }];
      await expectDifference({ what: "points", name: key, missing: 0, extra: 1, points }, "step 9007199254740993");
    });

    test("an image that is not there", async () => {
      const images = path.join(filesOf(runId), "images");
      const name = readdirSync(images).find((each) => !each.includes("compressed")) as string;
      rmSync(path.join(images, name));
      await expectDifference({ what: "files", name: `images/${name}`, state: "missing" }, "is missing");
    });

    test("a byte that is another", async () => {
      const audio = path.join(filesOf(runId), "audio");
      const name = readdirSync(audio, { recursive: true }).find((each) => String(each).endsWith(".wav")) as string;
      const bytes = readFileSync(path.join(audio, name));
      bytes[bytes.length - 1] = (bytes[bytes.length - 1] as number) ^ 1;
      writeFileSync(path.join(audio, name), bytes);
      await expectDifference(
        { what: "files", name: `audio/${name}`, state: "different" },
        /SHA-256 [0-9a-f]{64} there/,
      );
    });

    test("a file too many", async () => {
      await tamper(uri, runId, "file");
      await expectDifference({ what: "files", name: "notes/more.txt", state: "extra" }, "notes/more.txt");
    });

    test("a param that is another, and one too many", async () => {
      change("UPDATE params SET value = value || '1' WHERE run_uuid = ? AND key = 'batch_size'", runId);
      await expectDifference({ what: "params", name: "batch_size", state: "different" }, 'param "batch_size"');
      change(
        "UPDATE params SET value = substr(value, 1, length(value) - 1) WHERE run_uuid = ? AND key = 'batch_size'",
        runId,
      );
      await tamper(uri, runId, "param");
      await expectDifference(
        { what: "params", name: "by hand", state: "extra", there: "1" },
        'param "by hand" is extra',
      );
    });

    test("a run that was deleted, and one that is not sent yet", async () => {
      await tamper(uri, runId, "delete");
      cpSync(path.join(FIXTURES, "example/runs/lr-0.01"), path.join(logdir, "lr-0.01"), { recursive: true });
      const result = await verify();
      expect(result.code).toBe(1);
      expect(result.runs.map(({ name, outcome, error }) => [name, outcome, error?.code])).toEqual([
        ["lr-0.01/bs-64", "missing", undefined],
        ["media", "failed", "deleted"],
      ]);
      expect(result.stderr).toContain(`its MLflow run ${runId} was deleted`);
      expect(result.stderr).toContain("lr-0.01/bs-64: the run is not there");
    });

    test("the source has gone on", async () => {
      const directory = path.join(logdir, "media");
      const file = path.join(directory, readdirSync(directory).find((name) => name.includes("tfevents")) as string);
      appendFileSync(file, eventFile(scalarEvent("late", 1, 0.5)));
      const result = await verify();
      expect([result.code, result.counts["points"]?.["missing"]]).toEqual([1, 1]);
      expect(result.stderr).toContain("sync with the same options");
      await send();
      expect((await verify()).code).toBe(0);
    });
  });
});
