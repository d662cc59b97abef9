/** What a sync says of itself: every sum adds up, nothing is shown raw, and the exit code tells what it has to. */
import { describe, expect, test } from "vitest";
import { exitCode, printSummary, problemLine, runLine, type SyncReport, toJson } from "../../src/cli/sync-report.ts";
import { TraceletError } from "../../src/errors.ts";
import type { SyncResult } from "../../src/sync/engine/sync-result.ts";
import { Tally } from "../../src/sync/report/tally.ts";
import type { RunResult } from "../../src/sync/run/run-result.ts";
import { UNSAFE } from "./tracelet.ts";

function run(changes: Partial<RunResult> = {}): RunResult {
  const tally = new Tally();
  tally.read("scalars", 1500);
  tally.sent("scalars", 1200);
  tally.failed("scalars", 100);
  tally.skipped("scalars", "obsolete", 150);
  tally.skipped("scalars", "nan", 50);
  tally.read("images", 2);
  tally.skipped("images", "unsupported-kind", 2);
  const nothing = { parts: [], error: undefined, notes: [], problems: [], losses: [], waiting: [] };
  return { name: "train", outcome: "sent", remoteId: "id", tally, ...nothing, ...changes };
}

function report(result: Partial<SyncResult> = {}, changes: Partial<SyncReport> = {}): SyncReport {
  const whole = {
    runs: [run()],
    excludedRuns: 0,
    earlierFiles: 0,
    unmatched: [],
    links: [],
    problems: [],
    error: undefined,
    interrupted: false,
    left: undefined,
    ...result,
  };
  return {
    result: whole,
    dryRun: false,
    elapsedMs: 1234,
    retries: 0,
    location: "http://localhost/#/1",
    runLocation: (id) => `http://localhost/#/1/runs/${id}`,
    howToLook: undefined,
    ...changes,
  };
}

function printed(of: SyncReport, verbose = false): string {
  let text = "";
  printSummary(of, { write: (part) => void (text += part), colour: false }, verbose);
  return text;
}

const loss = { start: 1000, end: 2500, reason: "payload-crc" as const, path: "/runs/train/events" };

describe("the exit code", () => {
  const codeOf = (...changes: Partial<RunResult>[]) => exitCode(report({ runs: changes.map(run) }).result);
  const error = new TraceletError("rejected", "no");

  test.each<[string, number, number]>([
    ["all sent", 0, codeOf({})],
    ["nothing there", 0, codeOf()],
    ["nothing new, or nothing in it", 0, codeOf({ outcome: "unchanged" }, { outcome: "empty" })],
    ["one run failed", 1, codeOf({}, { outcome: "failed", error })],
    ["a file that could not be read", 1, codeOf({ problems: [{ path: "x", code: "EACCES" }] })],
    ["values that were refused", 1, codeOf({ notes: [{ code: "quarantined", message: "x" }] })],
    ["values that were sent otherwise", 0, codeOf({ notes: [{ code: "renamed", message: "x" }] })],
    ["damage", 3, codeOf({ losses: [loss] })],
    ["damage and failure", 1, codeOf({ losses: [loss] }, { outcome: "failed", error })],
    ["an unfinished record", 0, codeOf({ waiting: [{ state: "incomplete", start: 1, end: 2, path: "x" }] })],
    ["a directory that could not be listed", 1, exitCode(report({ problems: [{ path: "x", code: "EACCES" }] }).result)],
    ["an end before all was looked at", 1, exitCode(report({ error }).result)],
  ])("%s: %i", (_, expected, actual) => {
    expect(actual).toBe(expected);
  });

  test("a value that nobody can decode is damage", () => {
    const tally = new Tally();
    tally.read("unreadable", 1);
    expect(codeOf({ tally })).toBe(3);
  });

  test("a value in which there is nothing to decode is none", () => {
    const tally = new Tally();
    tally.read("unreadable", 2);
    tally.skipped("unreadable", "empty", 2);
    expect(codeOf({ tally })).toBe(0);
    tally.read("unreadable", 1);
    expect(codeOf({ tally })).toBe(3);
  });
});

