/**
 * Metrics computed from the scalars of a run as they are read: over the last points of a metric, as a running average, as its
 * best value, or from several metrics at one step.
 *
 * What comes of a point depends only on what was written before it, in TensorBoard's reading order. So whoever reads the
 * files, from whatever place and after whatever crash, comes to the same. No state is kept beside the files: what stands
 * before the place where sending begins is read once more.
 *
 * A file goes on with the points of the last file before it that has the metric, as far as they were written before it began:
 * that is a training that was restarted. Two files that grow at the same time do not see each other. A restart (`SessionLog
 * START` at step T, or under `any` a step that goes back) takes back the points at its step and above.
 */
import type { RecordBatch, SessionStart } from "../../../reader/record-batch.ts";
import type { RestartPolicy } from "../../../reader/restarts.ts";
import type { Tally } from "../../report/tally.ts";
import { nameInGroup } from "../../source/group-names.ts";
import { CodeStep } from "./code-step.ts";
import { NewNames } from "./new-names.ts";
import { type MissingMetric, type Recipe, Recipes } from "./recipes.ts";
import type { MetricRules, RunMember } from "./rules.ts";
import { Series } from "./series.ts";
import { ToldTypes } from "./told-types.ts";
import type { Line } from "./windows.ts";

/** All files of a run. */
export class Derivation<File extends object> {
  readonly #files = new Map<File, FileMetrics>();
  readonly #recipes: Recipes;

  /** @param files in the order they are read, with the members that they belong to */
  constructor(rules: MetricRules, restarts: RestartPolicy, files: readonly (readonly [File, RunMember])[]) {
    this.#recipes = new Recipes(rules, restarts);
    const before = new Map<string, FileMetrics>();
    for (const [file, member] of files) {
      const metrics = new FileMetrics(this.#recipes, rules, member, before.get(member.path));
      before.set(member.path, metrics);
      this.#files.set(file, metrics);
    }
  }

  of(file: File): FileMetrics | undefined {
    return this.#files.get(file);
  }

  /** Metrics whose best value was asked for, where nobody knows what is better; each once. */
  takeUndecided(): string[] {
    const { undecided } = this.#recipes;
    const names = [...undecided];
    undecided.clear();
    return names;
  }

  /** Metrics that expressions need and the run does not have, where it looks as if it should. */
  missing(): MissingMetric[] {
    return this.#recipes.missing();
  }
}

/** What is made of the metric that a tag stands for. */
interface Plan {
  readonly line: Line | undefined;
  readonly recipe: Recipe;
  /** Numbers of the made tags. */
  readonly computed: readonly (readonly number[])[];
  readonly joined: readonly number[];
}

/** Scalars that were read, and what to do about them. */
export interface NewScalars {
  readonly batch: RecordBatch;
  readonly firstScalar: number;
  /** Which restarts were read with them, in the file's order. */
  readonly starts: readonly SessionStart[];
  readonly skipsNan: boolean;
  /** Whether a restart still to come makes a point obsolete. Then nothing that comes of it is sent. */
  readonly isObsolete: ((i: number) => boolean) | undefined;
  /** The same of what was sent before that restart; expressions pass over it, or it would take a later point's partner. */
  readonly isReplaced: ((i: number) => boolean) | undefined;
}

/** The metrics of one event file, from its start on. */
export class FileMetrics {
  readonly #recipes: Recipes;
  readonly #member: RunMember;
  readonly #before: FileMetrics | undefined;
  readonly #code: CodeStep | undefined;
  readonly #names: NewNames | undefined;
  readonly #types: ToldTypes | undefined;
  /** When its first event was written, seconds since the Unix epoch. */
  #began: number | undefined;
  #isBroken = false;
  readonly #lines = new Map<string, Line>();
  readonly #starts: SessionStart[] = [];
  /** By tag numbers of this table; null where nothing is made. */
  #plans: (Plan | null | undefined)[] = [];
  #table: RecordBatch["tagTable"] | undefined;

  constructor(recipes: Recipes, rules: MetricRules, member: RunMember, before: FileMetrics | undefined) {
    this.#recipes = recipes;
    this.#member = member;
    this.#before = before;
    this.#code = rules.transform && new CodeStep(rules.transform, member);
    this.#names = rules.rename.length === 0 ? undefined : new NewNames(rules, member);
    this.#types = rules.tellsTypes ? new ToldTypes(rules.types, member) : undefined;
  }

