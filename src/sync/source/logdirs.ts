/** The logdirs that were given: directories, and files one by one. */
import { accessSync, constants, existsSync, realpathSync, statSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import { type Discovery, discover, isEventFileName, runOfFiles } from "../../reader/discover.ts";

/** What is read as one: a directory with all that lies below it, or files of one directory. */
export interface LogdirSource {
  /** Absolute. A single file is its own. */
  readonly path: string;
  /** If several files of the directory were given, as by a shell's `*`: their absolute paths. */
  readonly files: readonly string[];
}

/**
 * What was given, each thing once: files that lie in one directory belong together, and what lies in a directory that was
 * given, too, is read with that. What does not exist yet counts as a directory.
 */
export function sourcesOf(given: readonly string[]): LogdirSource[] {
  const all = given.map((each) => {
    const absolute = path.resolve(each);
    const isFile = statSync(absolute, { throwIfNoEntry: false })?.isFile() ?? false;
    const place = isFile ? path.dirname(absolute) : absolute;
    return { path: absolute, isFile, place: realPathIfAny(place) };
  });
  const directories = new Set(all.filter(({ isFile }) => !isFile).map(({ place }) => place));
  const sources = new Map<string, { path: string; files: Set<string> }>();
  for (const { path: absolute, isFile, place } of all) {
    const lies = isFile ? [place, ...directoriesAbove(place)] : directoriesAbove(place);
    // A file of another name is one that its directory is read without.
    const isFound = !isFile || isEventFileName(path.basename(absolute));
    if (isFound && lies.some((above) => directories.has(above))) continue;
    const key = `${isFile}:${place}`;
    const known = sources.get(key);
    if (known === undefined) sources.set(key, { path: absolute, files: new Set(isFile ? [absolute] : []) });
    else if (isFile) known.files.add(absolute);
  }
  return Array.from(sources.values(), ({ path: first, files }) =>
    files.size > 1 ? { path: path.dirname(first), files: [...files] } : { path: first, files: [] },
  );
}

/** The runs of several logdirs. @throws TraceletError `logdir` if one of them cannot be read */
export function discoverAll(logdirs: readonly string[]): Discovery {
  for (const logdir of logdirs) requireLogdir(logdir);
  const all = sourcesOf(logdirs).map(discoverOrThrow);
  return { runs: all.flatMap(({ runs }) => runs), problems: all.flatMap(({ problems }) => problems) };
}

function discoverOrThrow({ path: logdir, files }: LogdirSource): Discovery {
  try {
    if (files.length === 0) return discover(logdir);
    const given = files.map((file) => ({ path: file, stats: statSync(file, { bigint: true }) }));
    return { runs: [runOfFiles(given)], problems: [] };
  } catch (cause) {
    throw logdirError(logdir, cause);
  }
}

function realPathIfAny(place: string): string {
  try {
    return realpathSync(place);
  } catch {
    return place;
  }
}

function directoriesAbove(place: string): string[] {
  const above = path.dirname(place);
  return above === place ? [] : [above, ...directoriesAbove(above)];
}

/** Those that have to be there. A session has some of its logdirs only if something is written to them. */
export function requiredLogdirs(logdirs: readonly string[], group: string): readonly string[] {
  const there = group === "logdir" ? logdirs.filter((logdir) => existsSync(logdir)) : [];
  return there.length > 0 ? there : logdirs;
}

/** @throws TraceletError `logdir` if there is no such directory or file */
export function requireLogdir(logdir: string): void {
  try {
    accessSync(logdir, constants.R_OK);
  } catch (cause) {
    throw logdirError(logdir, cause);
  }
}

/** Where a logdir really lies, or will lie once it exists. @throws TraceletError `logdir` if it cannot be looked at */
export function placeOfLogdir(logdir: string): string {
  try {
    return realpathSync(logdir);
  } catch (cause) {
    const above = path.dirname(path.resolve(logdir));
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT" || above === logdir) throw logdirError(logdir, cause);
    return path.join(placeOfLogdir(above), path.basename(logdir));
  }
}

/** What it means that the system has refused the logdir itself. */
function logdirError(logdir: string, cause: unknown): TraceletError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new TraceletError(
    "logdir",
    code === "ENOENT" ? `there is no ${logdir}` : `cannot read ${logdir}: ${message}`,
    {
      hint: "give the directory that you give to tensorboard --logdir",
      cause,
    },
  );
}
