/** What a run's files say of themselves: whose they are, how far they have each event file, and how the run ended. */
import type { FinalStatus } from "../sync/backend.ts";
import { apartOf, type FileMark, isChoiceId, isHeadLength } from "../sync/source/fingerprint.ts";

/** Of the files' format. One that is larger is refused. */
export const FORMAT = 1;

export interface RunState {
  /** TensorBoard's name of the run, and what identifies it within its logdir, as they were last. */
  readonly name: string;
  readonly source: string;
  /** By their keys. */
  readonly marks: ReadonlyMap<string, FileMark>;
  /** By the keys of files that were read again from an earlier place: how far they had been written before. */
  readonly reach: ReadonlyMap<string, number>;
  /** The choices that the marks name, by id. */
  readonly choices: ReadonlyMap<string, string>;
  /** Text of the last of them. */
  readonly choice: string | undefined;
  readonly status: FinalStatus | "running";
  /** Seconds since the Unix epoch; undefined while it runs, and where there was no event. */
  readonly endTime: number | undefined;
}

/** A run of which nothing is written. */
export function newState(name: string, source: string, marks: readonly FileMark[]): RunState {
  return {
    name,
    source,
    marks: new Map(marks.map((mark) => [mark.key, mark])),
    reach: new Map(),
    choices: new Map(),
    choice: undefined,
    status: "running",
    endTime: undefined,
  };
}

/** The state after a batch. */
export function movedTo(
  state: RunState,
  marks: readonly FileMark[],
  choice: { readonly id: string; readonly text: string } | undefined,
): RunState {
  const moved = new Map(state.marks);
  const reach = new Map(state.reach);
  for (const mark of marks) {
    const before = Math.max(moved.get(mark.key)?.offset ?? 0, reach.get(mark.key) ?? 0);
    moved.set(mark.key, mark);
    if (mark.offset < before) reach.set(mark.key, before);
    else reach.delete(mark.key);
  }
  const choices = choice === undefined ? state.choices : new Map(state.choices).set(choice.id, choice.text);
  return { ...state, marks: moved, reach, choices, choice: choice?.text ?? state.choice };
}

/** Whether a batch is the one that was written last, so that writing it again would change nothing but double it. */
export function isRepeated(state: RunState, marks: readonly FileMark[]): boolean {
  return marks.length > 0 && marks.every((mark) => isSame(mark, state.marks.get(mark.key)));
}

/**
 * Whether all values of a batch are from behind what is written of their files. Those of any other may be there already:
 * they were sent under another choice, found in damage, or read again since a file was cut.
 */
export function isAllNew(state: RunState, marks: readonly FileMark[]): boolean {
  let anyMoved = false;
  for (const mark of marks) {
    const before = state.marks.get(mark.key);
    if (before !== undefined && before.offset === mark.offset) continue;
    if (mark.from < Math.max(before?.offset ?? 0, state.reach.get(mark.key) ?? 0)) return false;
    anyMoved = true;
  }
  return anyMoved;
}

function isSame(mark: FileMark, other: FileMark | undefined): boolean {
  return other !== undefined && JSON.stringify(jsonOfMark(mark)) === JSON.stringify(jsonOfMark(other));
}

export function jsonOfMark(mark: FileMark): object {
  const { key, name, head, offset, from, tail, waypoints, base, choice, until, apart } = mark;
  return { key, name, head, offset, from, tail, waypoints, base, choice, until, apart };
}

/** The state as JSON has it. @param marks those that are told; the others are told elsewhere */
export function jsonOfState(state: RunState, marks: Iterable<FileMark>): object {
  const { name, source, reach, choices, choice, status, endTime } = state;
  return {
    name,
    source,
    status,
    ...(endTime !== undefined && { end_time: endTime }),
    files: Array.from(marks, jsonOfMark),
    ...(reach.size > 0 && { reach: Object.fromEntries(reach) }),
    ...(choices.size > 0 && { choices: Object.fromEntries(choices) }),
    ...(choice !== undefined && { choice }),
  };
}

/** What `jsonOfState` has made. Anybody may have changed it: what tracelet would not have written is passed over. */
export function stateOfJson(json: Readonly<Record<string, unknown>>): RunState {
  const { name, source, files, reach, choices, choice, status, end_time: endTime } = json;
  const marks = (Array.isArray(files) ? files : []).flatMap((file: unknown) => markOfJson(file) ?? []);
  return {
    name: typeof name === "string" ? name : "",
    source: typeof source === "string" ? source : "",
    marks: new Map(marks.map((mark) => [mark.key, mark])),
    reach: new Map(entriesOf(reach).filter((entry): entry is [string, number] => isOffset(entry[1]))),
    choices: new Map(
      entriesOf(choices).filter(
        (entry): entry is [string, string] => isChoiceId(entry[0]) && typeof entry[1] === "string",
      ),
    ),
    choice: typeof choice === "string" ? choice : undefined,
    status: status === "finished" || status === "failed" ? status : "running",
    endTime: typeof endTime === "number" ? endTime : undefined,
  };
}

function markOfJson(json: unknown): FileMark | undefined {
  if (typeof json !== "object" || json === null) return undefined;
  const { key, name, head, offset, from, tail, ...rest } = json as Readonly<Record<string, unknown>>;
  const { waypoints, base, choice, until, apart } = rest;
  if (typeof key !== "string" || typeof name !== "string" || typeof tail !== "string") return undefined;
  if (!isHeadLength(head) || !isOffset(offset) || !isOffset(from) || from > offset) return undefined;
  const places =
    Array.isArray(waypoints) && waypoints.every((each) => typeof each === "string") ? waypoints : undefined;
  const earlier = entriesOf(until).filter((e): e is [string, number] => isChoiceId(e[0]) && isOffset(e[1]));
  return {
    key,
    name,
    head: head as number,
    offset,
    from,
    tail,
    ...(places !== undefined && { waypoints: places as string[] }),
    ...(isOffset(base) && base <= offset && { base }),
    ...(isChoiceId(choice) && { choice }),
    ...(earlier.length > 0 && { until: Object.fromEntries(earlier) }),
    ...apartOf(apart),
  };
}

function entriesOf(json: unknown): [string, unknown][] {
  return typeof json === "object" && json !== null ? Object.entries(json) : [];
}

/** Whether it may be a place in a file. */
export function isOffset(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
