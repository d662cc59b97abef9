/** TensorBoard's runs → the runs that people mean, each of which becomes one run of the destination. */

import path from "node:path";
import type { DiscoveredRun } from "../../reader/discover.ts";
import { writerOf } from "../../reader/event-file-name.ts";
import { type Fold, foldOf, mayBeTrial } from "./folds.ts";
import { withoutSameDirectories } from "./linked-runs.ts";
import { groupOf, type Member, type RunGroup } from "./run-group.ts";
import { sessionOf } from "./session.ts";
import { withRunNames, withTitles } from "./titles.ts";

/**
 * `run`: each of TensorBoard's runs, with what `add_scalars` and `add_hparams` made folded into the run they belong to.
 * `parent`: all runs of one directory together, such as Keras's `train` and `validation`. `nested`: as `run`, and the
 * directories above become parent runs. `none`: each of TensorBoard's runs, nothing folded. `logdir`: all of all logdirs together.
 */
export type GroupMode = "run" | "parent" | "nested" | "none" | "logdir";

/** What becomes one run of the destination, and what that is called. */
export interface Grouping {
  /** As they were given. */
  readonly logdirs: readonly string[];
  readonly group: GroupMode;
  /** Event files that were begun before are skipped, ms since the Unix epoch; left out: none. */
  readonly since?: number | undefined;
  /** Whether a file is another session's, by its path and when it was begun, ms since the Unix epoch. */
  readonly isOfOthers?: ((file: string, begun: number) => boolean) | undefined;
  /** Whether the session's own processes write a file, by its path. */
  readonly isOwn?: ((file: string) => boolean) | undefined;
  /** See `withRunNames`; left out: as people see it. */
  readonly runName?: string | undefined;
  /**
   * Whether to send one of TensorBoard's runs, with what is folded into it: by its name and, with `parent`, that of the
   * directory that becomes the run. It does not decide how runs are grouped. Left out: all.
   */
  readonly wantsRun?: ((...names: string[]) => boolean) | undefined;
  /** Whether what was sent as a run of its own becomes a part of the run above it. */
  readonly regroups?: boolean | undefined;
}

export interface Groups {
  readonly groups: RunGroup[];
  /** What was not asked for: each of TensorBoard's runs, with what is folded into it. */
  readonly excluded: readonly RunGroup[];
}

/** What is remembered of a run that was sent. */
export interface SentRun {
  /** Paths of its files, relative to the run's directory. */
  readonly files: readonly { readonly name: string }[];
  /** The members that were folded into it, by their paths. */
  readonly folds: ReadonlyMap<string, Fold>;
}

/**
 * Group the runs of one or more logdirs. Each run is in one group; what is remembered to be a part of a run, or a run of
 * its own, stays that.
 *
 * @param stored the runs that were sent before, by name
 * @returns those that are wanted, in the order of the runs, groups before those that are nested in them
 */
export async function groupRuns(
  runs: readonly DiscoveredRun[],
  { group: mode, runName, logdirs, since, wantsRun: wants = () => true, regroups }: Grouping,
  stored: ReadonlyMap<string, readonly SentRun[]>,
): Promise<Groups> {
  const groups: RunGroup[] = [];
  const wasSent = ({ name, files }: DiscoveredRun) =>
    stored.get(name)?.some((sent) => files.some((file) => holds(sent.files, file.name))) ?? false;
  let distinct: readonly DiscoveredRun[] = mode === "none" ? runs : withoutSameDirectories(runs, wasSent, wants);
  const session = mode === "logdir" ? sessionOf(logdirs, since) : undefined;
  if (session !== undefined) distinct = session.withoutOthers(distinct, stored);
  const whole: Member[][] = [];
  const excluded: RunGroup[] = [];
  for (const logdir of new Set(distinct.map((run) => run.logdir))) {
    const own = distinct.filter((run) => run.logdir === logdir);
    const folded = mode === "none" ? [] : await fold(own, stored, regroups === true);
    if (mode === "none") groups.push(...own.map(groupAlone));
    else if (mode === "logdir") whole.push(...folded);
    else if (mode === "parent") groups.push(...(await joinByParent(folded, logdir, stored, wants, excluded)));
    else if (mode === "nested") groups.push(...nest(folded.map((members) => groupOf(members))));
    else groups.push(...folded.map((members) => groupOf(members)));
  }
  const isWanted = (members: readonly Member[]) => wants((members[0] as Member).run.name);
  excluded.push(...whole.filter((members) => !isWanted(members)).map((members) => groupOf(members)));
  const joined = whole.filter(isWanted);
  if (session !== undefined && joined.length > 0) groups.push(session.join(joined, runName));
  const named = withRunNames(withTitles(groups), runName);
  if (mode === "logdir" || mode === "parent") return { groups: named, excluded };
  const left = named.filter(({ name, isDirectory }) => !isDirectory && !wants(name));
  return left.length === 0 ? { groups: named, excluded } : { groups: without(left, named), excluded: left };
}

