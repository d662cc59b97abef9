/** How a command ends at several destinations: the exit code is the worst, and each is told apart. */
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type DestinationEnd, type Reporting, reportEnds } from "../../src/cli/destination-ends.ts";
import { asTraceletError, TraceletError } from "../../src/errors.ts";
import { EVIL, expectHarmless } from "./tracelet.ts";

interface Report {
  readonly code: number;
  readonly outcome: string;
}

const OK: Report = { code: 0, outcome: "ok" };
const DAMAGE: Report = { code: 3, outcome: "damage" };
const FAILED: Report = { code: 1, outcome: "failed" };
const USAGE = new TraceletError("usage", "not like this", { hint: "otherwise" });

function reported(ends: readonly DestinationEnd<Report>["end"][], how: { quiet?: boolean; json?: boolean } = {}) {
  let text = "";
  let json = "";
  const output = { write: (more: string) => void (text += more), colour: false };
  const reporting: Reporting<Report> = {
    codeOf: ({ code }) => code,
    print: ({ outcome }) => output.write(`report: ${outcome}\n`),
    toJson: ({ outcome }) => ({ outcome, of: "it" }),
    outcomeOf: ({ outcome }) => outcome,
  };
  const stdout = vi.spyOn(process.stdout, "write").mockImplementation((more) => {
    json += String(more);
    return true;
  });
  onTestFinished(() => stdout.mockRestore());
  const named = ends.map((end, i) => ({ name: `b${i}`, key: i === 0 ? undefined : `b${i} ${EVIL}`, end }));
  const code = reportEnds(named, reporting, output, { quiet: false, json: false, debug: false, ...how });
  stdout.mockRestore();
  return { code, text, json: json === "" ? undefined : (JSON.parse(json) as Record<string, unknown>) };
}

describe("the exit code is that of the worst", () => {
  test.each<[number, string, readonly DestinationEnd<Report>["end"][]]>([
    [0, "ok", [OK, OK]],
    [3, "damage", [OK, DAMAGE]],
    [1, "failed", [DAMAGE, FAILED, OK]],
    [1, "failed", [OK, new TraceletError("unreachable", "away")]],
    [1, "failed", [OK, asTraceletError(new RangeError("oh no"))]],
    [2, "failed", [FAILED, USAGE]],
    [1, "interrupted", [OK, { code: 1, outcome: "interrupted" }, FAILED]],
    [1, "interrupted", [OK, new TraceletError("interrupted", "interrupted")]],
  ])("%i, %s", (code, outcome, ends) => {
    const result = reported(ends, { json: true });
    expect([result.code, result.json?.["outcome"]]).toEqual([code, outcome]);
  });
});

test("each has its block, and the last line tells all", () => {
  const { text } = reported([OK, USAGE]);
  expectHarmless(text);
  expect(text.split("\n").filter((line) => line !== "")).toEqual([
    "b0",
    "report: ok",
    expect.stringMatching(/^b1 a\\u001b/),
    "error: not like this",
    "  otherwise",
    "2 destinations: b0 ok, b1 failed",
  ]);
});

test("quiet: the blocks of what went wrong alone", () => {
  expect(reported([OK, OK], { quiet: true }).text).toBe("");
  const { text } = reported([OK, FAILED], { quiet: true });
  expect(text).not.toContain("report: ok");
  expect(text).toContain("report: failed\n\n2 destinations: b0 ok, b1 failed\n");
});

test("a single one is reported as ever, without a heading", () => {
  const { text, json } = reported([DAMAGE], { json: true });
  expect([text, json]).toEqual(["report: damage\n", { outcome: "damage", of: "it" }]);
});

test("an object each, as it would be alone", () => {
  expect(reported([DAMAGE, USAGE], { json: true }).json).toEqual({
    outcome: "failed",
    destinations: [
      { backend: "b0", destination: null, outcome: "damage", of: "it" },
      {
        ...{ backend: "b1", destination: `b1 ${EVIL}`, outcome: "failed" },
        error: { code: "usage", message: "not like this", hint: "otherwise" },
      },
    ],
  });
});
