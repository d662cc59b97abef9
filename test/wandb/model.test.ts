/**
 * Whatever happens to logdirs, states and the server, in whatever order: after each calm, each training that is there has one
 * run, with each of its points once.
 */
import { cpSync, existsSync, rmSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";
import { FaultProxy } from "../e2e/support/fault-proxy.ts";
import { pointText } from "../support/memory-backend.ts";
import { seededRandom } from "../support/seeded-random.ts";
import { curve, fileOf, interleaved, type Point, records } from "../sync/world.ts";
import { connect, faultsOf, NO_FAULTS, pointsIn, storeOf } from "./destination.ts";
import { WandbWorld } from "./world.ts";

/** More of them, and others, for a longer look: `WANDB_MODEL_STEPS=5000 WANDB_MODEL_SEED=2`. */
const STEPS = Number(process.env["WANDB_MODEL_STEPS"] ?? 120);
const SEED = Number(process.env["WANDB_MODEL_SEED"] ?? 1);

const MACHINES = ["state", "other"] as const;
const NARROW = { includeTags: [], excludeTags: ["debug/*"], nan: "keep" } as const;
const WIDE = { includeTags: [], excludeTags: [], nan: "keep" } as const;
/** Bytes of lines: some rows. */
const SMALL = 300;

/** A training, which may be called otherwise by and by. */
interface Training {
  /** In the names of its tags, so that its points are no other's. */
  readonly id: number;
  name: string | undefined;
  /** How many points its file has; a step has one of each tag, and the last may lack one. */
  length: number;
}

const textOf = ({ tag, step, wallTime, value }: Omit<Point, "step"> & { readonly step: number | bigint }) =>
  pointText(tag, step, wallTime, value);

class Model {
  readonly world: WandbWorld;
  readonly proxy: FaultProxy;
  readonly said: string[] = [];
  readonly #random = seededRandom(SEED);
  readonly #trainings: Training[] = [];
  #restore: (() => void) | undefined;
  #isStateKept = false;
  /** What was asked for by those whose last requests have not arrived yet. */
  #late: typeof WIDE | typeof NARROW | undefined;
  #machine: (typeof MACHINES)[number] = "state";

  constructor(world: WandbWorld, proxy: FaultProxy) {
    this.world = world;
    this.proxy = proxy;
  }

  async step(): Promise<void> {
    const acts: readonly (readonly [string, () => Promise<void> | void])[] = [
      ["begin", () => this.#begin()],
      ["grow", () => this.#grow()],
      ["grow", () => this.#grow()],
      ["rename", () => this.#rename()],
      ["begin anew in its place", () => this.#replace()],
      ["cut for a while", () => this.#cut()],
      ["sync", () => this.#sync(WIDE)],
      ["sync narrowly", () => this.#syncNarrowly()],
      ["sync and die", () => this.#syncAndDie()],
      ["sync and die in a batch", () => this.#dieInBatch()],
      ["sync and die in a batch", () => this.#dieInBatch()],
      ["late requests arrive", () => this.#release()],
      ["other machine", () => void (this.#machine = this.#pick(MACHINES))],
      ["lose state", () => rmSync(this.#state, { recursive: true, force: true })],
      ["keep or bring back state", () => this.#keepState()],
      ["back up or restore", () => this.#backUp()],
      ["delete a run", () => this.#delete()],
      ["calm", () => this.calm()],
    ];
    const [name, act] = this.#pick(acts);
    this.said.push(name);
    await act();
  }

  /** All is sent, and then there is nothing to be done. */
  async calm(): Promise<void> {
    if (this.#late !== undefined) {
      this.world.options = { resendsDeleted: true };
      await this.#sync(this.#late);
      await this.#release();
    }
    this.world.options = { resendsDeleted: true };
    const { runs: first } = await this.#sync(WIDE);
    for (const { name, error } of first) expect([name, error], this.#story).toEqual([name, undefined]);
    this.world.options = {};
    const again = await this.#sync(WIDE);
    for (const { name, outcome } of again.runs) expect([name, outcome], this.#story).toEqual([name, "unchanged"]);
    const runs = this.world.runs.map((run) => ({ run, points: run.rows.flatMap(pointsIn) }));
    for (const training of this.#trainings) {
      const own = runs.filter(({ points }) => points.some(({ tag }) => tag.endsWith(`-${training.id}`)));
      if (training.name === undefined) {
        expect(own.length, this.#story).toBeLessThanOrEqual(1);
        continue;
      }
      expect(
        own.map(({ run }) => run.fields.displayName),
        this.#story,
      ).toEqual([training.name]);
      const [{ run, points } = { run: undefined, points: [] }] = own;
      expect(points.map(textOf).sort(), this.#story).toEqual(this.#pointsOf(training).map(textOf).sort());
      if (run !== undefined) {
        // What came late, or was sent by one that died, is written over.
        const lenient = { changed: expect.any(Number), repeated: expect.any(Number) };
        expect(faultsOf(run), this.#story).toEqual({ ...NO_FAULTS, ...lenient });
      }
    }
  }

  get #story(): string {
    return this.said.join(", ");
  }

  get #state(): string {
    return path.join(this.world.root, this.#machine);
  }

  #pick<T>(all: readonly T[]): T {
    return all[Math.floor(this.#random() * all.length)] as T;
  }

  #live(): Training | undefined {
    return this.#pick(this.#trainings.filter(({ name }) => name !== undefined));
  }

  #pointsOf({ id, length }: Training, from = 0): Point[] {
    return interleaved(curve(`loss-${id}`, 0, length), curve(`debug/x-${id}`, 0, length)).slice(from, length);
  }

  #freeName(): string {
    const taken = new Set(this.#trainings.map(({ name }) => name));
    const names = ["a", "b", "c/d", "c/e", "f"].filter((name) => !taken.has(name));
    return names.length === 0 ? `g-${this.#trainings.length}` : this.#pick(names);
  }

  #begin(name: string = this.#freeName()): void {
    if (this.#trainings.filter((training) => training.name !== undefined).length > 4) return;
    const training: Training = { id: this.#trainings.length, name, length: 1 + Math.floor(this.#random() * 9) };
    this.#trainings.push(training);
    this.world.logdir.write(name, fileOf(this.#pointsOf(training), training.id));
  }

  #grow(): void {
    const training = this.#live();
    if (training?.name === undefined) return;
    const from = training.length;
    training.length += 1 + Math.floor(this.#random() * 9);
    this.world.logdir.append(training.name, records(this.#pointsOf(training, from)));
  }

  #rename(): void {
    const training = this.#live();
    if (training?.name === undefined) return;
    const name = this.#freeName();
    this.world.logdir.rename(training.name, name);
    training.name = name;
  }

  #replace(): void {
    const training = this.#live();
    if (training?.name === undefined) return;
    const { name } = training;
    training.name = undefined;
    this.world.logdir.remove(name);
    this.#begin(name);
  }

  /** As while it is copied anew. */
  async #cut(): Promise<void> {
    const training = this.#live();
    if (training?.name === undefined) return;
    // Under a name that nobody has told of, a shorter file is a copy from before the rest was written.
    this.world.options = { resendsDeleted: true };
    await this.#sync(WIDE);
    this.world.options = {};
    const whole = this.world.logdir.read(training.name);
    this.world.logdir.truncate(training.name, 60 + Math.floor(this.#random() * (whole.length - 60)));
    await this.#sync(WIDE);
    this.world.logdir.write(training.name, whole);
  }

  async #sync(
    transform: typeof WIDE | typeof NARROW,
    base: string = this.world.server.uri,
  ): ReturnType<WandbWorld["sync"]> {
    // The request of an earlier choice would bring back what the later one leaves out: nobody can tell that it is coming.
    if (this.#late !== undefined && this.#late !== transform) {
      const late = this.#late;
      this.said.push("sync as those that are late");
      await this.#sync(late);
      await this.#release();
    }
    this.world.stateDir = this.#state;
    const store = storeOf(base, 1, SMALL);
    const backend = connect(base, 1, { store, wait: async () => {}, random: () => 0, ...this.world.options });
    return this.world.sync({ transform, backend });
  }

  async #syncAndDie(): Promise<void> {
    const at = 1 + Math.floor(this.#random() * 20);
    const kind = this.#pick(["reset-before", "reset-after"] as const);
    const transform = this.#pick([WIDE, NARROW]);
    this.said.push(`${kind} at ${at}`);
    this.proxy.inject(
      { fault: { kind }, nth: (n) => n === at },
      { fault: { kind: "reset-before" }, nth: (n) => n > at },
    );
    await this.#sync(transform, this.proxy.uri);
    this.proxy.calm();
  }

  /** A batch takes several requests, and one of them may arrive when others have gone on. */
  async #dieInBatch(): Promise<void> {
    const requests = /file_stream$/;
    const at = 1 + Math.floor(this.#random() * 4);
    const kind = this.#pick(["reset-after", "late", "late"] as const);
    const transform = this.#pick([WIDE, NARROW]);
    // Before the faults: this may be a sync of its own.
    if (this.#late !== undefined && this.#late !== transform) await this.#sync(transform);
    this.said.push(`${kind} at ${at} of the lines`);
    let isOver = false;
    const isLast = (n: number) => {
      isOver ||= n === at;
      return n === at;
    };
    this.proxy.inject(
      { fault: { kind }, requests, nth: isLast },
      { fault: { kind: "reset-before" }, nth: () => isOver },
    );
    await this.#sync(transform, this.proxy.uri);
    this.proxy.calm();
    if (isOver && kind === "late") this.#late = transform;
    // The training goes on while nobody sends anything: its last row may be longer then.
    const next = this.#random();
    if (next < 0.5) for (let n = 0; n < 5; n++) this.#grow();
    else if (next < 0.75) await this.#syncNarrowly();
  }

  /** What is asked for is there, and nothing twice. */
  async #syncNarrowly(): Promise<void> {
    this.world.options = { resendsDeleted: true };
    await this.#sync(NARROW);
    this.world.options = {};
    this.said.push("look at what is there");
    const runs = this.world.runs.map(({ rows }) => rows.flatMap(pointsIn).map(textOf));
    for (const points of runs) expect(points.length, this.#story).toBe(new Set(points).size);
    for (const training of this.#trainings) {
      if (training.name === undefined) continue;
      const wanted = this.#pointsOf(training).filter(({ tag }) => !tag.startsWith("debug/"));
      const lacking = (points: readonly string[]) => wanted.filter((point) => !points.includes(textOf(point)));
      expect(Math.min(...runs.map((points) => lacking(points).length)), this.#story).toBe(0);
    }
  }

  async #release(): Promise<void> {
    const count = await this.proxy.release();
    this.#late = undefined;
    if (count > 0) this.said.push(`${count} arrive`);
  }

  #keepState(): void {
    const kept = path.join(this.world.root, "kept");
    const state = path.join(this.world.root, "state");
    const [from, to] = this.#isStateKept ? [kept, state] : [state, kept];
    if (!existsSync(from)) return;
    rmSync(to, { recursive: true, force: true });
    cpSync(from, to, { recursive: true });
    this.#isStateKept = !this.#isStateKept;
  }

  async #backUp(): Promise<void> {
    // A server that is set back does not take what was on its way before.
    await this.#release();
    if (this.#restore === undefined) this.#restore = this.world.server.account.backup();
    else {
      this.#restore();
      this.#restore = undefined;
    }
  }

  #delete(): void {
    const run = this.#pick(this.world.runs);
    if (run !== undefined) this.world.server.account.delete(run);
  }
}

test(`${STEPS} steps`, async ({ onTestFinished }) => {
  const world = await WandbWorld.create();
  const proxy = await FaultProxy.start(world.server.port);
  onTestFinished(() => proxy.stop());
  const model = new Model(world, proxy);
  for (let step = 0; step < STEPS; step++) await model.step();
  await model.calm();
});