/** A run by itself. */
export function groupAlone(run: DiscoveredRun): RunGroup {
  return { ...groupOf([member(run, "")]), isAlone: true };
}

/** The same group with one of its members as it is now. */
export function withRun(group: RunGroup, run: DiscoveredRun): RunGroup {
  const isIt = (each: DiscoveredRun) => each.name === run.name && each.logdir === run.logdir;
  const members = group.members.map((each) => (isIt(each.run) ? { ...each, run } : each));
  const { parent, isParent, isAlone, mayGrow, title, runName } = group;
  return { ...groupOf(members, group), parent, isParent, isAlone, mayGrow, title, runName };
}

/** The same group with a further member, in place of one of the same path. */
export function withMember(group: RunGroup, added: Member): RunGroup {
  const others = group.members.filter(({ path }) => path !== added.path);
  const { members, files } = groupOf([...others, added], group);
  return { ...group, members, files };
}

/** The name of a run's directory relative to that of the run `above` it; undefined if it does not lie in there. */
export function pathBelow(name: string, above: string): string | undefined {
  if (above === ".") return name === "." ? undefined : name;
  return name.startsWith(`${above}/`) ? name.slice(above.length + 1) : undefined;
}

function member(run: DiscoveredRun, below: string, fold?: Fold, trialOf?: string): Member {
  return { path: below, run, fold, prefix: "", trialOf, partOf: undefined };
}

/** Each run that is one, with what is folded into it behind it. */
async function fold(
  runs: readonly DiscoveredRun[],
  stored: ReadonlyMap<string, readonly SentRun[]>,
  regroups: boolean,
): Promise<Member[][]> {
  const whole = new Map<string, Member[]>();
  const trials: Above[] = [];
  const trialsOf = new Map<string, number>();
  const apart: Above[] = [];
  for (const run of runs) {
    const found = await findAbove(run, whole, stored);
    const isTrial = found?.part.fold?.by === "add_hparams";
    // Those that were sent as runs count, too: the others may have been about to be sent when it ended.
    if (isTrial) trialsOf.set(writerAbove(found), (trialsOf.get(writerAbove(found)) ?? 0) + 1);
    const staysWhole = found?.wasWhole === true && !found.known && !regroups;
    if (found !== undefined && staysWhole) apart.push(found);
    if (found === undefined || staysWhole)
      whole.set(run.name, [member(run, "", undefined, isTrial ? found.above : undefined)]);
    else if (isTrial) trials.push(found);
    else whole.get(found.above)?.push(found.part);
  }
  for (const trial of trials) {
    const { above, part, known } = trial;
    // Several of one writer have their own hyperparameters each: no one run can hold them.
    if (known || trialsOf.get(writerAbove(trial)) === 1) whole.get(above)?.push(part);
    else whole.set(part.run.name, [member(part.run, "", undefined, above)]);
  }
  for (const each of apart) {
    const [own, ...parts] = whole.get(each.part.run.name) as [Member, ...Member[]];
    const isPart = own.trialOf === undefined || trialsOf.get(writerAbove(each)) === 1;
    if (isPart) whole.set(own.run.name, [{ ...own, trialOf: undefined, partOf: each.above }, ...parts]);
  }
  return [...whole.values()];
}

function writerAbove({ above, part }: Above): string {
  return `${above}\0${writerOf(part.run.files[0]?.name ?? "")}`;
}

interface Above {
  /** Name of the run that it is a part of. */
  readonly above: string;
  readonly part: Member;
  /** Whether it was sent as a part before. */
  readonly known: boolean;
  /** Whether it was sent as a run before. */
  readonly wasWhole: boolean;
}

async function findAbove(
  run: DiscoveredRun,
  whole: ReadonlyMap<string, readonly Member[]>,
  stored: ReadonlyMap<string, readonly SentRun[]>,
): Promise<Above | undefined> {
  const wasWhole =
    stored.get(run.name)?.some(({ files }) => run.files.some((file) => holds(files, file.name))) ?? false;
  for (let name = run.name; name !== "."; ) {
    name = path.posix.dirname(name);
    const above = whole.get(name)?.[0]?.run;
    const below = above && pathBelow(run.name, name);
    if (above === undefined || below === undefined) continue;
    const known = stored
      .get(name)
      ?.find(({ files }) => run.files.some((file) => holds(files, `${below}/${file.name}`)))
      ?.folds.get(below);
    const fold = known ?? (await foldOf(run, above, below));
    if (fold !== undefined)
      return { above: name, part: member(run, below, fold), known: known !== undefined, wasWhole };
  }
  return undefined;
}

/** Whether a file of that name is among those of a run. Many may be, each of which is asked for. */
export function holds(files: SentRun["files"], name: string): boolean {
  if (files.length < FEW) return files.some((file) => file.name === name);
  let names = NAMES.get(files);
  if (names === undefined) NAMES.set(files, (names = new Set(files.map((file) => file.name))));
  return names.has(name);
}

