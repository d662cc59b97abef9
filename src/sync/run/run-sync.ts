/** One run, brought up to what its files hold now, once. */
import { TraceletError } from "../../errors.ts";
import type { Note } from "../report/note.ts";
import { Tally } from "../report/tally.ts";
import type { RunGroup } from "../source/run-group.ts";
import { newRun, type StoredRun } from "../state/stored-run.ts";
import { choiceText } from "../transform/choice.ts";
import { hasAllFiles, mayHaveFiles } from "./attachments.ts";
import { barrenIn, isUnchanged, matchRun } from "./match.ts";
import { type ChoiceContext, chosenBy, chosenId } from "./run-choices.ts";
import type { RunSyncContext } from "./run-context.ts";
import { type RunResult, unchangedResult } from "./run-result.ts";
import type { RunSession } from "./run-session.ts";

/**
 * Bring the destination up to what the run's files hold now.
 *
 * @param candidates the stored runs of this name; one that is made is added
 * @returns how it ended; what the destination refused is in `error`, what the file system refused in `problems`
 */
export async function syncRun(group: RunGroup, candidates: StoredRun[], context: RunSyncContext): Promise<RunResult> {
  const unchanged = findUnchanged(group, candidates, context);
  if (unchanged !== undefined && (await hasAllFiles(group, unchanged, context.attachSource)))
    return leaveUnchanged(group, unchanged, context);
  let before = new Tally();
  const notes: Note[] = [];
  let attempt = await syncOnce(group, candidates, context);
  const goOn = async () => {
    const given = attempt.givenUp();
    before.add(given.tally);
    notes.push(...given.notes);
    context.progress.bytes -= given.unsettledBytes;
    attempt = await syncOnce(group, candidates, context);
  };
  // Whoever was quicker has sent something, so that there is an end to it; what goes on for ever is no such thing.
  for (let left = MAX_OVERTAKEN; attempt.result.error?.code === "overtaken" && left > 0; left--) await goOn();
  // One that was deleted as a duplicate while it was written to: all of it goes on in the other.
  if (attempt.result.error?.code === "deleted" && attempt.result.remoteId !== undefined) {
    await goOn();
    before = new Tally();
  }
  const { result } = attempt;
  const said = new Set(result.notes.map(({ message }) => message));
  const earlier = notes.filter(({ message }) => !said.has(message) && said.add(message));
  before.add(result.tally);
  return { ...result, tally: before, notes: [...earlier, ...result.notes] };
}

/** What `syncRun` returns of a run that has not changed, if that can be told at once. */
export function unchangedAtAGlance(
  group: RunGroup,
  candidates: readonly StoredRun[],
  context: RunSyncContext,
): RunResult | undefined {
  if (mayHaveFiles(group, context.attachSource)) return undefined;
  const unchanged = findUnchanged(group, candidates, context);
  return unchanged && leaveUnchanged(group, unchanged, context);
}

function findUnchanged(
  group: RunGroup,
  candidates: readonly StoredRun[],
  context: RunSyncContext,
): StoredRun | undefined {
  const choice = chosenId(context);
  const barrenOf = barrenIn(context.checkpoints);
  return candidates.find((stored) => isUnchanged(group, stored, choice, barrenOf));
}

function leaveUnchanged(group: RunGroup, stored: StoredRun, context: RunSyncContext): RunResult {
  if (stored.remoteId !== undefined) context.onOpen(group, stored.remoteId);
  rememberChoice(stored, context);
  return unchangedResult(group, stored, barrenIn(context.checkpoints));
}

interface Attempt {
  readonly result: RunResult;
  readonly givenUp: RunSession["givenUp"];
}

async function syncOnce(group: RunGroup, candidates: StoredRun[], context: RunSyncContext): Promise<Attempt> {
  const session = await openSession(group, candidates, context);
  const givenUp = () => session.givenUp();
  try {
    const outcome = await session.advance();
    return {
      result: session.result(outcome === "sent" && !context.isLive ? await session.finish() : outcome),
      givenUp,
    };
  } catch (error) {
    if (!(error instanceof TraceletError)) throw error;
    return {
      result: context.signal.aborted ? session.result("interrupted") : session.result("failed", error),
      givenUp,
    };
  }
}

/** A run that a version without choices has sent counts as sent under the first that is asked for. */
export function rememberChoice(stored: StoredRun, context: Pick<RunSyncContext, "checkpoints"> & ChoiceContext): void {
  if (stored.choice !== undefined) return;
  stored.choice = chosenId(context);
  stored.choices = new Map([[stored.choice, choiceText(chosenBy(context))]]);
  context.checkpoints.save(stored, { metadata: [], claims: [] });
}

/**
 * Find out which of the stored runs this is, and begin where that one ends.
 *
 * @param candidates the stored runs of this name; one that is made is added as soon as it is at the destination
 */
export async function openSession(
  group: RunGroup,
  candidates: StoredRun[],
  context: RunSyncContext,
): Promise<RunSession> {
  // Where nothing is new, none of this is needed.
  const { RunSession } = await import("./run-session.ts");
  const { SourceFile } = await import("./source-file.ts");
  const barrenOf = barrenIn(context.checkpoints);
  const match = await matchRun(group, candidates, barrenOf);
  const files = match.files.map((file) => new SourceFile(file, context.maxRecordBytes, barrenOf(file.entry)));
  const stored = match.stored ?? newRun(group.name);
  // The destination is to be told.
  if (stored.runName !== group.runName) stored.done = false;
  const onOpen: RunSyncContext["onOpen"] = (opened, remoteId) => {
    if (!candidates.includes(stored)) candidates.push(stored);
    context.onOpen(opened, remoteId);
  };
  const session = new RunSession(group, stored, files, { ...context, onOpen, replaces: match.replaced?.remoteId });
  session.lacks(match.problems);
  session.notes.push(...match.notes);
  return session;
}

/** How often a run is opened again since another process has written to it. */
const MAX_OVERTAKEN = 1000;
