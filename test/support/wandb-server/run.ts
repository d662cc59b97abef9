/** A run as the server keeps it. */
import { isRow, parseExtended, parseRow, type Row, type RowValue } from "./extended-json.ts";
import { LineFile } from "./line-file.ts";
import type { StoredFile } from "./uploads.ts";

export type RunState = "running" | "finished" | "failed" | "crashed";

/** How long a run may be silent before it counts as crashed, ms; about what W&B's hosted service waits. */
const SILENCE = 5 * 60_000;

/** What UpsertBucket sets; null where it never has. */
export interface RunFields {
  displayName: string | null;
  description: string | null;
  notes: string | null;
  group: string | null;
  jobType: string | null;
  commit: string | null;
  host: string | null;
  program: string | null;
  repo: string | null;
  sweep: string | null;
  tags: readonly string[];
}

export class StoredRun {
  readonly entity: string;
  readonly project: string;
  /** Its id as users see it. */
  readonly name: string;
  readonly number: number;
  readonly createdAt: number;
  readonly fields: RunFields = {
    displayName: null,
    description: null,
    notes: null,
    group: null,
    jobType: null,
    commit: null,
    host: null,
    program: null,
    repo: null,
    sweep: null,
    tags: [],
  };
  /** The last one that was sent, as it was sent. */
  configText = "{}";
  summaryText = "{}";
  readonly history: LineFile = new LineFile();
  readonly events: LineFile = new LineFile();
  readonly output: LineFile = new LineFile();
  /** By their paths. */
  readonly files: Map<string, StoredFile> = new Map();
  /** Files that the client has said it uploaded. */
  readonly announced: Set<string> = new Set();
  exitCode: number | null = null;
  isComplete = false;
  isPreempting = false;
  /** The web page's Stop button. */
  stopped = false;
  /** ms since 1970. */
  heartbeatAt: number;
  /** What a careful client does not do, and the server takes all the same. */
  readonly oddities: string[] = [];

  constructor(entity: string, project: string, name: string, number: number, now: number) {
    this.entity = entity;
    this.project = project;
    this.name = name;
    this.number = number;
    this.createdAt = now;
    this.heartbeatAt = now;
  }

  /** What GraphQL calls it. */
  get storageId(): string {
    return Buffer.from(`Run:v1:${this.name}:${this.project}:${this.entity}`).toString("base64");
  }

  copy(): StoredRun {
    const copy = new StoredRun(this.entity, this.project, this.name, this.number, this.createdAt);
    const { configText, summaryText, exitCode, isComplete, isPreempting, stopped, heartbeatAt } = this;
    Object.assign(copy, { configText, summaryText, exitCode, isComplete, isPreempting, stopped, heartbeatAt });
    Object.assign(copy.fields, this.fields);
    for (const name of ["history", "events", "output"] as const) copy[name].write(0, this[name].lines);
    for (const [path, file] of this.files) copy.files.set(path, file);
    for (const path of this.announced) copy.announced.add(path);
    return copy;
  }

  state(now: number): RunState {
    if (this.isComplete) return this.exitCode === 0 ? "finished" : "failed";
    return now - this.heartbeatAt > SILENCE ? "crashed" : "running";
  }

  /** The values of the config by their names, W&B's own under `_wandb`. */
  get config(): Row {
    const entries = Object.entries(parseRow(this.configText));
    return Object.fromEntries(entries.map(([key, entry]) => [key, isRow(entry) ? (entry["value"] ?? null) : entry]));
  }

  get summary(): Row {
    return parseRow(this.summaryText);
  }

  /** History by lines. */
  get rows(): Row[] {
    return this.history.lines.map(parseRow);
  }

  /** Files that the rows and the summary name. */
  get filesNamed(): string[] {
    const named = new Set<string>();
    for (const text of [...this.history.lines, this.summaryText]) collectFiles(parseExtended(text), named);
    return [...named].sort();
  }

  /** Of those, the ones that are not there. */
  get filesMissing(): string[] {
    return this.filesNamed.filter((file) => !this.files.has(file));
  }
}

/** Paths of media values, also of those inside others. */
function collectFiles(value: RowValue, into: Set<string>): void {
  if (Array.isArray(value)) for (const each of value as readonly RowValue[]) collectFiles(each, into);
  if (!isRow(value)) return;
  if (typeof value["_type"] === "string") {
    const { path, filenames } = value;
    // Names of 3D objects are relative to their folder; the objects have whole ones.
    const isRelative = value["_type"] === "object3D";
    for (const file of [path, ...(Array.isArray(filenames) ? (filenames as readonly RowValue[]) : [])]) {
      if (typeof file === "string") into.add(isRelative ? `media/object3D/${file}` : file);
    }
  }
  for (const each of Object.values(value)) collectFiles(each, into);
}
