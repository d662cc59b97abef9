/**
 * Who a file is, and whether it is still the one that was read: by its content, never by its path or inode, so that a
 * logdir can be moved, copied or rsynced while it grows.
 */
import { createHash, hash as hashAtOnce } from "node:crypto";
import type { ByteSource } from "../../reader/byte-source.ts";

/** So many bytes name a file, at most. */
export const HEAD_BYTES = 1024;
/** How many bytes before a place tell that it still is the same. */
export const TAIL_BYTES = 1024;

/** The place reached in an event file, with what is needed to find the file and the place again. */
export interface FileMark {
  /** Names the file within its run: the hash of its first `head` bytes, told apart by a suffix where two are alike. */
  readonly key: string;
  /** Base name of the file: a hint where to look first. */
  readonly name: string;
  /** Bytes. */
  readonly head: number;
  /** Byte offset behind the last record that was passed on. */
  readonly offset: number;
  /** Where the last batch that was passed on began: all before it had been acknowledged when that batch was sent. */
  readonly from: number;
  /** Hash of the bytes just before `offset`. */
  readonly tail: string;
  /** Hashes at even distances, which tell the file where it is shorter than `offset`; see `waypointsTo`. */
  readonly waypoints?: readonly string[] | undefined;
  /** Where the file's segments begin; undefined: at `offset`, since what is before it was sent by a version without any. */
  readonly base?: number | undefined;
  /** Id of the choice that all before `offset` has been sent under; undefined where `base` is: not known. */
  readonly choice?: string | undefined;
  /** By the ids of earlier choices: the offset up to which what they let in has been sent. */
  readonly until?: Readonly<Record<string, number>> | undefined;
  /**
   * Tags of the file that have other names in its run than they would have, since these are another member's: hashes, see
   * `MemberTags`. Who has no state cannot tell any more which of them came first.
   */
  readonly apart?: readonly string[] | undefined;
}

/** As many tags of a file are told to have other names: more would not fit into a run tag. */
const MAX_APART = 250;
const APART = /^[0-9a-f]{8}\+?$/;

/** Those of a mark that somebody may have changed. */
export function apartOf(apart: unknown): Pick<FileMark, "apart"> {
  const own = Array.isArray(apart) ? apart.filter((each) => typeof each === "string" && APART.test(each)) : [];
  return own.length === 0 ? {} : { apart: own.slice(0, MAX_APART) as string[] };
}

/** Of so many earlier choices it is remembered how far a file was sent under them. */
export const MAX_CHOICES = 64;

/** Whether it may be the id of a choice. */
export function isChoiceId(id: unknown): id is string {
  return typeof id === "string" && CHOICE_ID.test(id);
}

const CHOICE_ID = /^[0-9a-f]{8}$/;

/** The `tail` of offset 0. */
export const NO_TAIL: string = hashText("");

/** The same file, with nothing of it passed on. */
export function atStart(mark: FileMark): FileMark {
  return { ...mark, offset: 0, from: 0, tail: NO_TAIL, waypoints: undefined, base: 0, until: undefined };
}

/** How many bytes of a file name it, once it has been read up to `offset`. */
export function headLength(offset: number): number {
  return Math.min(offset, HEAD_BYTES);
}

/**
 * Hash of the first `length` bytes; undefined if there are fewer. @throws the source's error
 *
 * No head is longer than a kibibyte, whatever a destination or a damaged state says: the bytes are held in memory.
 */
export async function hashHead(source: ByteSource, length: number): Promise<string | undefined> {
  return isHeadLength(length) ? hashRange(source, 0, length) : undefined;
}

/** Hashes of the beginnings of these lengths, shortest first; none of those that are longer than the bytes. */
export function* hashHeads(
  bytes: Uint8Array,
  lengths: readonly number[],
): Generator<readonly [length: number, hash: string]> {
  const hash = createHash("sha256");
  let at = 0;
  for (const length of lengths) {
    if (length > bytes.length) return;
    hash.update(bytes.subarray(at, length));
    at = length;
    yield [length, hash.copy().digest("hex").slice(0, 32)];
  }
}

/** Whether so many bytes can name a file. */
export function isHeadLength(length: unknown): length is number {
  return Number.isInteger(length) && (length as number) >= 1 && (length as number) <= HEAD_BYTES;
}

/** Hash of the bytes just before `offset`; undefined if the file does not reach there. @throws the source's error */
export function hashTail(source: ByteSource, offset: number): Promise<string | undefined> {
  return hashRange(source, Math.max(0, offset - TAIL_BYTES), offset);
}

/**
 * Hashes at even distances in a file, by which one that was cut is told from another: those up to its end are all there. There
 * are at most 64, so that what lies behind the last of them is a 32nd of the file at most.
 *
 * @param offset as far as which the file is told @param known those of an earlier offset
 * @returns of each place the hash of the bytes just before it
 * @throws the source's error
 */
export async function waypointsTo(
  source: ByteSource,
  offset: number,
  known: { readonly offset: number; readonly waypoints: readonly string[] },
): Promise<readonly string[]> {
  const distance = distanceOf(offset);
  const step = distance / distanceOf(known.offset);
  const waypoints = known.waypoints.filter((_, i) => (i + 1) % step === 0);
  for (let at = (waypoints.length + 1) * distance; at <= offset; at += distance) {
    const hash = await hashWaypoint(source, at);
    if (hash === undefined) break;
    waypoints.push(hash);
  }
  return waypoints;
}

/** The last waypoint of a mark that lies before a place. */
export function lastWaypoint(
  { offset, waypoints = [] }: Pick<FileMark, "offset" | "waypoints">,
  before: number,
): { readonly at: number; readonly hash: string } | undefined {
  const distance = distanceOf(offset);
  const number = Math.min(waypoints.length, Math.floor(before / distance));
  const hash = waypoints[number - 1];
  return hash === undefined ? undefined : { at: number * distance, hash };
}

/** How many waypoints a file has that is told as far as `offset`. */
export function waypointCount(offset: number): number {
  return Math.floor(offset / distanceOf(offset));
}

/** What a waypoint holds; undefined if the source does not reach there. @throws the source's error */
export async function hashWaypoint(source: ByteSource, at: number): Promise<string | undefined> {
  return (await hashTail(source, at))?.slice(0, WAYPOINT_LENGTH);
}

/** Bytes between two waypoints. */
function distanceOf(offset: number): number {
  let distance = SHORTEST_DISTANCE;
  while (offset > distance * MAX_WAYPOINTS) distance *= 2;
  return distance;
}

const MAX_WAYPOINTS = 64;
const SHORTEST_DISTANCE = 256;
/** They are for telling two files apart, not for finding one among all. */
const WAYPOINT_LENGTH = 8;

/** The part of a mark's key that is the hash of its file's head. */
export function headHash(key: string): string {
  return key.split(".", 1)[0] as string;
}

/** A hash that identifies a text, or bytes, where these themselves may be of any length and hold any character. */
export function hashText(text: string | Uint8Array): string {
  return hashAtOnce("sha256", text, "hex").slice(0, 32);
}

async function hashRange(source: ByteSource, start: number, end: number): Promise<string | undefined> {
  const bytes = new Uint8Array(end - start);
  if ((await source.read(bytes, 0, bytes.length, start)) < bytes.length) return undefined;
  return hashText(bytes);
}
