/** What a verification found: the summary for people, the object for machines, and the exit code. */
import type { Difference, Point, PointDifference, What } from "../verify/findings.ts";
import type { VerifiedRun, VerifyResult } from "../verify/result.ts";
import { errorJson, errorText, linkLines, lossLine, problemLine } from "./sync-report.ts";
import { count, duration, type Output, oneLine, paint, plural, table } from "./terminal.ts";

export interface VerifyReport {
  readonly result: VerifyResult;
  readonly elapsedMs: number;
  /** As `--backend` calls it. */
  readonly backend: string;
}

/** 0: all that the source has is there, and nothing else. 1: it is not, or something could not be read. */
export function exitCode({ runs, problems, error, interrupted }: VerifyResult): number {
  const same = runs.every((run) => SAME.has(run.outcome) && run.problems.length === 0);
  return same && problems.length === 0 && error === undefined && !interrupted ? 0 : 1;
}

const SAME: ReadonlySet<VerifiedRun["outcome"]> = new Set(["equal", "empty", "copy"]);

/** How many lines of one kind are shown before the rest is only counted. */
const SHOWN = 20;
/** Longest value shown; params and names may be thousands of characters. */
const MAX_SHOWN = 120;

export function printVerified({ result, elapsedMs, backend }: VerifyReport, output: Output): void {
  const { runs } = result;
  const list = (title: string, colour: "red" | "yellow" | "dim", lines: readonly string[]) => {
    if (lines.length === 0) return;
    output.write(`${paint(output, colour, title)}\n`);
    for (const line of lines.slice(0, SHOWN)) output.write(`  ${oneLine(line)}\n`);
    if (lines.length > SHOWN) output.write(`  … and ${count(lines.length - SHOWN)} more (--json names more)\n`);
  };
  const rows = countRows(runs);
  if (rows.length > 1) output.write(`\n${table(rows)}\n`);
  const unknown = runs.filter(({ outcome }) => outcome === "failed").length;
  if (rows.length > 1 && unknown > 0)
    output.write(`${paint(output, "red", `incomplete: ${plural(unknown, "run")} could not be compared`)}\n`);
  list(
    "Not the same",
    "red",
    runs.flatMap((run) => differenceLines(run, WORDS[backend] ?? FILE_WORDS)),
  );
  const failed = runs.flatMap(({ name, error }) => (error === undefined ? [] : [`${name}: ${errorText(error)}`]));
  list("Could not be compared", "red", failed);
  list("Could not be read", "red", [...result.problems, ...runs.flatMap((run) => run.problems)].map(problemLine));
  list("Corrupt records in the source, skipped", "yellow", runs.flatMap((run) => run.losses).map(lossLine));
  list("Notes", "dim", [...(result.notes ?? []), ...linkLines(result.links)]);
  list("Sent under an earlier choice, and no difference", "dim", runs.flatMap(earlierLine));
  const obstacles = runs.flatMap(({ obstacle }) => (obstacle === undefined ? [] : [obstacle.message]));
  list("Files were not compared", "yellow", [...new Set(obstacles)]);
  output.write(`${headline(result)} (${duration(elapsedMs)})\n`);
  const gone = runs.filter(({ outcome }) => outcome === "missing");
  const isIncomplete = runs.some((run) => !gone.includes(run) && run.findings.counts.points.missing > 0);
  const send = oneLine(result.upload ?? "sync with the same options");
  if (gone.length > 0 || isIncomplete)
    output.write(`What is missing may not have been sent yet: ${send}, then verify again.\n`);
  const ofGone = RESTORING[backend];
  if (gone.length > 0 && ofGone !== undefined) output.write(`A run that was deleted there: ${ofGone}.\n`);
  if (isIncomplete || (gone.length > 0 && ofGone === undefined))
    output.write(`If it is still missing, ${REMEDIES[backend] ?? "remove the run's files, and sync again"}.\n`);
  if (result.location !== undefined) output.write(`${oneLine(result.location)}\n`);
}

/** The one object of `--json`. Steps and values are text, exact. */
export function toJson({ result, elapsedMs }: VerifyReport): object {
  return {
    outcome: outcomeOf(result),
    location: result.location ?? null,
    elapsedMs: Math.round(elapsedMs),
    excludedRuns: result.excludedRuns,
    runsNotCompared: result.left?.runs ?? 0,
    error: errorJson(result.error),
    counts: totals(result.runs),
    ...(result.notes !== undefined && { notes: result.notes }),
    problems: result.problems,
    runs: result.runs.map((run) => ({
      name: run.name,
      outcome: run.outcome,
      remoteId: run.remoteId ?? null,
      error: errorJson(run.error),
      filesNotCompared: errorJson(run.obstacle),
      counts: run.findings.counts,
      differences: run.findings.differences.map(differenceJson),
      problems: run.problems,
      damage: run.losses,
    })),
  };
}

/** In a word: `equal`, `different`, `failed` or `interrupted`. */
export function outcomeOf(result: VerifyResult): string {
  if (result.interrupted) return "interrupted";
  if (exitCode(result) === 0) return "equal";
  const differs = result.runs.some(({ outcome }) => outcome === "different" || outcome === "missing");
  return differs ? "different" : "failed";
}

const STATES = ["compared", "missing", "extra", "different", "doubled", "earlier"] as const;

