/** What becomes one run of a destination. */
import type { DiscoveredRun, EventFileEntry, FsPath } from "../../reader/discover.ts";
import type { FileStore } from "../../reader/file-store.ts";
import type { Fold } from "./folds.ts";

/** One of TensorBoard's runs, as a part of a group. */
export interface Member {
  /** Its path relative to the group's directory; empty for the group's own. */
  readonly path: string;
  readonly run: DiscoveredRun;
  /** Why it is a part of the run above it, if it is. */
  readonly fold: Fold | undefined;
  /** What its tags' names begin with in the group; empty, or ending in `/`. */
  readonly prefix: string;
  /** The run whose hyperparameters it holds, where that has several trials: none of them can be a part of it. */
  readonly trialOf: string | undefined;
  /** The run that it is a part of, though it was sent as a run of its own, and stays that. */
  readonly partOf: string | undefined;
}

/** An event file of a group. Its name is relative to the group's directory. */
export interface GroupFile extends EventFileEntry {
  readonly member: Member;
}

/** What becomes one run of a destination. */
export interface RunGroup {
  /** What holds its files. */
  readonly store: FileStore;
  /** As TensorBoard would name the directory; `.` for the logdir itself. A session's begins with `./`. */
  readonly name: string;
  /** What people see it called, if not by its name; see `titleOf`. */
  readonly title: string | undefined;
  /** What the user wants it to be called at its destination, if not as people see it here. */
  readonly runName: string | undefined;
  readonly directory: FsPath;
  /** Absolute. */
  readonly logdir: string;
  /** In the order they are to be read. */
  readonly members: readonly Member[];
  /** Of its members, in the order they are to be read; of a mere directory, those below by which it can be told. */
  readonly files: readonly GroupFile[];
  /** The group that its run is to be nested in. */
  readonly parent: RunGroup | undefined;
  /** Whether others are nested in it. */
  readonly isParent: boolean;
  /** It is there to hold other groups: a directory without event files of its own, or one whose files were not asked for. */
  readonly isDirectory: boolean;
  /** Whether others may join its members later, whose tags are called the same. */
  readonly mayGrow: boolean;
  /** As TensorBoard has it, whatever is in it; else what is only about other runs makes none. */
  readonly isAlone: boolean;
}

/** The path of the member that holds what a watch has recorded beside a run, and the name of its run, which no other has. */
export const RECORDED = ".tracelet";
export const RECORDED_RUN = "";

/** Whether a member is what a watch has recorded, rather than the training's. */
export function isRecorded({ path, run }: Member): boolean {
  return path === RECORDED && run.name === RECORDED_RUN;
}

/** The group of some members. @param place of the group, if not that of its first member */
export function groupOf(members: readonly Member[], place?: Pick<RunGroup, "name" | "directory" | "logdir">): RunGroup {
  const first = members[0] as Member;
  const { name, directory, logdir } = place ?? first.run;
  const files = members.flatMap((each) =>
    each.run.files.map((file) => ({
      ...file,
      name: each.path === "" ? file.name : `${each.path}/${file.name}`,
      member: each,
    })),
  );
  return {
    store: first.run.store,
    name,
    title: undefined,
    runName: undefined,
    directory,
    logdir,
    members,
    files,
    parent: undefined,
    isParent: false,
    isDirectory: false,
    isAlone: false,
    mayGrow: false,
  };
}

/** What the name begins with of a run that all of its logdirs make; no directory's does. */
export const SESSION = "./";

/** The name of the directory that a group's files are named relative to. @param name the group's */
export function directoryOf(name: string): string {
  return name.startsWith(SESSION) ? "." : name;
}
