/** All runs of all logdirs as one run: a session, such as one training with all the writers that it has. */
import { statSync } from "node:fs";
import path from "node:path";
import type { DiscoveredRun } from "../../reader/discover.ts";
import { sourcesOf } from "./logdirs.ts";
import { groupOf, type Member, type RunGroup, SESSION } from "./run-group.ts";
import { titleOf } from "./titles.ts";

/**
 * Directories that are named by whoever writes to them, not by the user: torch's `SummaryWriter()` without a directory
 * (`Nov27_15-12-02_host`, the month in the user's language), Lightning's `version_3`.
 *
 * Source: torch/utils/tensorboard/writer.py; lightning/pytorch/loggers/tensorboard.py.
 */
const NAMED_BY_WRITER = /^(?:.*\/)?(?:\p{L}+\.?\d\d_\d\d-\d\d-\d\d_[^/]*|version_\d+)(?:\/|$)/u;

/** What the name of a session begins with that has only the files that were begun since some time. */
const SINCE = `${SESSION}since `;

/** The time in the name of a session that has only the files that were begun since then; undefined for any other run's. */
export function sinceOf(name: string): string | undefined {
  return name.startsWith(SINCE) ? name.slice(SINCE.length) : undefined;
}

export class Session {
  readonly name: string;
  /** What holds all the logdirs; undefined if there is only one. */
  readonly #above: string | undefined;

  /**
   * @param roots of the logdirs, absolute
   * @param since ms since the Unix epoch. Sessions that began at different times are different runs, though their files may lie
   *   beside each other.
   */
  constructor(roots: readonly string[], since: number | undefined) {
    const isOne = roots.length === 1;
    this.#above = isOne ? undefined : roots.reduce(commonDirectory);
    this.name =
      since === undefined && isOne
        ? "."
        : since === undefined
          ? `${SESSION}all`
          : `${SINCE}${new Date(since).toISOString()}`;
  }

  /** The runs without the files that were sent in another session. */
  withoutOthers(
    runs: readonly DiscoveredRun[],
    stored: ReadonlyMap<string, readonly { readonly files: readonly { readonly name: string }[] }[]>,
  ): readonly DiscoveredRun[] {
    if (!this.name.startsWith(SESSION)) return runs;
    const sent = new Set<string>();
    for (const [name, of] of stored) {
      if (!name.startsWith(SESSION) || name === this.name) continue;
      for (const { files } of of) for (const file of files) for (const place of placesOf(file.name)) sent.add(place);
    }
    if (sent.size === 0) return runs;
    return runs.flatMap((run) => {
      const files = run.files.filter(({ name }) => !sent.has(path.posix.join(run.name, name)));
      return files.length === run.files.length ? [run] : files.length === 0 ? [] : [{ ...run, files }];
    });
  }

  /**
   * @param whole each of TensorBoard's runs, with what is folded into it behind it
   * @param runName what the user calls the session: a directory of that name, as of `SummaryWriter(f"runs/{name}")`, tells
   *   nothing more of its tags
   */
  join(whole: readonly (readonly Member[])[], runName: string | undefined): RunGroup {
    const first = whole.flat()[0] as Member;
    const directory = this.#above ?? first.run.logdir;
    const members = whole.flatMap((parts) => {
      const { logdir, name } = (parts[0] as Member).run;
      const below = path.posix.join(path.relative(directory, logdir), name);
      // A directory below such a one keeps the name that the user gave it.
      const named = name === "." ? "" : name.replace(NAMED_BY_WRITER, "");
      const isOwn = runName !== undefined && `${named}/`.startsWith(`${runName}/`);
      const given = isOwn ? named.slice(runName.length + 1) : named;
      const prefix = given === "" ? "" : `${given}/`;
      return parts.map((part) => ({ ...part, path: path.posix.join(below, part.path).replace(/^\.$/, ""), prefix }));
    });
    const group = groupOf(members, { name: this.name, directory, logdir: directory });
    return { ...group, mayGrow: true, title: this.name === "." ? undefined : titleOf(group) };
  }
}

/** Whether a run is a session by the time since which its files were begun: its name alone identifies it, wherever it lies. */
export function isSessionSince(name: string): boolean {
  return name.startsWith(SINCE);
}

/** The session that all runs of these logdirs are. @param logdirs as they were given */
export function sessionOf(logdirs: readonly string[], since: number | undefined): Session {
  const roots = sourcesOf(logdirs).map(({ path: place, files }) => {
    const isFile = files.length === 0 && statSync(place, { throwIfNoEntry: false })?.isFile() === true;
    return isFile ? path.dirname(place) : place;
  });
  return new Session([...new Set(roots)], since);
}

function commonDirectory(one: string, other: string): string {
  let common = one;
  while (other !== common && !other.startsWith(common === "/" ? common : `${common}/`)) common = path.dirname(common);
  return common;
}

/** A file's path below its own logdir is among these. @param name of the file, relative to what holds all logdirs */
export function placesOf(name: string): string[] {
  const parts = name.split("/");
  return parts.map((_, i) => parts.slice(i).join("/"));
}
