/** What a sync did: the summary for people, the object for machines, and the exit code. */
import type { TraceletError } from "../errors.ts";
import { LEADS_OUT, LEADS_OUT_TEXT } from "../reader/file-links.ts";
import { allSent, type Left, type SyncResult } from "../sync/engine/sync-result.ts";
import type { FileProblem, OwnProblem } from "../sync/report/file-problem.ts";
import type { Note } from "../sync/report/note.ts";
import { Tally } from "../sync/report/tally.ts";
import type { RunResult } from "../sync/run/run-result.ts";
import { earlierText } from "../sync/source/begun.ts";
import { exitCodeOfError } from "./failure.ts";
import { skipTexts, sumOf } from "./skip-text.ts";
import { bytes, count, duration, type Output, oneLine, paint, plural, table } from "./terminal.ts";

export interface SyncReport {
  readonly result: SyncResult;
  readonly dryRun: boolean;
  readonly elapsedMs: number;
  readonly retries: number;
  /** Address of the result, where it has one. */
  readonly location: string | undefined;
  /** The same for one run, by the destination's name for it. */
  readonly runLocation: (id: string) => string | undefined;
  /** How to look at it where it has none. */
  readonly howToLook: string | undefined;
}

/** 0: all sent. 1: something could not be sent. 2: it may not be sent there, at any time. 3: sent, but corrupt records were skipped. */
export function exitCode(result: SyncResult): number {
  if (!allSent(result)) return result.error === undefined ? 1 : exitCodeOfError(result.error);
  const { runs } = result;
  const damaged = runs.some((run) => run.losses.length > 0 || hasUnreadable(run));
  return damaged ? 3 : 0;
}

/** Whether there are values that cannot be decoded; an empty one holds nothing to decode. */
function hasUnreadable({ tally }: RunResult): boolean {
  const unreadable = tally.kinds.get("unreadable");
  return unreadable !== undefined && unreadable.read > (unreadable.skipped.get("empty") ?? 0);
}

/** Values are missing at the destination, and are not sent again. */
export function isLoss({ code }: Note): boolean {
  return code === "quarantined";
}

/** How many lines of one kind are shown before the rest is only counted. */
const SHOWN = 10;

/** @param verbose show every note and every run's end, however many */
export function printSummary(report: SyncReport, output: Output, verbose: boolean): void {
  const { result } = report;
  const shown = verbose ? Infinity : SHOWN;
  const list = (title: string, colour: "red" | "yellow" | "dim", lines: readonly string[]) => {
    if (lines.length === 0) return;
    output.write(`${paint(output, colour, title)}\n`);
    for (const line of lines.slice(0, shown)) output.write(`  ${oneLine(line)}\n`);
    if (lines.length > shown) output.write(`  … and ${count(lines.length - shown)} more (-v shows all)\n`);
  };
  const tally = totalOf(result.runs);
  if (tally.kinds.size > 0) output.write(`\n${table(kindRows(tally, report.dryRun))}\n`);
  list("Failed", "red", failures(result));
  list(
    "Could not be read",
    "red",
    [...result.problems, ...result.runs.flatMap((run) => run.problems)].map(problemLine),
  );
  const notes = result.runs.flatMap((run) => run.notes.map((note) => ({ note, line: `${run.name}: ${note.message}` })));
  list(
    "Refused by the destination",
    "red",
    notes.filter(({ note }) => isLoss(note)).map(({ line }) => line),
  );
  list("Corrupt records skipped", "yellow", result.runs.flatMap((run) => run.losses).map(lossLine));
  list(
    "Unfinished at the end, read when it is completed",
    "dim",
    result.runs.flatMap((run) => run.waiting).map(tailLine),
  );
  list("Notes", "dim", [
    ...linkLines(result.links),
    ...(result.earlierFiles > 0 ? [earlierText(result.earlierFiles)] : []),
    ...result.unmatched,
    ...notes.filter(({ note }) => !isLoss(note)).map(({ line }) => line),
  ]);
  // Where the destination could not even be asked, nobody knows whether they lack anything.
  const isUnknown = result.error !== undefined && result.runs.length === 0 && result.left?.bytes === 0;
  if (result.left !== undefined)
    output.write(`${isUnknown ? `not checked: ${plural(result.left.runs, "run")}` : leftText(result.left)}\n`);
  output.write(`${headline(report)}\n`);
  const where = report.location ?? report.howToLook;
  if (where !== undefined) output.write(`${oneLine(where)}\n`);
}

/** The one object of `--json`. Steps and counts are numbers; nothing in it is ever a credential. */
export function toJson(report: SyncReport): object {
  const { result } = report;
  return {
    outcome: outcomeOf(result),
    dryRun: report.dryRun,
    location: report.location ?? null,
    elapsedMs: Math.round(report.elapsedMs),
    retries: report.retries,
    excludedRuns: result.excludedRuns,
    earlierFiles: result.earlierFiles,
    unmatched: result.unmatched,
    links: result.links,
    left: result.left ?? null,
    error: errorJson(result.error),
    kinds: tallyJson(totalOf(result.runs)),
    problems: result.problems,
    runs: result.runs.map((run) => ({
      name: run.name,
      parts: run.parts,
      outcome: run.outcome,
      remoteId: run.remoteId ?? null,
      location: (run.remoteId === undefined ? undefined : report.runLocation(run.remoteId)) ?? null,
      error: errorJson(run.error),
      kinds: tallyJson(run.tally),
      problems: run.problems,
      damage: run.losses,
      unfinished: run.waiting,
      notes: run.notes,
    })),
  };
}

