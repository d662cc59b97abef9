/** Which offline directories of runs W&B's client has uploaded, told by what it leaves beside their logs. Only read. */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { type Address, addressIn, areOneProject } from "../address.ts";
import { logIn, NAME } from "./run-directories.ts";

export interface Uploads {
  /** Paths of directories that are not uploaded, or not to their end. */
  readonly waiting: readonly string[];
  readonly uploaded: readonly string[];
}

/** @param root a `wandb/` directory; may be gone @param id of a run @throws the system's error */
export function uploadsOf(root: string, id: string): Uploads {
  const waiting: string[] = [];
  const uploaded: string[] = [];
  for (const name of existsSync(root) ? readdirSync(root).sort() : []) {
    if (NAME.exec(name)?.[2] !== id) continue;
    const directory = path.join(root, name);
    const log = logIn(directory, id);
    if (!existsSync(log)) continue;
    (existsSync(`${log}.synced`) ? uploaded : waiting).push(directory);
  }
  return { waiting, uploaded };
}

/** The directories of some runs of a destination that wait for their upload. @param destination as the state names it */
export function waitingAt(destination: string, ids: readonly string[]): string[] {
  const root = addressIn(destination)?.root;
  return root === undefined ? [] : ids.flatMap((id) => uploadsOf(root, id).waiting);
}

/** The same of those of many destinations that are of one project. */
export function waitingFor(
  place: Omit<Address, "root">,
  destinations: readonly string[],
  ids: readonly string[],
): string[] {
  const here = { ...place, root: undefined };
  return destinations.flatMap((destination) => {
    const address = addressIn(destination);
    return address !== undefined && areOneProject(address, here) ? waitingAt(destination, ids) : [];
  });
}

/** @param waiting directories that wait, at least one */
export function uploadText(waiting: readonly string[]): string {
  const [first = ""] = waiting;
  const more = waiting.length === 1 ? "waits" : `and ${waiting.length - 1} more wait`;
  return `${first} ${more} for upload: wandb sync ${shown(path.dirname(first))}`;
}

/** As a shell takes it. */
export function shown(directory: string): string {
  const name = path.relative(process.cwd(), directory);
  const text = name.startsWith("..") ? directory : name || ".";
  return /^[\w./+:@-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
