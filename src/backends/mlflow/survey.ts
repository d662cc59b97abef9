/**
 * Whether an experiment still is as this state left it.
 *
 * Where listing all runs is cheap, all are compared. Behind REST it is not (some ms a run), so there the state leaves a
 * nonce in a tag of the experiment whenever all that it sent is acknowledged. A database that was restored, emptied or replaced
 * has another nonce or none, and then all runs are compared. As long as it is the same, it is enough to ask which runs
 * were deleted, whether any vanished from their number, and to compare those that were written to since, and some of the
 * others in turn.
 */
import { randomUUID } from "node:crypto";
import { TraceletError } from "../../errors.ts";
import type { KnownRun, RunChange, Survey } from "../../sync/backend.ts";
import type { FileMark } from "../../sync/source/fingerprint.ts";
import { marksOfTags } from "./marks.ts";
import { DUPLICATE_TAG, RUN_TAG } from "./new-run.ts";
import type { ExperimentRecord, RunLists, RunTags } from "./store.ts";

const SLOT_TAG = "tracelet.state.";
/** So many states keep a nonce at a time: each job of a CI has a new state, and none comes back to tidy up. */
const SLOTS = 32;
const MAX_RUNS = 1e9;
/** How many runs are compared in turn at each survey. */
const SLICE = 50;

/** What a state remembers of an experiment. */
interface Memory {
  /** Names the state among all that write to the experiment. */
  readonly state: string;
  readonly experimentId: string;
  readonly nonce: string;
  /** How many runs of ours there were, deleted ones too. */
  readonly count: number;
  /** The last run that was compared in turn. */
  readonly turn: string;
}

/**
 * The runs that are not as they were left.
 *
 * @param experiment as it is now; undefined if there is none
 * @param text what `confirmed` or an earlier survey returned
 * @throws TraceletError as the store does
 */
export async function surveyRuns(
  lists: RunLists,
  experiment: ExperimentRecord | undefined,
  known: readonly KnownRun[],
  text: string | undefined,
): Promise<Survey> {
  if (experiment === undefined) return { changes: new Map(known.map(({ id }) => [id, "gone"])), memory: text };
  const memory = text === undefined ? undefined : parse(text);
  const isSame =
    memory !== undefined &&
    memory.experimentId === experiment.id &&
    slotsOf(experiment).some(({ state, nonce }) => state === memory.state && nonce === memory.nonce);
  if (lists.listsCheaply || !isSame) return { changes: await compareAll(lists, experiment.id, known), memory: text };

  const { id } = experiment;
  const turn = inTurn(known, memory.turn);
  const asked = [...new Set([...known.filter(({ isConfirmed }) => !isConfirmed), ...turn])];
  const [deleted, number, compared] = await Promise.all([
    collect(lists.taggedRuns(id, RUN_TAG, "deleted")),
    memory.count === 0 ? "more" : lists.countsRuns(id, RUN_TAG, memory.count),
    compareSome(lists, id, asked),
  ]);
  if (number === "fewer") {
    const count = await countRuns(lists, id, 0);
    return { changes: await compareAll(lists, id, known), memory: JSON.stringify({ ...memory, count }) };
  }
  const byId = new Map(known.map((run) => [run.id, run]));
  const changes = new Map(compared);
  for (const run of deleted) {
    const left = byId.get(run.id);
    const change = left && changeOf(left, run);
    if (change !== undefined) changes.set(run.id, change);
  }
  // Other machines make runs, too.
  const count = number === "exactly" ? memory.count : await countRuns(lists, id, memory.count);
  return { changes, memory: JSON.stringify({ ...memory, count, turn: turn.at(-1)?.id ?? "" }) };
}

/**
 * What is to be left in an experiment, and remembered of it, once all that was sent is acknowledged.
 *
 * @param least how many runs of ours it holds at least
 */
export async function nextNonce(
  lists: RunLists,
  experiment: ExperimentRecord,
  text: string | undefined,
  least: number,
): Promise<{ readonly tag: readonly [key: string, value: string]; readonly memory: string }> {
  const before = text === undefined ? undefined : parse(text);
  const state = before?.state ?? randomUUID();
  const nonce = randomUUID();
  const isSame = before?.experimentId === experiment.id;
  const memory: Memory = {
    state,
    experimentId: experiment.id,
    nonce,
    count: await countRuns(lists, experiment.id, Math.max(least, isSame ? before.count : 0)),
    turn: before?.turn ?? "",
  };
  const value = JSON.stringify({ state, nonce, at: Date.now() });
  return { tag: [SLOT_TAG + slotFor(state, slotsOf(experiment)), value], memory: JSON.stringify(memory) };
}

