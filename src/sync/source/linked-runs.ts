/** Directories that are reached more than once, such as `latest -> run_7` beside `run_7`: each is one run, under its own name. */
import path from "node:path";
import { type DiscoveredRun, displayPath, type FsPath, isEventFileName } from "../../reader/discover.ts";

/**
 * The runs without those that a link leads to which lie in their logdir themselves, and are found there. Each is judged by
 * itself, so that it does not matter which is found first.
 */
export function withoutLinksInside(runs: readonly DiscoveredRun[]): DiscoveredRun[] {
  const roots = new Map<string, string>();
  return runs.filter((run) => {
    const { realPath } = run;
    if (realPath === undefined) return true;
    const root = `${rootOf(run, roots)}/`.replace(/\/+$/, "/");
    return !`${bytesOf(realPath)}/`.startsWith(root);
  });
}

/**
 * The runs without those whose directory is that of another.
 *
 * @param wasSent whether something was sent of a run under this name
 * @param wants which names were asked for: a link that was goes before one that was not, with all that lies in it
 */
export function withoutSameDirectories(
  runs: readonly DiscoveredRun[],
  wasSent: (run: DiscoveredRun) => boolean = () => false,
  wants: (name: string) => boolean = () => true,
): readonly DiscoveredRun[] {
  // Within one logdir only links lead to a directory twice.
  const logdir = runs[0]?.logdir;
  if (runs.every((run) => run.realPath === undefined && run.logdir === logdir)) return runs;
  const roots = new Map<string, string>();
  const first = new Map<string, DiscoveredRun>();
  const names = new Set(runs.map((run) => `${run.logdir}\0${run.name}`));
  const wantedness = (run: DiscoveredRun) =>
    Number(wants(run.name)) + Number(wants(outermost(run, (name) => names.has(`${run.logdir}\0${name}`))));
  const isBetter = (run: DiscoveredRun, known: DiscoveredRun) =>
    (wantedness(run) - wantedness(known) || rankOf(run, wasSent) - rankOf(known, wasSent)) > 0;
  for (const run of runs) {
    const place = placeOf(run, roots);
    const known = first.get(place);
    if (known === undefined || isBetter(run, known)) first.set(place, run);
  }
  // Files that were given by themselves may have other names, and their directory is read without those.
  const isOwn = ({ files }: DiscoveredRun) => !files.every(({ name }) => isEventFileName(name));
  return runs.filter((run) => first.get(placeOf(run, roots)) === run || isOwn(run));
}

/** The directory itself goes before links to it, then the link that was sent before, then the one that is called as it is. */
function rankOf(run: DiscoveredRun, wasSent: (run: DiscoveredRun) => boolean): number {
  if (run.realPath === undefined) return 3;
  if (wasSent(run)) return 2;
  return path.posix.basename(run.name) === path.basename(displayPath(run.realPath)) ? 1 : 0;
}

/** The name of the outermost run below the logdir that a run lies in, or its own. */
function outermost({ name }: DiscoveredRun, isRun: (name: string) => boolean): string {
  const parts = name.split("/");
  const at = parts.findIndex((_, i) => isRun(parts.slice(0, i + 1).join("/")));
  return parts.slice(0, at + 1).join("/");
}

/** A run that only a link leads to, and that has a name of its own besides. */
export interface LinkedRun {
  /** What the link makes of it. */
  readonly name: string;
  readonly run: string;
  /** Whether it is among the runs that are wanted, under its own name. */
  readonly isWanted: boolean;
}

/** Runs as `--group none` does not have them: each directory once. */
export function ownRuns(runs: readonly DiscoveredRun[]): readonly DiscoveredRun[] {
  return withoutSameDirectories(withoutLinksInside(runs));
}

/**
 * The links that are asked for and not followed, since the runs that they lead to are there by other names.
 *
 * @param found all runs
 * @param wantsRun which were asked for
 */
export function linkedRuns(found: readonly DiscoveredRun[], wantsRun: (name: string) => boolean): LinkedRun[] {
  const links = found.filter(({ realPath, name }) => realPath !== undefined && wantsRun(name));
  if (links.length === 0) return [];
  const own = new Set(ownRuns(found.filter(({ name }) => wantsRun(name))));
  const roots = new Map<string, string>();
  const byPlace = new Map(ownRuns(found).map((run) => [placeOf(run, roots), run]));
  return links.flatMap((link) => {
    const run = own.has(link) ? undefined : byPlace.get(placeOf(link, roots));
    return run === undefined ? [] : [{ name: link.name, run: run.name, isWanted: wantsRun(run.name) }];
  });
}

/** Where the run's directory really lies, one character a byte. */
function placeOf(run: DiscoveredRun, roots: Map<string, string>): string {
  const { realPath, directory, logdir } = run;
  if (realPath !== undefined) return bytesOf(realPath);
  return rootOf(run, roots) + bytesOf(directory).slice(bytesOf(logdir).length);
}

/** Where the logdir really lies, one character a byte; the path that it had if it is gone. */
function rootOf({ store, logdir }: Pick<DiscoveredRun, "store" | "logdir">, roots: Map<string, string>): string {
  let root = roots.get(logdir);
  if (root === undefined) {
    const place = store.placeOf(logdir);
    root = bytesOf(place === undefined ? logdir : Buffer.from(place));
    roots.set(logdir, root);
  }
  return root;
}

function bytesOf(fsPath: FsPath): string {
  return Buffer.from(fsPath as string).toString("latin1");
}