/** In a word: `ok`, `failed`, `damage`, or `interrupted`. */
export function outcomeOf(result: SyncResult): string {
  return result.interrupted ? "interrupted" : (["ok", "failed", "failed", "damage"][exitCode(result)] as string);
}

/** How many links one line names. */
const NAMED_LINKS = 3;

/** Links that make no run: one line for those whose runs are there, one for each whose run is not selected. */
export function linkLines(links: SyncResult["links"]): string[] {
  const wanted = links.filter(({ isWanted }) => isWanted);
  const named = wanted.slice(0, NAMED_LINKS).map(({ name, run }) => `${name} is ${run}`);
  const more = wanted.length > NAMED_LINKS ? ` and ${count(wanted.length - NAMED_LINKS)} more` : "";
  const once = wanted.length === 0 ? [] : [`reached by links, too, and taken once: ${named.join(", ")}${more}`];
  const others = links.filter(({ isWanted }) => !isWanted);
  return [
    ...once,
    ...others.map(({ name, run }) => `${name} is a link to ${run}, which is not selected; name it as a logdir`),
  ];
}

/** What an interruption has left to be sent. */
export function leftText({ runs, bytes: left }: Left): string {
  if (left === 0 && runs > 0) return `not finished yet: ${plural(runs, "run")}`;
  return `not sent yet: ${plural(runs, "run")}, ${bytes(left)} of event files`;
}

/** Line for a run that has just ended. */
export function runLine(run: RunResult): string {
  let values = 0;
  for (const { sent } of run.tally.kinds.values()) values += sent;
  const detail = run.outcome === "sent" ? plural(values, "value") : run.outcome;
  return `${run.name}: ${detail}`;
}

export function errorText(error: TraceletError): string {
  return error.hint === undefined ? error.message : `${error.message}; ${error.hint}`;
}

function totalOf(runs: readonly RunResult[]): Tally {
  const total = new Tally();
  for (const run of runs) total.add(run.tally);
  return total;
}

function kindRows(tally: Tally, dryRun: boolean): string[][] {
  const rows = [["", "read", dryRun ? "to send" : "sent", "skipped", "failed"]];
  for (const [kind, { read, derived, sent, failed, skipped }] of [...tally.kinds].sort()) {
    const out = sumOf(skipped);
    const reasons = skipTexts(skipped);
    rows.push([
      kind,
      derived === 0 ? count(read) : `${count(read)} + ${count(derived)} derived`,
      count(sent),
      reasons === "" ? count(out) : `${count(out)} (${reasons})`,
      count(failed),
    ]);
  }
  return rows;
}

/** What became of how many runs, in one line. */
export function headline({ result, dryRun, elapsedMs, retries }: SyncReport): string {
  const outcomes = new Map<string, number>();
  for (const run of result.runs) outcomes.set(run.outcome, (outcomes.get(run.outcome) ?? 0) + 1);
  if (dryRun) outcomes.set("to send", outcomes.get("sent") ?? 0).delete("sent");
  if (result.excludedRuns > 0) outcomes.set("excluded", result.excludedRuns);
  const parts = [...outcomes].filter(([, n]) => n > 0).map(([outcome, n]) => `${count(n)} ${outcome}`);
  const end = result.interrupted
    ? "interrupted; run the same command to resume"
    : parts.join(", ") || (result.error === undefined ? "nothing to do" : "nothing was sent");
  const tail = retries > 0 ? `, ${plural(retries, "request")} sent again` : "";
  return `${plural(result.runs.length, "run")}: ${end} (${duration(elapsedMs)}${tail})`;
}

function failures(result: SyncResult): string[] {
  // What ends all, several runs may have met at the same time.
  const runs = result.runs.filter(({ error }) => error !== undefined && error.message !== result.error?.message);
  const lines = runs.map((run) => `${run.name}: ${errorText(run.error as TraceletError)}`);
  return result.error === undefined ? lines : [errorText(result.error), ...lines];
}

export function problemLine({ path, code, kind, detail }: FileProblem): string {
  const words = WORDS[code] ?? (kind === undefined ? code : `${KIND_WORDS[kind]} (${code})`);
  return `${path}: ${words}${detail === undefined ? "" : `: ${detail}`}`;
}

/** For codes that only their store knows. */
const KIND_WORDS: Readonly<Record<NonNullable<FileProblem["kind"]>, string>> = {
  gone: "deleted while it was being read",
  refused: "access denied",
  again: "could not be read this time",
};

const WORDS: Record<string, string> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOENT: "deleted while it was being read",
  EINVAL: "not a regular file",
  EIO: "the disk could not read it",
  EMFILE: "too many open files",
  ELOOP: "a link, since it was found",
  [LEADS_OUT]: LEADS_OUT_TEXT,
  malformed: "not what it is called",
  shorter: "it has lost bytes since it was found",
  "path-encoding": "its path is not UTF-8",
} satisfies Record<string, string> & Record<OwnProblem, string>;

export function lossLine({ path, start, end, reason }: RunResult["losses"][number]): string {
  return `${path}: ${bytes(end - start)} at ${start} (${reason})`;
}

function tailLine({ path, start, end, state }: RunResult["waiting"][number]): string {
  return `${path}: ${bytes(end - start)} at ${start}${state === "zeros" ? " (zeros)" : ""}`;
}

function tallyJson(tally: Tally): object {
  const kinds = [...tally.kinds].sort().map(([kind, { skipped, ...counts }]) => {
    return [kind, { ...counts, skipped: Object.fromEntries(skipped) }];
  });
  return Object.fromEntries(kinds) as object;
}

export function errorJson(error: TraceletError | undefined): object | null {
  return error === undefined ? null : { code: error.code, message: error.message, hint: error.hint ?? null };
}