const FEW = 8;
const NAMES = new WeakMap<SentRun["files"], ReadonlySet<string>>();

/**
 * The runs of each directory as one group. A run that others lie in is the group of those itself, and so is a trial: its
 * `train` and `validation` may appear later.
 *
 * @param excluded takes those that are not wanted
 */
async function joinByParent(
  runs: readonly Member[][],
  logdir: string,
  stored: ReadonlyMap<string, readonly SentRun[]>,
  wants: NonNullable<Grouping["wantsRun"]>,
  excluded: RunGroup[],
): Promise<RunGroup[]> {
  const names = runs.map((members) => (members[0] as Member).run.name);
  const inner = new Set(names.flatMap(directoriesAbove));
  const joined = new Map<string, Member[]>();
  for (const [index, name] of names.entries()) {
    const members = runs[index] as Member[];
    const isGroup = name === "." || inner.has(name) || (await isTrial((members[0] as Member).run, stored));
    const group = isGroup ? name : path.posix.dirname(name);
    if (!wants(name, group)) {
      excluded.push(groupOf(members));
      continue;
    }
    const below = pathBelow(name, group);
    const moved =
      below === undefined
        ? members
        : members.map((each) => ({
            ...each,
            path: each.path === "" ? below : `${below}/${each.path}`,
            prefix: `${below}/`,
          }));
    const known = joined.get(group);
    if (known === undefined) joined.set(group, [...moved]);
    else known.push(...moved);
  }
  return Array.from(joined, ([name, members]) => {
    return groupOf(members, { name, directory: pathIn(logdir, name), logdir });
  });
}

/** Whether a run that holds no others may be a trial, and was not sent as a part of the run above it. */
async function isTrial(run: DiscoveredRun, stored: ReadonlyMap<string, readonly SentRun[]>): Promise<boolean> {
  const above = path.posix.dirname(run.name);
  const below = pathBelow(run.name, above);
  const wasPart = stored
    .get(above)
    ?.some(({ files }) => run.files.some((file) => holds(files, `${below}/${file.name}`)));
  return wasPart !== true && mayBeTrial(run);
}

/** The directories that a run lies in, outermost first, below the logdir. */
export function directoriesAbove(name: string): string[] {
  const parts = name.split("/");
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("/"));
}

/** The groups, and before them the directories that they lie in. */
function nest(groups: readonly RunGroup[]): RunGroup[] {
  const nested = new Map<string, RunGroup>();
  const byName = new Map(groups.map((group) => [group.name, group]));
  const parents = new Set(groups.flatMap(({ name }) => directoriesAbove(name)));
  const place = (name: string): RunGroup => {
    const known = nested.get(name);
    if (known !== undefined) return known;
    const above = path.posix.dirname(name);
    // The logdir is what the experiment is already, unless it is a run itself, as for Optuna.
    const isBelow = name !== "." && (above !== "." || byName.has("."));
    const parent = isBelow ? place(above) : undefined;
    const isParent = name === "." ? groups.length > 1 : parents.has(name);
    const placed = { ...(byName.get(name) ?? parentDirectoryGroup(name, groups)), parent, isParent };
    nested.set(name, placed);
    return placed;
  };
  for (const { name } of groups) place(name);
  return [...nested.values()];
}

/** The groups without some. Where others are nested in one of those, it is a run without values, which is told by its own files. */
function without(excluded: readonly RunGroup[], groups: readonly RunGroup[]): RunGroup[] {
  const left = new Set(excluded);
  const kept = new Map<RunGroup, RunGroup>();
  const keep = (group: RunGroup): RunGroup => {
    const known = kept.get(group);
    if (known !== undefined) return known;
    const parent = group.parent && keep(group.parent);
    const copy = { ...group, isDirectory: group.isDirectory || left.has(group), parent };
    kept.set(group, copy);
    return copy;
  };
  for (const group of groups) if (!group.isDirectory && !left.has(group)) keep(group);
  return groups.flatMap((group) => kept.get(group) ?? []);
}

/** The directory of a run, whatever holds it. */
function pathIn(logdir: string, name: string): string {
  if (name === ".") return logdir;
  return `${logdir.replace(/\/$/, "")}/${name}`;
}

/** By as many files a directory can be told. */
const TELLING_FILES = 20;

function parentDirectoryGroup(name: string, groups: readonly RunGroup[]): RunGroup {
  const below = groups.filter((group) => pathBelow(group.name, name) !== undefined);
  const files = below.flatMap((group) =>
    group.files.map((file) => ({ ...file, name: `${pathBelow(group.name, name)}/${file.name}` })),
  );
  const { logdir, store } = below[0] as RunGroup;
  return {
    store,
    name,
    title: undefined,
    runName: undefined,
    directory: pathIn(logdir, name),
    logdir,
    members: [],
    files: files.slice(0, TELLING_FILES),
    parent: undefined,
    isParent: true,
    isDirectory: true,
    isAlone: false,
    mayGrow: false,
  };
}