function totals(runs: readonly VerifiedRun[]): VerifiedRun["findings"]["counts"] {
  const none = () => ({ compared: 0, missing: 0, extra: 0, different: 0, doubled: 0, earlier: 0 });
  const total = { runs: none(), points: none(), params: none(), tags: none(), files: none(), lines: none() };
  for (const { findings } of runs) {
    for (const [what, counts] of Object.entries(findings.counts) as [What, ReturnType<typeof none>][]) {
      for (const state of STATES) total[what][state] += counts[state];
    }
  }
  return total;
}

function countRows(runs: readonly VerifiedRun[]): string[][] {
  const rows = Object.entries(totals(runs)).filter(([, counts]) => Object.values(counts).some((n) => n > 0));
  const columns = (["missing", "extra", "different", "doubled"] as const).filter(
    // Most destinations have no way to keep a value twice.
    (state) => state !== "doubled" || rows.some(([, counts]) => counts.doubled > 0),
  );
  const body = rows.map(([what, counts]) => [
    what,
    ...["compared" as const, ...columns].map((of) => count(counts[of])),
  ]);
  return [["", "in the source", ...columns], ...body];
}

function headline({ runs, interrupted, left, error }: VerifyResult): string {
  const outcomes = new Map<string, number>();
  for (const run of runs) outcomes.set(run.outcome, (outcomes.get(run.outcome) ?? 0) + 1);
  const parts = [...outcomes].map(([outcome, n]) => `${count(n)} ${outcome}`).join(", ") || "nothing to compare";
  const incomplete = interrupted ? "interrupted, so this is incomplete: " : error === undefined ? "" : "incomplete: ";
  const rest = left === undefined ? "" : `; ${plural(left.runs, "run")} not compared`;
  return `${plural(runs.length, "run")}: ${incomplete}${parts}${rest}`;
}

function differenceLines({ name: run, findings, outcome }: VerifiedRun, words: Words): string[] {
  // What a run that is not there lacks is in the table.
  if (outcome === "missing") return [`${run}: the run is not there`];
  return findings.differences.flatMap((difference) =>
    describe(difference, words).map((line, i) => (i === 0 ? `${run}: ${line}` : `  ${line}`)),
  );
}

/** What is there of a run that the choice in force would not send. */
function earlierLine({ name, findings }: VerifiedRun): string[] {
  const parts = Object.entries(findings.counts).flatMap(([what, { earlier }]) =>
    earlier > 0 ? [plural(earlier, what.replace(/s$/, ""))] : [],
  );
  return parts.length === 0 ? [] : [`${name}: ${parts.join(", ")}`];
}

/** The first line names what it is, further ones its points. */
function describe(difference: Difference, words: Words): string[] {
  const { name } = difference;
  if ("points" in difference) {
    const counts = (["missing", "extra", "different", "doubled"] as const)
      .filter((state) => difference[state] > 0)
      .map((state) => `${count(difference[state])} ${state}`);
    return [`${words[difference.what](name)}: ${counts.join(", ")}`, ...difference.points.map(pointLine)];
  }
  const { what, state, source, there } = difference;
  const subject = what === "runs" ? name : `${SUBJECTS[what]} ${quoted(name)}`;
  const detail = state === "different" ? `: ${cut(source ?? "")} in the source, ${cut(there ?? "")} there` : "";
  return [`${subject} is ${state}${detail}`];
}

/** What a series of points, or of lines, is called at a destination. */
type Words = Readonly<Record<"points" | "lines", (name: string) => string>>;

const FILE_WORDS: Words = { points: (name) => `tag ${quoted(name)}`, lines: (name) => cut(name) };
const WORDS: Readonly<Record<string, Words>> = {
  mlflow: { points: (name) => `metric ${quoted(name)}`, lines: (name) => `lines of ${name}/*.jsonl` },
  wandb: { points: (name) => `metric ${quoted(name)}`, lines: (name) => `values of ${quoted(name)}` },
};

const REMEDIES: Readonly<Record<string, string>> = {
  mlflow: "delete the run in MLflow, and sync again with --resend-deleted",
  wandb: "delete the run in W&B, and sync again with --resend-deleted",
};

const RESTORING: Readonly<Record<string, string>> = {
  mlflow: "restore it in MLflow, or send it as a new run with --resend-deleted",
  wandb: "restore it in W&B (Undelete recently deleted runs), or send it as a new run with --resend-deleted",
};

const SUBJECTS = { params: "param", tags: "run tag", files: "file" } as const;

function pointLine({ source, there }: PointDifference): string {
  const { step } = (source ?? there) as Point;
  if (there === undefined) return `step ${step}: ${pointText(source as Point)} is missing`;
  if (source === undefined) return `step ${step}: ${pointText(there)} is extra`;
  return `step ${step}: ${pointText(source)} in the source, ${pointText(there)} there`;
}

function pointText({ value, timestamp, wallTime }: Point): string {
  return `${Object.is(value, -0) ? "-0" : value} at ${wallTime === undefined ? `${timestamp} ms` : `${wallTime} s`}`;
}

function differenceJson(difference: Difference): object {
  if (!("points" in difference)) return difference;
  const points = difference.points.map(({ source, there }) => ({ source: pointJson(source), there: pointJson(there) }));
  return { ...difference, points };
}

function pointJson(point: Point | undefined): object | null {
  return point === undefined ? null : { ...point, step: String(point.step), value: String(point.value) };
}

function quoted(name: string): string {
  return JSON.stringify(cut(name));
}

function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
