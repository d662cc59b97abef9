/** How a command ended at each of its destinations: told apart for people and machines, and one exit code for all. */
import { TraceletError } from "../errors.ts";
import { exitCodeOfError, printError } from "./failure.ts";
import { errorJson } from "./sync-report.ts";
import { type Output, oneLine, paint, plural, printJson } from "./terminal.ts";

/** How it ended at one of them. */
export interface DestinationEnd<Report> {
  /** What `--backend` calls it. */
  readonly name: string;
  /** Names it in full; undefined if it could not be opened. */
  readonly key: string | undefined;
  /** What there is to report, or why nothing could be done. */
  readonly end: Report | TraceletError;
}

/** What a command knows of its reports. */
export interface Reporting<Report> {
  readonly codeOf: (report: Report) => number;
  readonly print: (report: Report) => void;
  /** The one object of `--json` where there is only one destination. */
  readonly toJson: (report: Report) => object;
  /** In a word. */
  readonly outcomeOf: (report: Report) => string;
}

/** From the worst to the best. 2: something else has to be asked for. 1: not all is there. 3: corrupt records were skipped. */
const WORST_FIRST: readonly number[] = [2, 1, 3, 0];

export function worstOf(codes: readonly number[]): number {
  return WORST_FIRST.find((code) => codes.includes(code)) ?? 0;
}

/** How a command tells of its ends. */
export interface Manner {
  /** Only what went wrong. */
  readonly quiet: boolean;
  readonly json: boolean;
  readonly debug: boolean;
}

/**
 * Print how it was: of a single destination its report alone, of several a block for each, under its name, and a line for
 * all.
 *
 * @returns the exit code
 */
export function reportEnds<Report>(
  ends: readonly DestinationEnd<Report>[],
  reporting: Reporting<Report>,
  output: Output,
  how: Manner,
): number {
  const { code, json } = tellEnds(ends, reporting, output, how);
  if (how.json) printJson(json);
  return code;
}

/** The same, without the object of `--json`. */
export function tellEnds<Report>(
  ends: readonly DestinationEnd<Report>[],
  reporting: Reporting<Report>,
  output: Output,
  how: Omit<Manner, "json">,
): { readonly code: number; readonly json: object } {
  const codeOf = ({ end }: DestinationEnd<Report>) =>
    end instanceof TraceletError ? exitCodeOfError(end) : reporting.codeOf(end);
  const isShown = (each: DestinationEnd<Report>) =>
    !how.quiet || codeOf(each) !== 0 || outcomeOf(each, reporting) === "interrupted";
  const code = worstOf(ends.map(codeOf));
  const [first, ...others] = ends;
  if (first !== undefined && others.length === 0 && !(first.end instanceof TraceletError)) {
    if (isShown(first)) reporting.print(first.end);
    return { code, json: reporting.toJson(first.end) };
  }
  const shown = ends.filter(isShown);
  for (const { name, key, end } of shown) {
    output.write(`\n${paint(output, "bold", oneLine(key ?? name))}\n`);
    if (end instanceof TraceletError) printError(end, output, how.debug);
    else reporting.print(end);
  }
  const outcomes = ends.map((each) => `${each.name} ${outcomeOf(each, reporting)}`).join(", ");
  if (shown.length > 0) output.write(`\n${plural(ends.length, "destination")}: ${oneLine(outcomes)}\n`);
  const worst =
    ends.find((each) => outcomeOf(each, reporting) === "interrupted") ?? ends.find((each) => codeOf(each) === code);
  const outcome = worst && outcomeOf(worst, reporting);
  return { code, json: { outcome, destinations: ends.map((each) => endJson(each, reporting)) } };
}

/** What would be printed of it alone, with what it is called. */
function endJson<Report>({ name, key, end }: DestinationEnd<Report>, reporting: Reporting<Report>): object {
  const head = { backend: name, destination: key ?? null };
  if (!(end instanceof TraceletError)) return { ...head, ...reporting.toJson(end) };
  return { ...head, outcome: outcomeOf({ end }, reporting), error: errorJson(end) };
}

function outcomeOf<Report>({ end }: Pick<DestinationEnd<Report>, "end">, reporting: Reporting<Report>): string {
  if (!(end instanceof TraceletError)) return reporting.outcomeOf(end);
  return end.code === "interrupted" ? "interrupted" : "failed";
}
