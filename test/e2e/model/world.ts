/**
 * A logdir, an MLflow, two machines with states of their own, and everything that people do to either end, one random step
 * after another. After each calm the destination is what TensorBoard reads under the last choice, one active run a source.
 */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import os from "node:os";
import path from "node:path";
import { event, eventFile, scalarEvent, versionEvent } from "../../support/event-writer.ts";
import { seededRandom } from "../../support/seeded-random.ts";
import type { Point } from "../support/python.ts";
import { type Ended, type SyncJson, tracelet } from "../support/tracelet.ts";
import { Observer, type SourceRun, type StoredRun } from "./observer.ts";

const EXPERIMENT = "model";
const MACHINES = ["a", "b"] as const;
const ROOTS = [".", "exp"] as const;
/** So many directories at most: each costs every sync something. */
const MAX_DIRECTORIES = 7;
const TIME = 1_700_000_000;

/** A choice of the user's, and what of a directory it lets in. */
interface Choice {
  readonly options: readonly string[];
  readonly wantsPoint: (tag: string, point: Point) => boolean;
  readonly wantsHistograms: (steps: readonly string[]) => readonly string[];
}

const all = <T>(value: T): T => value;
const CHOICES: readonly Choice[] = [
  { options: [], wantsPoint: () => true, wantsHistograms: all },
  { options: ["--exclude-tags", "aux*"], wantsPoint: (tag) => !tag.startsWith("aux"), wantsHistograms: all },
  { options: ["--no-histograms"], wantsPoint: () => true, wantsHistograms: () => [] },
  { options: ["--nan", "skip"], wantsPoint: (_, [, , value]) => value !== "nan", wantsHistograms: all },
  {
    options: ["--every", "2"],
    wantsPoint: () => true,
    wantsHistograms: (steps) => steps.filter((_, i) => i % 2 === 0),
  },
];

/** A directory with event files. */
interface Directory {
  /** What began as one: copies share it, a rewritten directory has another. */
  lineage: string;
  /** Path relative to the logdir. */
  name: string;
  nextStep: number;
  files: number;
  /** Steps of the histograms in each of them. */
  histograms: string[][];
  /** Whether a sync may have made a run of it. */
  wasSynced: boolean;
}

/** Where runs go. */
export interface Destination {
  readonly uri: string;
  /** MLflow's SQLite file. */
  readonly database: string;
  /** Where files are kept. */
  readonly artifacts: string;
  /** Whether nobody has the database open between two steps, so that its file can be removed. */
  readonly isEmbedded: boolean;
}

/** The database as it was, and the files. */
interface Backup {
  readonly database: string;
  readonly artifacts: string;
  /** Whether the files hold less than the database tells of: written since under a choice that lets in fewer, or older. */
  needsFiles: boolean;
}

interface Action {
  readonly name: string;
  /** How often, beside the others. */
  readonly weight: number;
  readonly fits?: () => boolean;
  /** @returns what it did, for the log */
  readonly act: () => string | Promise<string>;
}

export class World {
  /** What was done, one line a step. */
  readonly log: string[] = [];
  calms = 0;
  kills = 0;
  readonly #folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-model-"));
  readonly #observer = new Observer();
  readonly #random: () => number;
  readonly #destination: Destination;
  readonly #directories: Directory[] = [];
  /** Active runs beside those of the directories that are there, by lineage, at most: of removed and rewritten ones. */
  readonly #ghosts = new Map<string, number>();
  readonly #backups: Backup[] = [];
  /** Ids of the runs that the last calm has compared. */
  #compared: ReadonlySet<string> = new Set();
  #lineages = 0;
  #names = 0;
  #machine: string = MACHINES[0];
  #root: string = ROOTS[0];
  #choice = CHOICES[0] as Choice;