  /** Add what comes of a batch's newest scalars to it. They must come in the file's order, each once. @returns how many */
  add({ batch, firstScalar, starts: sessionStarts, skipsNan, isObsolete, isReplaced }: NewScalars): number {
    this.#began ??= batch.began;
    if (batch.tagTable !== this.#table) this.#plans = [];
    this.#table = batch.tagTable;
    const { restarts } = this.#recipes;
    const starts = restarts === "explicit" ? sessionStarts : [];
    let next = 0;
    const end = batch.length;
    for (let i = firstScalar; i < end; i++) {
      const offset = batch.offset[i] as number;
      for (; next < starts.length && (starts[next] as SessionStart).offset < offset; next++)
        this.#restart(starts[next] as SessionStart);
      const tag = batch.tag[i] as number;
      const known = this.#plans[tag];
      const plan = known === undefined ? this.#plan(batch, tag) : known;
      if (plan === null || (skipsNan && Number.isNaN(batch.value[i]))) continue;
      const isSent = isObsolete?.(i) !== true;
      if (plan.line !== undefined) this.#compute(batch, i, plan, plan.line, isSent, restarts === "any");
      // Under `any` each metric restarts by itself: the others' values may still belong to the one that is replaced.
      if (plan.joined.length > 0 && (restarts !== "explicit" || isReplaced?.(i) !== true))
        this.#join(batch, i, plan, isSent, restarts === "any");
    }
    for (; next < starts.length; next++) this.#restart(starts[next] as SessionStart);
    return batch.length - end;
  }

  /** Whether the file, or one that it goes on with, could not be read to its end: what would come of its points is not known. */
  get isBroken(): boolean {
    return this.#isBroken || this.#before?.isBroken === true;
  }

  breakOff(): void {
    this.#isBroken = true;
  }

  /** Give a batch's newest scalars, as far as they are to be sent, to the user's code, and rename what that leaves. */
  rewrite(batch: RecordBatch, firstScalar: number, firstDatum: number, tally: Tally): void {
    this.#code?.apply(batch, firstScalar, tally);
    this.#names?.apply(batch, firstScalar, firstDatum);
    if (this.#types !== undefined) tally.derived("metric_info", this.#types.tell(batch, firstScalar, firstDatum));
  }

  #compute(batch: RecordBatch, i: number, plan: Plan, line: Line, isSent: boolean, goesBack: boolean): void {
    const { series } = line;
    const [low, high] = [batch.stepWords[2 * i] as number, batch.stepWords[2 * i + 1] as number];
    const [wallTime, offset] = [batch.wallTime[i] as number, batch.offset[i] as number];
    if (goesBack) {
      const step = batch.step[i] as bigint;
      const last = series.lastStep;
      if (last !== undefined && step <= last) takeBack(line, plan.recipe, step);
    }
    series.push(low, high, wallTime, batch.value[i] as number);
    const { computes } = plan.recipe;
    for (let c = 0; c < computes.length; c++) {
      const { compute } = computes[c] as Recipe["computes"][number];
      if (!compute.next(line) || !isSent) continue;
      const made = plan.computed[c] as readonly number[];
      for (let v = 0; v < made.length; v++)
        batch.push(made[v] as number, low, high, wallTime, compute.out[v] as number, offset);
    }
    if (line.takenBack !== undefined && (batch.step[i] as bigint) > line.takenBack) line.takenBack = undefined;
  }

  #join(batch: RecordBatch, i: number, { recipe, joined }: Plan, isSent: boolean, goesBack: boolean): void {
    const [low, high] = [batch.stepWords[2 * i] as number, batch.stepWords[2 * i + 1] as number];
    const [wallTime, value] = [batch.wallTime[i] as number, batch.value[i] as number];
    for (const [j, { join, index }] of recipe.joins.entries()) {
      const step = batch.step[i] as bigint;
      if (goesBack) join.goTo(index, this.#member.path, step);
      const whole = join.add(index, this.#member.path, step, wallTime, value);
      if (whole === undefined || !isSent) continue;
      batch.push(joined[j] as number, low, high, whole.wallTime, whole.value, batch.offset[i] as number);
    }
  }

  #restart(start: SessionStart): void {
    this.#starts.push(start);
    for (const [tag, line] of this.#lines) takeBack(line, this.#recipeOf(tag), start.step);
    for (const join of this.#recipes.joins) join.rewind(this.#member.path, start.step);
  }

  #recipeOf(tag: string): Recipe {
    return this.#recipes.of(nameInGroup(this.#member, tag));
  }

  #plan({ tagTable, tags }: RecordBatch, id: number): Plan | null {
    const tag = tags[id] as string;
    const recipe = this.#recipeOf(tag);
    const { computes, joins } = recipe;
    const isNone = computes.length === 0 && joins.length === 0;
    const plan = isNone
      ? null
      : {
          line: computes.length === 0 ? undefined : this.#lineOf(tag, recipe),
          recipe,
          computed: computes.map((each) => each.tags.map((made) => tagTable.ofName(made))),
          joined: joins.map((each) => tagTable.ofName(each.tag)),
        };
    this.#plans[id] = plan;
    return plan;
  }

  #lineOf(tag: string, recipe: Recipe): Line {
    const known = this.#lines.get(tag);
    if (known !== undefined) return known;
    // Where it is not known when the file began, nothing is taken over: it must not depend on how far others were read.
    const before = this.#before?.goingOn(tag, recipe, this.#began ?? Number.NaN);
    const line = before ?? { series: new Series(recipe.columns), takenBack: undefined };
    for (const { step } of this.#starts) takeBack(line, recipe, step);
    this.#lines.set(tag, line);
    return line;
  }

  /** What a later file that began at `wallTime` goes on with. */
  goingOn(tag: string, recipe: Recipe, wallTime: number): Line | undefined {
    const own = this.#lines.get(tag);
    if (own?.series.isBegunBefore(wallTime) === true)
      return { series: own.series.writtenBefore(wallTime), takenBack: own.takenBack };
    const line = this.#before?.goingOn(tag, recipe, wallTime);
    if (line !== undefined)
      for (const start of this.#starts) if (start.wallTime < wallTime) takeBack(line, recipe, start.step);
    return line;
  }
}

function takeBack(line: Line, { computes }: Recipe, step: bigint): void {
  const { from, greatest } = line.series.rewind(step);
  if (greatest === undefined) return;
  if (line.takenBack === undefined || greatest > line.takenBack) line.takenBack = greatest;
  if (from < line.series.length) for (const { compute } of computes) compute.again?.(line.series, from);
}
