/** What users have to know about how a tree is watched, and how it is worded. */
import { readFileSync } from "node:fs";
import { LEADS_OUT, LEADS_OUT_TEXT } from "../../reader/file-links.ts";

/** Reported once, when it begins or ends; the watch goes on in any case. */
export type WatchNote =
  /** The logdir does not exist; the watch waits for it. */
  | { readonly kind: "logdir-missing"; readonly logdir: string }
  | { readonly kind: "logdir-found"; readonly logdir: string }
  /** A directory, or something in it, cannot be looked at; what is known stays. */
  | { readonly kind: "unreadable"; readonly path: string; readonly code: string }
  /** It can be read again. */
  | { readonly kind: "readable"; readonly path: string }
  /** The file system does not report all changes, so it is polled. */
  | { readonly kind: "silent-file-system"; readonly path: string; readonly fileSystem: string; readonly pollMs: number }
  /** A change was found that no event had announced; such directories are polled from then on. */
  | { readonly kind: "missed-event"; readonly path: string; readonly pollMs: number }
  /** The system refuses more watches; directories without one are polled. */
  | {
      readonly kind: "watch-limit";
      readonly sysctl: string;
      /** Undefined if it cannot be read. */
      readonly current: number | undefined;
      readonly suggested: number;
      readonly pollMs: number;
    };

/** One line of text. */
export function formatWatchNote(note: WatchNote): string {
  switch (note.kind) {
    case "logdir-missing":
      return `${note.logdir} does not exist, waiting for it`;
    case "logdir-found":
      return `${note.logdir} is there`;
    case "unreadable":
      if (note.code === LEADS_OUT) return `${note.path} is ${LEADS_OUT_TEXT}`;
      return `cannot read ${note.path} (${note.code}), trying again from time to time`;
    case "readable":
      return `${note.path} can be read again`;
    case "silent-file-system":
      return `${note.path} is on ${note.fileSystem}, which does not report changes: polled ${every(note.pollMs)}`;
    case "missed-event":
      return `${note.path} changed without an event: polled ${every(note.pollMs)}`;
    case "watch-limit":
      return (
        `no more file watches allowed (${note.sysctl}${note.current === undefined ? "" : ` = ${note.current}`}), ` +
        `polling the rest ${every(note.pollMs)}; to raise it: sysctl -w ${note.sysctl}=${note.suggested}`
      );
  }
}

/** The note for a refused watch. @param code `ENOSPC`: no more watches; `EMFILE`: no more instances */
export function watchLimitNote(code: "ENOSPC" | "EMFILE", pollMs: number): WatchNote {
  const [host, namespace, enough] =
    code === "ENOSPC"
      ? ["max_user_watches", "max_inotify_watches", 1_048_576]
      : ["max_user_instances", "max_inotify_instances", 1024];
  const ofHost = readLimit(`/proc/sys/fs/inotify/${host}`);
  const ofNamespace = readLimit(`/proc/sys/user/${namespace}`);
  // In a user namespace the lower of the two applies.
  const isNamespace = ofNamespace !== undefined && ofNamespace < (ofHost ?? Number.POSITIVE_INFINITY);
  const current = isNamespace ? ofNamespace : ofHost;
  return {
    kind: "watch-limit",
    sysctl: isNamespace ? `user.${namespace}` : `fs.inotify.${host}`,
    current,
    suggested: Math.max(enough, 2 * (current ?? 0)),
    pollMs,
  };
}

function readLimit(file: string): number | undefined {
  try {
    return Number(readFileSync(file, "latin1"));
  } catch {
    return undefined;
  }
}

function every(ms: number): string {
  return `every ${ms / 1000} s`;
}