async function compareAll(
  lists: RunLists,
  experimentId: string,
  known: readonly KnownRun[],
): Promise<Map<string, RunChange>> {
  const left = new Map(known.map((run) => [run.id, run]));
  const changes = new Map<string, RunChange>(known.map(({ id }) => [id, "gone"]));
  for await (const run of lists.taggedRuns(experimentId, RUN_TAG, "all")) {
    const before = left.get(run.id);
    if (before === undefined) continue;
    // In what was brought back another machine may have taken it for the run of a copy.
    const isMoved = run.tags.get(RUN_TAG) !== before.source;
    const change = changeOf(before, run) ?? (isMoved ? "behind" : undefined);
    if (change === undefined) changes.delete(run.id);
    else changes.set(run.id, change);
  }
  return changes;
}

async function compareSome(
  lists: RunLists,
  experimentId: string,
  known: readonly KnownRun[],
): Promise<[string, RunChange][]> {
  const found = new Map(
    (
      await lists.runTags(
        experimentId,
        known.map(({ id }) => id),
      )
    ).map((run) => [run.id, run]),
  );
  return known.flatMap((run): [string, RunChange][] => {
    const change = changeOf(run, found.get(run.id));
    return change === undefined ? [] : [[run.id, change]];
  });
}

/** @param there undefined if there is no such run */
function changeOf({ marks, isDone }: KnownRun, there: RunTags | undefined): RunChange | undefined {
  // A duplicate was set aside for the run that it doubled; who looks for that one finds it.
  if (there === undefined || (!there.active && there.tags.has(DUPLICATE_TAG))) return "gone";
  if (!there.active) return "deleted";
  const marksThere = new Map(marksOfTags(there.tags).map((mark) => [mark.key, mark]));
  const isThere = marks.every((left) => {
    const mark = marksThere.get(left.key);
    if (left.offset === 0 || mark === undefined || mark.offset !== left.offset)
      return left.offset === 0 || (mark !== undefined && mark.offset > left.offset);
    // As far as that, but perhaps less of it: what a wider choice let in came later.
    return mark.tail === left.tail && mark.choice === left.choice;
  });
  // A backup may be from before its end.
  const isOver = !isDone || there.status !== "RUNNING" || !hasAll(marks, marksThere);
  return isThere && isOver ? undefined : "behind";
}

/** Whether the marks are as they were left: nobody goes on with the run. */
function hasAll(left: readonly FileMark[], there: ReadonlyMap<string, FileMark>): boolean {
  return left.every(({ key, offset }) => there.get(key)?.offset === offset);
}

/** How many runs of ours an experiment holds. @param guess at least so many, as far as is known */
export async function countRuns(lists: RunLists, experimentId: string, guess: number): Promise<number> {
  const answer = async (count: number) => (count === 0 ? "more" : lists.countsRuns(experimentId, RUN_TAG, count));
  // Between the two lies the number: there are `least` runs, and not `most`.
  let least = 0;
  let most = Infinity;
  let at = Math.max(1, guess);
  for (let step = 1; most - least > 1; step *= 2) {
    // No experiment holds so many: a server that always says "more" would be asked for ever.
    if (at > MAX_RUNS) throw new TraceletError("rejected", `the server counts more than ${MAX_RUNS} runs`);
    const number = await answer(at);
    if (number === "exactly") return at;
    if (number === "more") least = at;
    else most = at;
    at = most === Infinity ? least + step : Math.floor((least + most) / 2);
  }
  return least;
}

/** The next of all runs, in the order of their ids. */
function inTurn(known: readonly KnownRun[], last: string): KnownRun[] {
  const sorted = [...known].sort((a, b) => (a.id < b.id ? -1 : 1));
  const from = sorted.findIndex(({ id }) => id > last);
  return from === -1 ? sorted.slice(0, SLICE) : sorted.slice(from, from + SLICE);
}

interface Slot {
  readonly index: number;
  readonly state: string;
  readonly nonce: string;
  /** When it was last written, in ms since the Unix epoch, by that machine's clock. */
  readonly at: number;
}

function slotsOf({ tags }: ExperimentRecord): Slot[] {
  return Array.from({ length: SLOTS }, (_, index) => index).flatMap((index) => {
    const value = parseObject(tags.get(SLOT_TAG + index) ?? "");
    if (value === undefined) return [];
    const { state, nonce, at } = value;
    if (typeof state !== "string" || typeof nonce !== "string") return [];
    return [{ index, state, nonce, at: typeof at === "number" ? at : 0 }];
  });
}

/** A state's own slot, a free one, or the one that was left alone for longest. */
function slotFor(state: string, slots: readonly Slot[]): number {
  const own = slots.find((slot) => slot.state === state);
  if (own !== undefined) return own.index;
  const taken = new Set(slots.map(({ index }) => index));
  const free = Array.from({ length: SLOTS }, (_, index) => index).find((index) => !taken.has(index));
  return free ?? slots.reduce((oldest, slot) => (slot.at < oldest.at ? slot : oldest)).index;
}

function parse(text: string): Memory | undefined {
  const value = parseObject(text);
  return typeof value?.["state"] === "string" ? (value as unknown as Memory) : undefined;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