describe("the summary", () => {
  test("values that were refused have a part of their own", () => {
    const notes = [
      { code: "renamed", message: "a is b" },
      { code: "quarantined", message: "see the file" },
    ] as const;
    const text = printed(report({ runs: [run({ notes })] }));
    expect(text).toMatch(/Refused by the destination\n {2}train: see the file\n/);
    expect(text).toMatch(/Notes\n {2}train: a is b\n/);
  });

  test("adds up, with every reason", () => {
    expect(printed(report())).toBe(
      [
        "",
        "          read   sent                                     skipped  failed",
        "images       2      0  2 (not a kind that the destination stores)       0",
        "scalars  1,500  1,200                  200 (150 obsolete, 50 nan)     100",
        "",
        "1 run: 1 sent (1.2 s)",
        "http://localhost/#/1",
        "",
      ].join("\n"),
    );
  });

  test("tells what was derived apart from what was read", () => {
    const tally = new Tally();
    tally.read("scalars", 1000);
    tally.derived("scalars", 70);
    tally.sent("scalars", 1070);
    expect(printed(report({ runs: [run({ tally })] }))).toContain(
      "scalars  1,000 + 70 derived  1,070        0       0",
    );
  });

  test("says what a dry run would do", () => {
    const text = printed(report({}, { dryRun: true, location: undefined }));
    expect(text).toContain("to send");
    expect(text).toContain("1 run: 1 to send");
    expect(text).not.toMatch(/\bsent\b/);
  });

  test("names what failed, what could not be read, what was damaged, and what to do", () => {
    const error = new TraceletError("rejected", "the server said no", { hint: "say please" });
    const text = printed(
      report(
        {
          runs: [
            run({ outcome: "failed", error }),
            run({ losses: [loss], waiting: [{ state: "zeros", start: 5, end: 9, path: "/z" }] }),
            run({ problems: [{ path: "/a", code: "EACCES" }], notes: [{ code: "renamed", message: "tag x is y" }] }),
          ],
          excludedRuns: 2,
        },
        { retries: 3 },
      ),
    );
    for (const line of [
      "Failed\n  train: the server said no; say please\n",
      "Could not be read\n  /a: permission denied\n",
      "Corrupt records skipped\n  /runs/train/events: 1.5 kB at 1000 (payload-crc)\n",
      "  /z: 4 B at 5 (zeros)\n",
      "Notes\n  train: tag x is y\n",
      "3 runs: 1 failed, 2 sent, 2 excluded (1.2 s, 3 requests sent again)\n",
    ]) {
      expect(text).toContain(line);
    }
  });

  test("says an error that ended all once only", () => {
    const error = new TraceletError("auth", "401", { hint: "log in" });
    const text = printed(
      report({ runs: [run({ outcome: "failed", error }), run({ outcome: "failed", error })], error }),
    );
    expect(text.match(/401; log in/g)).toHaveLength(1);
  });

  test("stays short, unless all is asked for", () => {
    const losses = Array.from({ length: 25 }, () => loss);
    expect(printed(report({ runs: [run({ losses })] }))).toContain("  … and 15 more (-v shows all)\n");
    expect(printed(report({ runs: [run({ losses })] }), true).match(/payload-crc/g)).toHaveLength(25);
  });

  test("says that it was interrupted and will go on, and when there was nothing to do", () => {
    const left = { runs: 3, bytes: 12_400_000 };
    const interrupted = printed(report({ interrupted: true, left }));
    expect(interrupted).toContain("not sent yet: 3 runs, 12.4 MB of event files");
    expect(printed(report({ interrupted: true, left: { runs: 2, bytes: 0 } }))).toContain("not finished yet: 2 runs");
    expect(interrupted).toContain("interrupted; run the same command to resume");
    expect(printed(report({ runs: [] }))).toContain("0 runs: nothing to do");
    const error = new TraceletError("auth", "no");
    const refused = printed(report({ runs: [], error, left: { runs: 2, bytes: 0 } }));
    expect(refused).toContain("not checked: 2 runs\n0 runs: nothing was sent");
  });

  test("shows nothing raw", () => {
    const evil = "x\u001b]52;c;AAAA\u0007\n\u202e\u009b31m";
    const error = new TraceletError("rejected", evil, { hint: evil });
    const of = report(
      {
        runs: [
          run({
            name: evil,
            outcome: "failed",
            error,
            losses: [{ ...loss, path: evil }],
            notes: [{ code: "cut", message: evil }],
          }),
        ],
        problems: [{ path: evil, code: evil }],
        error: new TraceletError("auth", evil),
      },
      { location: evil },
    );
    expect(printed(of, true).replaceAll("\n", "")).not.toMatch(UNSAFE);
  });
});

test("the object for machines holds all of it", () => {
  const error = new TraceletError("rejected", "no", { hint: "hint" });
  const json = JSON.parse(
    JSON.stringify(toJson(report({ runs: [run({ outcome: "failed", error, losses: [loss] })] }))),
  ) as object;
  expect(json).toEqual({
    outcome: "failed",
    dryRun: false,
    left: null,
    location: "http://localhost/#/1",
    elapsedMs: 1234,
    retries: 0,
    excludedRuns: 0,
    earlierFiles: 0,
    unmatched: [],
    links: [],
    error: null,
    kinds: expect.objectContaining({
      scalars: { read: 1500, sent: 1200, derived: 0, failed: 100, skipped: { obsolete: 150, nan: 50 } },
    }) as unknown,
    problems: [],
    runs: [
      expect.objectContaining({
        name: "train",
        outcome: "failed",
        remoteId: "id",
        location: "http://localhost/#/1/runs/id",
        error: { code: "rejected", message: "no", hint: "hint" },
        damage: [loss],
      }) as unknown,
    ],
  });
  const outcome = (result: Partial<SyncResult>) => (toJson(report(result)) as { outcome: string }).outcome;
  expect([outcome({}), outcome({ runs: [run({ losses: [loss] })] }), outcome({ interrupted: true })]).toEqual([
    "ok",
    "damage",
    "interrupted",
  ]);
});

test("the line of a run", () => {
  expect(runLine(run())).toBe("train: 1,200 values");
  expect(runLine(run({ outcome: "empty" }))).toBe("train: empty");
});

test("a file that could not be read: its code in words, or what the code means", () => {
  const lines = [
    { code: "EACCES", kind: "refused" },
    { code: "404", kind: "gone" },
    { code: "503", kind: "again" },
    { code: "EXTRA", kind: undefined },
  ] as const;
  expect(lines.map((problem) => problemLine({ path: "/a", ...problem }))).toEqual([
    "/a: permission denied",
    "/a: deleted while it was being read (404)",
    "/a: could not be read this time (503)",
    "/a: EXTRA",
  ]);
});
