/** Files of the source that are sent as they are: the embeddings', and, on demand, the event files themselves. */
import type { DiscoveredRun, EventFileEntry } from "../../reader/discover.ts";
import type { Backend, RunHandle, SourceArtifact } from "../backend.ts";
import { type FileProblem } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import type { Tally } from "../report/tally.ts";
import type { FoundEmbedding } from "../source/embeddings.ts";
import { stampOf } from "../source/stamp.ts";

/** Where files go to, and what is told of them. */
export interface Attaching {
  readonly backend: Pick<Backend, "attachFiles">;
  readonly handle: RunHandle;
  readonly signal: AbortSignal;
  readonly tally: Tally;
  readonly notes: Note[];
  readonly problems: FileProblem[];
}

/** A file of the source, and its name within its run of the destination. */
export interface SourceFileEntry {
  /** Its parts separated by `/`. */
  readonly path: string;
  readonly entry: EventFileEntry;
}

/**
 * Send a run's embeddings.
 *
 * @param member path of the run within the one at the destination; empty where they are the same
 * @returns whether all is done that can be done: then they need not be sent again before their stamp changes
 * @throws TraceletError
 */
export async function attachEmbeddings(
  embeddings: readonly FoundEmbedding[],
  member: string,
  attaching: Attaching,
): Promise<boolean> {
  return attach({ kind: "embeddings", member, embeddings }, embeddings.length, attaching);
}

/**
 * The files that make a run what TensorBoard shows: event files, `hparams.yaml` and `projector_config.pbtxt`.
 *
 * @param member path of the run within the one at the destination; empty where they are the same
 */
export function sourceFilesOf(
  { files, hparamsFile, projectorFile }: Pick<DiscoveredRun, "files" | "hparamsFile" | "projectorFile">,
  member: string,
): SourceFileEntry[] {
  return [...files, hparamsFile, projectorFile].flatMap((entry) =>
    entry === undefined ? [] : [{ path: member === "" ? entry.name : `${member}/${entry.name}`, entry }],
  );
}

/** Whether all of the files have been sent as they are now. */
export function isSourceAttached(files: readonly SourceFileEntry[], attached: ReadonlyMap<string, string>): boolean {
  return files.every(({ path, entry }) => attached.get(path) === stampOf(entry));
}

/**
 * Send those of the files that have changed since they were last sent, each up to the size it had when it was found.
 *
 * @param attached the stamp of what was sent of each path; kept up to date file by file, so that it is also right after
 *   an error
 * @returns false if it was interrupted
 * @throws TraceletError
 */
export async function attachSource(
  files: readonly SourceFileEntry[],
  attached: Map<string, string>,
  attaching: Attaching,
): Promise<boolean> {
  for (const { path, entry } of files) {
    const stamp = stampOf(entry);
    if (attached.get(path) === stamp) continue;
    if (attaching.signal.aborted) return false;
    const artifact = { kind: "source_files", path, file: entry, size: entry.size } as const;
    if (await attach(artifact, 1, attaching)) attached.set(path, stamp);
  }
  return true;
}

async function attach(artifact: SourceArtifact, count: number, attaching: Attaching): Promise<boolean> {
  const { backend, handle, signal, tally, notes, problems } = attaching;
  tally.read(artifact.kind, count);
  try {
    const receipt = await backend.attachFiles(handle, artifact);
    tally.add(receipt.tally);
    notes.push(...receipt.notes);
    problems.push(...receipt.problems);
    return receipt.complete;
  } catch (error) {
    if (signal.aborted) tally.skipped(artifact.kind, "interrupted", count);
    else tally.failed(artifact.kind, count);
    throw error;
  }
}