  constructor(seed: number, destination: Destination) {
    this.#random = seededRandom(seed);
    this.#destination = destination;
    mkdirSync(path.join(this.#logdir, "exp"), { recursive: true });
    this.#create();
  }

  async end(): Promise<void> {
    await this.#observer.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async step(): Promise<void> {
    const fitting = this.#actions.filter(({ fits }) => fits === undefined || fits());
    let at = this.#random() * fitting.reduce((sum, { weight }) => sum + weight, 0);
    const action = fitting.find(({ weight }) => (at -= weight) < 0) ?? (fitting[0] as Action);
    this.log.push(action.name);
    const did = await action.act();
    this.log[this.log.length - 1] = `${action.name} ${did}`;
  }

  get #logdir(): string {
    return path.join(this.#folder, "runs");
  }

  readonly #actions: readonly Action[] = [
    { name: "write", weight: 4, fits: () => this.#directories.length < MAX_DIRECTORIES, act: () => this.#create() },
    { name: "append", weight: 10, act: () => this.#append(this.#any()) },
    { name: "restart", weight: 3, act: () => this.#restart(this.#any()) },
    { name: "rewrite", weight: 2, act: () => this.#rewrite(this.#any()) },
    { name: "rename", weight: 3, act: () => this.#rename(this.#any()) },
    { name: "copy", weight: 2, fits: () => this.#directories.length < MAX_DIRECTORIES, act: () => this.#copy() },
    { name: "remove", weight: 1, fits: () => this.#directories.length > 2, act: () => this.#remove(this.#any()) },
    { name: "link", weight: 1, act: () => this.#link() },
    { name: "machine", weight: 2, act: () => (this.#machine = this.#pick(MACHINES)) },
    { name: "forget state", weight: 1, act: () => this.#loseState() },
    { name: "root", weight: 1, fits: () => this.#hasInner(), act: () => this.#changeRoot() },
    { name: "choice", weight: 3, act: () => (this.#choice = this.#pick(CHOICES)).options.join(" ") },
    { name: "back up", weight: 2, act: () => this.#backUp() },
    { name: "bring back", weight: 2, fits: () => this.#backups.length > 0, act: () => this.#bringBack() },
    { name: "empty", weight: 1, fits: () => this.#backups.length > 0, act: () => this.#empty() },
    { name: "kill", weight: 6, act: () => this.#kill() },
    { name: "both", weight: 2, act: () => this.#both() },
    { name: "watch", weight: 1, act: () => this.#watch() },
    { name: "delete", weight: 2, act: () => this.#delete() },
    { name: "calm", weight: 8, act: () => this.calm() },
  ];

  // The source.

  #create(): string {
    const inner = this.#random() < 0.5 ? "exp/" : "";
    const directory: Directory = {
      lineage: `L${this.#lineages++}`,
      name: `${inner}run${this.#names++}`,
      nextStep: 0,
      files: 0,
      histograms: [],
      wasSynced: false,
    };
    mkdirSync(this.#pathOf(directory), { recursive: true });
    this.#directories.push(directory);
    return this.#restart(directory);
  }

  /** What lies in both is the same run from either. */
  #changeRoot(): string {
    this.#root = this.#pick(ROOTS);
    return this.#root;
  }

  #append(directory: Directory): string {
    const files = readdirSync(this.#pathOf(directory)).sort();
    const count = 1 + Math.floor(this.#random() ** 3 * 400);
    appendFileSync(path.join(this.#pathOf(directory), files.at(-1) as string), this.#records(directory, count));
    return `${directory.name} by ${count}`;
  }

  #restart(directory: Directory): string {
    const number = directory.files++;
    directory.histograms.push([]);
    const file = path.join(this.#pathOf(directory), `events.out.tfevents.${TIME + number}.host.${number}.0`);
    const begun = eventFile(versionEvent(), event({ wallTime: TIME + Number(directory.lineage.slice(1)) }));
    writeFileSync(file, Buffer.concat([begun, this.#records(directory, 1 + Math.floor(this.#random() * 20))]));
    return `${directory.name} file ${number}`;
  }

  /** Other content under the same names. */
  #rewrite(directory: Directory): string {
    this.#leavesGhost(directory);
    for (const file of readdirSync(this.#pathOf(directory))) rmSync(path.join(this.#pathOf(directory), file));
    Object.assign(directory, {
      lineage: `L${this.#lineages++}`,
      nextStep: 0,
      files: 0,
      histograms: [],
      wasSynced: false,
    });
    return `${this.#restart(directory)} as ${directory.lineage}`;
  }

  #rename(directory: Directory): string {
    const before = directory.name;
    const name = this.#newName(directory);
    renameSync(this.#pathOf(directory), path.join(this.#logdir, name));
    directory.name = name;
    return `${before} to ${name}`;
  }

  #copy(): string {
    const original = this.#any();
    const name = this.#newName(original, true);
    const copy = { ...original, name, histograms: structuredClone(original.histograms), wasSynced: false };
    cpSync(this.#pathOf(original), this.#pathOf(copy), { recursive: true });
    this.#directories.push(copy);
    return `${original.name} to ${copy.name}`;
  }

  /** Copies stay side by side: under a root that holds but one of them nobody could tell which one that is. */
  #newName({ name, lineage }: Directory, isCopy = false): string {
    const stays = isCopy || this.#directories.some((each) => each.lineage === lineage && each.name !== name);
    const isInner = stays ? name.startsWith("exp/") : this.#random() < 0.5;
    return `${isInner ? "exp/" : ""}run${this.#names++}`;
  }

  #remove(directory: Directory): string {
    this.#leavesGhost(directory);
    rmSync(this.#pathOf(directory), { recursive: true });
    this.#directories.splice(this.#directories.indexOf(directory), 1);
    return directory.name;
  }

  #link(): string {
    const link = path.join(this.#logdir, "latest");
    const { name } = this.#any();
    rmSync(link, { force: true });
    symlinkSync(name, link);
    return name;
  }

  #records(directory: Directory, count: number): Buffer {
    const { lineage, nextStep } = directory;
    const payloads: Uint8Array[] = [];
    for (let step = nextStep; step < nextStep + count; step++) {
      // What copies come to hold differs from the moment on that they are copies.
      const value = step % 7 === 3 ? Number.NaN : Math.fround(this.#random());
      payloads.push(scalarEvent(`loss/${lineage}`, step, value, TIME + step));
      if (step % 3 === 0) payloads.push(scalarEvent("aux", step, step, TIME + step));
      if (step % 5 === 0) {
        payloads.push(histogramEvent("weights", step));
        directory.histograms.at(-1)?.push(String(step));
      }
    }
    directory.nextStep = nextStep + count;
    return eventFile(...payloads);
  }

  #leavesGhost({ lineage, wasSynced }: Directory): void {
    if (wasSynced) this.#ghosts.set(lineage, (this.#ghosts.get(lineage) ?? 0) + 1);
  }

  // The destination.

  async #backUp(): Promise<string> {
    const { database, artifacts } = this.#destination;
    if (!existsSync(database)) return "nothing";
    const name = path.join(this.#folder, `backup-${this.#backups.length}`);
    const backup = { database: `${name}.db`, artifacts: `${name}-artifacts`, needsFiles: false };
    await this.#observer.copyDatabase(database, backup.database);
    if (existsSync(artifacts)) cpSync(artifacts, backup.artifacts, { recursive: true });
    this.#backups.push(backup);
    return String(this.#backups.length - 1);
  }

  #bringBack(): Promise<string> {
    return this.#restore(this.#pick(this.#backups));
  }

  async #restore(backup: Backup): Promise<string> {
    const { database, artifacts } = this.#destination;
    await this.#observer.copyDatabase(backup.database, database);
    // Most people put the database back and leave the files as they are. A copy that then takes the place of what it was
    // copied from would find files that go on in another way.
    if (!backup.needsFiles && !this.#hasCopies()) return String(this.#backups.indexOf(backup));
    rmSync(artifacts, { recursive: true, force: true });
    if (existsSync(backup.artifacts)) cpSync(backup.artifacts, artifacts, { recursive: true });
    for (const each of this.#backups) each.needsFiles = true;
    return `${this.#backups.indexOf(backup)} with its files`;
  }

  async #empty(): Promise<string> {
    const { database, isEmbedded } = this.#destination;
    if (isEmbedded && this.#random() < 0.5) {
      for (const part of ["", "-wal", "-shm", "-journal"]) rmSync(database + part, { force: true });
      return "by removing the file";
    }
    // The first backup is from before anything was sent, or soon after.
    return `by backup ${await this.#restore(this.#backups[0] as Backup)}`;
  }

  #hasCopies(): boolean {
    const lineages = [...this.#directories.map(({ lineage }) => lineage), ...this.#ghosts.keys()];
    return new Set(lineages).size < lineages.length;
  }

  async #delete(): Promise<string> {
    await this.calm();
    const runs = await this.#stored();
    // One of a copy that lies outside the root is none of this sync's.
    const victim = runs.find((run) => run.active && this.#compared.has(run.id));
    if (victim === undefined) return "nothing";
    const { database } = this.#destination;
    await this.#observer.setStage(database, victim.id, "deleted");
    const how = this.#pick(["restore", "gc", "resend"] as const);
    if (how === "gc") await this.#observer.gc(database, victim.id);
    else {
      const ended = await this.#sync();
      const errors = jsonOf(ended).runs.flatMap(({ error }) => error?.code ?? []);
      if (
        this.#isGhost(victim) ? ended.code !== 0 && ended.code !== 1 : ended.code !== 1 || !errors.includes("deleted")
      )
        throw new Error(`a deleted run is not reported: ${ended.code} ${ended.stderr}\n${ended.stdout}`);
      if (how === "restore") await this.#observer.setStage(database, victim.id, "active");
      else {
        await this.calm(["--resend-deleted"]);
        // Given up for good: a machine without its state could not tell it from one that was just deleted.
        await this.#observer.gc(database, victim.id);
      }
    }
    return `${victim.name} and ${how}`;
  }

  /** Whether it may be the run of a directory that is there no longer. */
  #isGhost({ metrics }: StoredRun): boolean {
    return [...this.#ghosts.keys()].some((lineage) => metrics[`loss/${lineage}`] !== undefined);
  }

  // tracelet.

  #loseState(): string {
    rmSync(this.#stateDir(this.#machine), { recursive: true, force: true });
    return this.#machine;
  }

  async #kill(): Promise<string> {
    const after = 50 + this.#random() * 700;
    const ended = await this.#sync(this.#machine, [], after);
    if (ended.signal === "SIGKILL") this.kills++;
    return `after ${Math.round(after)} ms: ${ended.signal ?? ended.code}`;
  }

  async #both(): Promise<string> {
    const ended = await Promise.all(MACHINES.map((machine) => this.#sync(machine)));
    const bad = ended.find(({ code }) => code !== 0 && code !== 1);
    if (bad !== undefined) throw new Error(`ended with ${bad.code}: ${bad.stderr}`);
    return ended.map(({ code }) => code).join(" ");
  }

  async #watch(): Promise<string> {
    this.#mayBeSynced();
    const watching = await tracelet(["watch", ...this.#arguments(this.#machine), "--until-idle", "1s"]);
    if (watching.code !== 0) throw new Error(`watch ended with ${watching.code}: ${watching.stderr}`);
    return this.#machine;
  }

  /** Sync once without anything in the way, and compare both ends. */
  async calm(more: readonly string[] = []): Promise<string> {
    const ended = await this.#sync(this.#machine, more);
    if (ended.code !== 0) throw new Error(`sync ended with ${ended.code}: ${ended.stderr}\n${ended.stdout}`);
    await this.#compare(jsonOf(ended));
    this.calms++;
    return `${this.#machine} ${this.#root} ${this.#choice.options.join(" ")}`;
  }

  async #sync(machine = this.#machine, more: readonly string[] = [], killAfter?: number): Promise<Ended> {
    this.#mayBeSynced();
    if (this.#choice.options.includes("--every")) for (const backup of this.#backups) backup.needsFiles = true;
    const args = ["sync", "--json", ...this.#arguments(machine), ...more];
    const ended = await tracelet(args, killAfter === undefined ? {} : { killAfter });
    const runs = ended.stdout === "" ? [] : jsonOf(ended).runs;
    const became = runs.map(({ name, outcome, remoteId }) => `${name} ${outcome} ${remoteId?.slice(0, 4)}`);
    this.log.splice(-1, 0, `  ${machine}: ${became.join(", ")}`);
    return ended;
  }

  #arguments(machine: string): string[] {
    const to = ["--tracking-uri", this.#destination.uri, "--experiment", EXPERIMENT];
    const state = ["--state-dir", this.#stateDir(machine)];
    return [path.join(this.#logdir, this.#root), "--backend", "mlflow", ...to, ...state, ...this.#choice.options];
  }

  #mayBeSynced(): void {
    for (const directory of this.#inRoot()) directory.wasSynced = true;
  }

  async #compare(report: SyncJson): Promise<void> {
    const inRoot = this.#inRoot();
    const truth = await this.#observer.tensorboard(inRoot.map((each) => this.#pathOf(each)));
    const runs = await this.#stored();
    const byId = new Map(runs.map((run) => [run.id, run]));
    const ids = new Set<string>();
    for (const directory of inRoot) {
      const name = path.relative(this.#root, directory.name);
      const reported = report.runs.find((run) => run.name === name);
      const run = byId.get(reported?.remoteId ?? "");
      if (run === undefined || !run.active) throw new Error(`${name} has no active run: ${JSON.stringify(reported)}`);
      if (ids.has(run.id)) throw new Error(`${name} shares run ${run.id} with another directory`);
      ids.add(run.id);
      this.#comparePoints(name, truth[this.#pathOf(directory)] as SourceRun, run, directory.histograms);
    }
    this.#compared = ids;
    this.#compareNumbers(runs);
  }

  #comparePoints(name: string, { scalars, histograms }: SourceRun, run: StoredRun, written: string[][]): void {
    const there = new Set(Object.entries(run.metrics).flatMap(([key, points]) => points.map(textOf(key))));
    const known = new Set(Object.entries(scalars).flatMap(([tag, points]) => points.map(textOf(tag))));
    for (const [tag, points] of Object.entries(scalars)) {
      const lost = points.filter((point) => this.#choice.wantsPoint(tag, point) && !there.has(textOf(tag)(point)));
      if (lost.length > 0)
        throw new Error(`${name}: ${lost.length} of ${points.length} ${tag} are lost, first ${lost[0]}`);
    }
    const extra = [...there].filter((text) => !known.has(text));
    if (extra.length > 0) throw new Error(`${name}: ${extra.length} points are in no file, first ${extra[0]}`);
    for (const [tag, steps] of Object.entries(histograms)) {
      const lines = run.histograms[tag] ?? [];
      // Each file is counted by itself.
      const wanted = written.flatMap((ofFile) => this.#choice.wantsHistograms(ofFile));
      const lost = wanted.filter((step) => !lines.includes(step));
      if (lost.length > 0)
        throw new Error(`${name}: ${lost.length} of ${steps.length} histograms are lost, first ${lost[0]}`);
      if (new Set(lines).size < lines.length) throw new Error(`${name}: histogram lines are there twice: ${lines}`);
      const extraLines = lines.filter((step) => !steps.includes(step));
      if (extraLines.length > 0) throw new Error(`${name}: histograms are in no file, first ${extraLines[0]}`);
    }
  }

  /** One active run a source, beside those of what is there no longer. */
  #compareNumbers(runs: readonly StoredRun[]): void {
    const active = runs.filter((run) => run.active && run.tags["tracelet.replaced_by"] === undefined);
    for (const lineage of new Set(this.#directories.map((each) => each.lineage))) {
      const ofLineage = active.filter((run) => run.metrics[`loss/${lineage}`] !== undefined);
      const present = this.#directories.filter((each) => each.lineage === lineage).length;
      const most = present + (this.#ghosts.get(lineage) ?? 0);
      if (ofLineage.length > most) {
        const found = ofLineage.map(({ id, name }) => `${id} ${name}`).join(", ");
        throw new Error(`${lineage} has ${ofLineage.length} active runs instead of ${most}: ${found}`);
      }
    }
  }

  #stored(): Promise<StoredRun[]> {
    return this.#observer.stored(this.#destination.database, this.#destination.artifacts);
  }

  #inRoot(): Directory[] {
    return this.#directories.filter(({ name }) => this.#root === "." || name.startsWith(`${this.#root}/`));
  }

  #hasInner(): boolean {
    return this.#directories.some(({ name }) => name.startsWith("exp/"));
  }

  #pathOf({ name }: Directory): string {
    return path.join(this.#logdir, name);
  }

  #stateDir(machine: string): string {
    return path.join(this.#folder, `state-${machine}`);
  }

  #any(): Directory {
    return this.#pick(this.#directories);
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T;
  }
}

function textOf(tag: string): (point: Point) => string {
  return (point) => `${tag} ${point.join(" ")}`;
}

function jsonOf({ stdout, stderr, code }: Ended): SyncJson {
  if (stdout === "") throw new Error(`sync said nothing and ended with ${code}: ${stderr}`);
  return JSON.parse(stdout) as SyncJson;
}

function histogramEvent(tag: string, step: number): Uint8Array {
  const histo = { min: 0, max: 2, num: 3, sum: step, sumSquares: step, bucketLimit: [1, 2], bucket: [1, 2] };
  return event({ wallTime: TIME + step, step, summary: { value: [{ tag, histo }] } });
}
