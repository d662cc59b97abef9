/** Names of event files, as TensorBoard's own writers make them: made, and taken apart. */
import os from "node:os";

/** Of which writer a file is. */
export interface FileWriter {
  readonly host: string;
  readonly pid: number;
  /** Tells the files of one process apart. */
  readonly n: number;
}

let files = 0;

/** A name that no other file of this process has. @param suffix behind it */
export function eventFileName(suffix = ""): string {
  return eventFileNameOf({ host: os.hostname(), pid: process.pid, n: files++ }, suffix);
}

/** The name of a file that is begun now. @param suffix behind it */
export function eventFileNameOf({ host, pid, n }: FileWriter, suffix: string): string {
  const seconds = String(Math.floor(Date.now() / 1000)).padStart(10, "0");
  return `events.out.tfevents.${seconds}.${host}.${pid}.${n}${suffix}`;
}

/** The part of an event file's name that all files of one writing process share: host, process, suffix. */
export function writerOf(name: string): string {
  const parts = /tfevents\.\d+\.(?:(.+)\.\d+(\D.*)?|.+)$/s.exec(name);
  return parts?.[1] === undefined ? name.replace(/.*tfevents\.\d+\./s, "") : `${parts[1]} ${parts[2] ?? ""}`;
}

/** The process that an event file's name tells to have begun it, as torch, TensorFlow and tracelet name their files. */
export function writingProcess(name: string): { readonly host: string; readonly pid: number } | undefined {
  const [, host, pid] = /tfevents\.\d+\.(.+)\.(\d+)\.\d+(?:\D.*)?$/s.exec(name) ?? [];
  return host === undefined ? undefined : { host, pid: Number(pid) };
}

/** The second of the Unix epoch that an event file's name tells. */
export function secondOf(name: string): number | undefined {
  const seconds = /tfevents\.(\d{9,11})(?:\.|$)/.exec(name)?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}
