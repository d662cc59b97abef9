/**
 * What a watch has recorded beside a run lies below the state directory of its machine. Where a recording is not here, the
 * destination has values of it that the source seems not to have; they are no difference.
 */
import type { FileMark } from "../sync/source/fingerprint.ts";
import { isRecordedName, isRecordingPath, type Recordings } from "../sync/source/recordings.ts";
import type { Findings, What } from "./findings.ts";

/** @param recordings those of this machine @param marks how far the destination has each file of the run */
export function passOverRecorded(
  findings: Findings,
  recordings: Recordings | undefined,
  marks: Iterable<Pick<FileMark, "name">>,
): void {
  const there = Array.from(marks).filter(({ name }) => isRecordingPath(name));
  if (there.length === 0) return;
  const here = new Set(Array.from(recordings?.all() ?? [], ({ path }) => path));
  if (there.some(({ name }) => !here.has(name))) findings.passOver(isOfRecording);
}

function isOfRecording(what: What, name: string): boolean {
  if (what === "points" || what === "files") return isRecordedName(name);
  return what === "lines" && RECORDED_LINES.test(name);
}

/** As the lines of labels and artifacts are called. */
const RECORDED_LINES = /^(?:run_tags|artifacts)(?: |$)/;
