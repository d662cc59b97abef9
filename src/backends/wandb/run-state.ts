/**
 * What a run's config says of the event files it holds, under `tracelet`: how far it has each of them, in how many lines, and
 * what is about to be added.
 *
 * The plan is set before its lines are sent. If a process, a machine or its state is lost after that, the number of lines
 * that the server has tells whether they came through, and whoever opens the run next goes on from there.
 */
import type { FileMark } from "../../sync/source/fingerprint.ts";
import { jsonOfMark, jsonOfState, movedTo, newState, type RunState, stateOfJson } from "../run-state.ts";
import { type JsonValue, objectOf } from "./json.ts";

/** Its key in the config. */
export const STATE_KEY = "tracelet";

/** Where a plan ended in each of its files: bytes, by the keys of their marks. */
export type Cut = ReadonlyMap<string, number>;

interface Plan {
  readonly lines: number;
  readonly events: number;
  readonly marks: readonly FileMark[];
  readonly choice: { readonly id: string; readonly text: string } | undefined;
}

export interface StoredState {
  /** Whoever opened the run last, a random text: nobody else may add to it. */
  readonly writer: string;
  /** How far the files are by the first `lines` lines of the history. */
  readonly state: RunState;
  readonly lines: number;
  /** Of the lines that tell what the machine did meanwhile, those that belong to them. */
  readonly events: number;
  readonly plan: Plan | undefined;
  /** How many lines another process has sent while the run was opened, which are written over: see `WandbRun.claim`. */
  readonly late?: number | undefined;
  readonly lateEvents?: number | undefined;
  /** Of the plans for the lines from `lines` on that did not arrive, and still may: the oldest first. */
  readonly cuts?: readonly Cut[] | undefined;
}

/** How many lines a server has. */
export interface LineCounts {
  readonly lines: number;
  readonly events: number;
}

/** What the number of lines says of a run. `foreign`: somebody else has added some; `lost`: lines that were there are not. */
export type Reached = ({ readonly state: RunState } & LineCounts) | "foreign" | "lost";

export function jsonOfStored({
  writer,
  state,
  lines,
  events,
  plan,
  late,
  lateEvents,
  cuts = [],
}: StoredState): JsonValue {
  const json = {
    ...jsonOfState(state, state.marks.values()),
    writer,
    lines,
    late,
    ...(events > 0 && { events }),
    lateEvents,
    ...(cuts.length > 0 && { cuts: cuts.map((cut) => Object.fromEntries(cut)) }),
    ...(plan !== undefined && {
      plan: {
        lines: plan.lines,
        ...(plan.events > 0 && { events: plan.events }),
        files: plan.marks.map(jsonOfMark),
        ...(plan.choice && { choice: plan.choice }),
      },
    }),
  };
  // Drops what is undefined.
  return JSON.parse(JSON.stringify(json)) as JsonValue;
}

/** Undefined if it was not tracelet that made the run. */
export function storedOfJson(json: JsonValue | undefined): StoredState | undefined {
  const { writer, lines, events, plan, late, lateEvents, cuts, ...state } = objectOf(json);
  if (typeof writer !== "string" || !isCount(lines)) return undefined;
  return {
    writer,
    state: stateOfJson(state),
    lines,
    events: isCount(events) ? events : 0,
    plan: planOfJson(plan),
    late: isCount(late) ? late : undefined,
    lateEvents: isCount(lateEvents) ? lateEvents : undefined,
    cuts: Array.isArray(cuts) ? (cuts as readonly JsonValue[]).map(cutOfJson) : [],
  };
}

function cutOfJson(json: JsonValue): Cut {
  return new Map(Object.entries(objectOf(json)).filter((entry): entry is [string, number] => isCount(entry[1])));
}

function planOfJson(json: JsonValue | undefined): Plan | undefined {
  const { lines, events, files, choice } = objectOf(json);
  if (!isCount(lines)) return undefined;
  const { id, text } = objectOf(choice);
  return {
    lines,
    events: isCount(events) ? events : 0,
    marks: [...stateOfJson({ files }).marks.values()],
    choice: typeof id === "string" && typeof text === "string" ? { id, text } : undefined,
  };
}

/**
 * Where a run is that has so many lines. Of a plan of which some lines are there and others are not, none is: they are sent
 * again, in the same places.
 */
export function reachedBy(stored: StoredState, there: LineCounts): Reached {
  const { state, lines, events, plan, late = 0, lateEvents = 0 } = stored;
  if (there.lines < lines) return "lost";
  const end = { lines: lines + (plan?.lines ?? 0), events: events + (plan?.events ?? 0) };
  if (there.lines > end.lines && there.lines > late) return "foreign";
  // Of lines that were there before, nobody can tell whether the planned ones have replaced them.
  const isThere = (planned: number, last: number, count: number, before: number) =>
    planned === 0 || (count >= last && before < last);
  const isDone =
    plan !== undefined &&
    isThere(plan.lines, end.lines, there.lines, late) &&
    isThere(plan.events, end.events, there.events, lateEvents);
  if (isDone) return { state: movedTo(state, plan.marks, plan.choice), ...end };
  return { state, lines, events };
}

/** Where plans ended that have not arrived, and still may. @param reached as `reachedBy` has found */
export function cutsOf({ plan, lines, events, cuts = [] }: StoredState, reached: LineCounts): readonly Cut[] {
  if (plan === undefined || reached.lines > lines || reached.events > events) return cuts;
  const cut = new Map(plan.marks.map(({ key, offset }) => [key, offset]));
  const text = (each: Cut) => JSON.stringify([...each]);
  return cuts.some((other) => text(other) === text(cut)) ? cuts : [...cuts, cut];
}

/** Of a run that has nothing yet. */
export function firstState(name: string, source: string, marks: readonly FileMark[], writer: string): StoredState {
  return { writer, state: newState(name, source, marks), lines: 0, events: 0, plan: undefined };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
