/** All that the server keeps: the runs of the projects of one user and the teams they belong to. */
import { ArtifactStore } from "./artifacts.ts";
import { Refusal } from "./refusal.ts";
import { StoredRun } from "./run.ts";
import { Uploads } from "./uploads.ts";

const DEFAULT_PROJECT = "uncategorized";
// What W&B's client refuses before it sends anything, so that nobody knows how the server words it.
const BAD_IN_PROJECT = /[/\\#?%:]/;
const BAD_IN_RUN = /[:;,#?/']|^\s|\s$|^$/;

export interface RunAddress {
  readonly entity?: string | null;
  readonly project?: string | null;
  readonly name: string;
}

export class Account {
  readonly user: string;
  /** The user's own first. */
  readonly entities: readonly string[];
  readonly uploads: Uploads;
  readonly artifacts: ArtifactStore = new ArtifactStore();
  /** How many lines of a run's history it tells; by default all that it has. A busy server may count late. */
  countOf: (run: StoredRun) => number = (run) => run.history.count;
  readonly #runs = new Map<string, StoredRun>();
  readonly #deleted = new Set<string>();
  readonly #projects = new Set<string>();

  constructor(user: string, teams: readonly string[], uploadHeaders: readonly string[]) {
    this.user = user;
    this.entities = [user, ...teams];
    this.uploads = new Uploads(uploadHeaders);
  }

  /** In the order they were created in. */
  runs(project: string, entity: string = this.user): StoredRun[] {
    return [...this.#runs.values()].filter((run) => run.project === project && run.entity === entity);
  }

  /** A project is there once a run was. */
  hasProject(project: string, entity: string): boolean {
    return this.#projects.has(pathOf({ entity, project, name: "" }));
  }

  find(address: RunAddress): StoredRun | undefined {
    return this.#runs.get(pathOf(this.#whole(address)));
  }

  byStorageId(id: string): StoredRun | undefined {
    // None of the names has a colon.
    const [, , name = "", project, entity] = Buffer.from(id, "base64").toString().split(":");
    const run = this.#runs.get(pathOf({ entity: entity ?? "", project: project ?? "", name }));
    return run?.storageId === id ? run : undefined;
  }

  /** @throws Refusal */
  create(address: RunAddress, now: number): StoredRun {
    const whole = this.#whole(address);
    const { entity, project, name } = whole;
    if (!this.entities.includes(entity)) throw new Refusal(404, `entity ${entity} not found during upsertBucket`);
    if (project.length > 128 || BAD_IN_PROJECT.test(project))
      throw new Refusal(400, `invalid project name: ${project}`);
    if (name.length > 128 || BAD_IN_RUN.test(name)) throw new Refusal(400, `invalid run name: ${name}`);
    const path = pathOf(whole);
    if (this.#deleted.has(path)) {
      throw new Refusal(409, `run ${path} was previously created and deleted; try a new run name`);
    }
    this.#projects.add(pathOf({ entity, project, name: "" }));
    const run = new StoredRun(entity, project, name, this.#runs.size + 1, now);
    run.fields.displayName = `calm-lake-${run.number}`;
    this.#runs.set(path, run);
    return run;
  }

  /** Its name can never be used again. */
  delete(run: StoredRun): void {
    const path = pathOf(run);
    this.#runs.delete(path);
    this.#deleted.add(path);
  }

  /** What there is now; the function that is returned brings it back, as an administrator does it from a backup. */
  backup(): () => void {
    const copies = [...this.#runs].map(([path, run]) => [path, run.copy()] as const);
    const deleted = [...this.#deleted];
    return () => {
      this.#runs.clear();
      for (const [path, run] of copies) this.#runs.set(path, run.copy());
      this.#deleted.clear();
      for (const path of deleted) this.#deleted.add(path);
    };
  }

  #whole({ entity, project, name }: RunAddress): { entity: string; project: string; name: string } {
    return { entity: entity || this.user, project: project || DEFAULT_PROJECT, name };
  }
}

function pathOf({ entity, project, name }: { entity: string; project: string; name: string }): string {
  return `${entity}/${project}/${name}`;
}
