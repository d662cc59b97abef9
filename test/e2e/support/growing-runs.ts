/** Runs that grow, the experiment that they are sent to, and what has arrived there. */
import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { eventFile, scalarEvent, versionEvent, WALL_TIME } from "../../support/event-writer.ts";
import type { Observer, StoredRun } from "../model/observer.ts";

/** How many points each run has from the beginning on, and gets whenever they grow. */
const POINTS = 10;

/** No two of them share an experiment. */
let made = 0;

export class GrowingRuns {
  /** For whatever belongs to them alone. */
  readonly folder: string;
  readonly names: readonly string[];
  /** MLflow's SQLite file. */
  readonly database: string;
  readonly experiment: string = `growing runs ${++made}`;
  readonly #observer: Observer;
  /** How many each has. */
  points = 0;

  /**
   * @param workspace where they get a folder of their own
   * @param database of a server; by default one in their folder
   */
  constructor(workspace: string, names: readonly string[], observer: Observer, database?: string) {
    this.folder = path.join(workspace, this.experiment.replaceAll(" ", "-"));
    this.names = names;
    this.database = database ?? path.join(this.folder, "mlflow.db");
    this.#observer = observer;
    for (const run of names) {
      mkdirSync(this.directory(run), { recursive: true });
      writeFileSync(this.#file(run), eventFile(versionEvent()));
    }
    this.grow();
  }

  get logdir(): string {
    return path.join(this.folder, "runs");
  }

  directory(run: string): string {
    return path.join(this.logdir, run);
  }

  #file(run: string): string {
    return path.join(this.directory(run), "events.out.tfevents.1.host.1.0");
  }

  /** Each run has a tag of its own. */
  tag(run: string): string {
    return `loss/${run}`;
  }

  grow(): void {
    const steps = Array.from({ length: POINTS }, (_, i) => this.points + i);
    for (const [i, run] of this.names.entries()) {
      const events = steps.map((step) => scalarEvent(this.tag(run), step, step + i / 4, WALL_TIME + step));
      appendFileSync(this.#file(run), eventFile(...events));
    }
    this.points += POINTS;
  }

  /** What tracelet is told of them. @param machine each has a state of its own */
  args(uri: string, machine = "state"): string[] {
    const to = ["--tracking-uri", uri, "--experiment", this.experiment];
    return [this.logdir, ...to, "--state-dir", path.join(this.folder, machine)];
  }

  /** Ids of their runs at the destination, active ones first. */
  ids(): Promise<string[]> {
    return this.#observer.inExperiment(this.database, this.experiment);
  }

  async stored(): Promise<StoredRun[]> {
    const ids = new Set(await this.ids());
    return (await this.#observer.stored(this.database, this.folder)).filter(({ id }) => ids.has(id));
  }
}
