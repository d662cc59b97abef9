/** What the page of a run tells of where its values come from. */
import type { RunDescription } from "../sync/backend.ts";
import { codeSpan, fitted, fittedEnd, storableName } from "./storable-text.ts";

/** Of a name and a path: what backticks in them make of these, three times as long, still fits into 5,000 characters. */
const MAX_SHOWN = 750;
const MAX_HOST = 80;
const OWN_NOTE = /^TensorBoard run `.*, synced by tracelet \S+$/s;

/** Markdown. @param version of tracelet */
export function noteOf({ title, origin }: Pick<RunDescription, "title" | "origin">, version: string): string {
  const run = `TensorBoard run ${codeSpan(fitted(storableName(title), MAX_SHOWN))}`;
  if (origin === undefined) return `${run}, synced by tracelet ${version}.`;
  const path = codeSpan(fittedEnd(storableName(origin.path), MAX_SHOWN));
  const host = codeSpan(fitted(storableName(origin.host), MAX_HOST));
  return `${run} from ${path} on ${host}, synced by tracelet ${version}.`;
}

/** Whether a note is one of tracelet's, and nobody has written anything else there. */
export function isOwnNote(note: string): boolean {
  return OWN_NOTE.test(note);
}
