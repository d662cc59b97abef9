/** A run, a project and a file as GraphQL shows them: an object whose properties and methods are the schema's fields. */
import type { Account, RunAddress } from "./account.ts";
import { isRow, parseExtended, type Row, type RowValue } from "./extended-json.ts";
import { Refusal } from "./refusal.ts";
import type { StoredRun } from "./run.ts";
import type { StoredFile } from "./uploads.ts";

/** What one request is answered from. */
export interface Asked {
  readonly account: Account;
  /** Turns a path of this server into an address for the client. */
  readonly addressOf: (path: string) => string;
  /** ms since 1970. */
  readonly now: number;
}

export interface Sampling {
  readonly minStep?: number | null;
  readonly maxStep?: number | null;
  readonly samples?: number | null;
}

interface RunsWanted {
  readonly after?: string | null;
  readonly first?: number | null;
  readonly order?: string | null;
  readonly filters?: string | null;
}

/** How many runs a page has at most. What the hosted service gives is not known. */
const MAX_PAGE = 1000;

export function projectView(asked: Asked, address: Omit<RunAddress, "name">): object | null {
  const { account } = asked;
  const { project, entity } = { project: address.project || "uncategorized", entity: address.entity || account.user };
  if (!account.hasProject(project, entity)) return null;
  const view = {
    id: idOf("Project", project, entity),
    internalId: idOf("ProjectInternalId", "1"),
    name: project,
    entityName: entity,
    entity: entityView(entity),
    readOnly: false,
  };
  const find = ({ name }: { name: string }) => {
    const run = account.find({ entity, project, name });
    return run === undefined ? null : runView(asked, run);
  };
  const runs = account.runs(project, entity);
  return {
    ...view,
    run: find,
    bucket: find,
    artifact: () => null,
    runCount: ({ filters }: { filters?: string | null }) => runs.filter(filterOf(filters)).length,
    runs: ({ after, first, order, filters }: RunsWanted) => {
      const fitting = runs.filter(filterOf(filters));
      // In the order they were created in.
      if (order?.startsWith("-")) fitting.reverse();
      return page(
        fitting.map((run) => runView(asked, run)),
        after,
        Math.min(first ?? Infinity, MAX_PAGE),
      );
    },
  };
}

/** The only ones that are understood: a run's id, and nothing. @throws Refusal */
function filterOf(text: string | null | undefined): (run: StoredRun) => boolean {
  const { name, ...others } = JSON.parse(text || "{}") as { name?: string | { $in: readonly string[] } };
  if (Object.keys(others).length > 0) throw new Refusal(400, `filters that nobody here knows: ${text}`);
  if (name === undefined) return () => true;
  const names = new Set(typeof name === "string" ? [name] : name.$in);
  return (run) => names.has(run.name);
}

export function entityView(name: string): object {
  return { id: idOf("Entity", name), name, organization: null };
}

export function runView(asked: Asked, run: StoredRun): object {
  const { history, events, output, fields } = run;
  return {
    ...fields,
    id: run.storageId,
    projectId: 1,
    project: () => projectView(asked, run),
    name: run.name,
    sweepName: fields.sweep,
    state: run.state(asked.now),
    stopped: run.stopped,
    readOnly: false,
    createdAt: new Date(run.createdAt).toISOString(),
    heartbeatAt: new Date(run.heartbeatAt).toISOString(),
    user: { id: idOf("User", asked.account.user), name: asked.account.user, username: asked.account.user },
    config: run.configText,
    summaryMetrics: run.summaryText,
    systemMetrics: events.last ?? "{}",
    wandbConfig: ({ keys }: { keys?: readonly string[] | null }) => {
      const own = run.config["_wandb"];
      const entries = Object.entries(isRow(own) ? own : {});
      return JSON.stringify(Object.fromEntries(entries.filter(([key]) => keys?.includes(key) ?? true)));
    },
    historyKeys: () => historyKeys(run.rows),
    historyLineCount: () => asked.account.countOf(run),
    eventsLineCount: events.count,
    logLineCount: output.count,
    historyTail: JSON.stringify(history.lines.slice(-1)),
    eventsTail: JSON.stringify(events.lines.slice(-1)),
    history: (sampling: Sampling) => sample(history.lines, sampling),
    sampledHistory: ({ specs }: { specs: readonly string[] }) => specs.map((spec) => sampled(run, spec)),
    events: (sampling: Sampling) => sample(events.lines, sampling),
    // All of it is live.
    parquetHistory: { parquetUrls: [], liveData: [] },
    fileCount: run.files.size,
    files: (wanted: Wanted) => filesView(asked, run, wanted),
  };
}

interface Wanted {
  readonly names?: readonly string[] | null;
  readonly after?: string | null;
  readonly first?: number | null;
  readonly pattern?: string | null;
}

function filesView({ account, addressOf }: Asked, run: StoredRun, { names, after, first, pattern }: Wanted): object {
  const like = new RegExp(`^${(pattern ?? "%").replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("%", ".*")}$`);
  const isWanted = (name: string) => (names?.length ? names.includes(name) : like.test(name));
  const view = ([name, { bytes, md5, at }]: readonly [string, StoredFile]) => {
    // The one is the server's own and wants the API key, the other the storage's.
    const url = addressOf(`/files/${[run.entity, run.project, run.name, name].map(encodeURI).join("/")}`);
    const urls = { url, directUrl: addressOf(account.uploads.sign(run.files, name)) };
    const updatedAt = new Date(at).toISOString();
    return { id: idOf("File", name), name, displayName: name, ...urls, sizeBytes: bytes.length, md5, updatedAt };
  };
  const files = [...run.files].filter(([name]) => isWanted(name)).map(view);
  return page(files, after, first);
}

function page(all: readonly object[], after: string | null | undefined, first: number | null | undefined): object {
  const start = after ? Number(after) + 1 : 0;
  const end = first == null ? all.length : start + first;
  const edges = all.slice(start, end).map((node, index) => ({ node, cursor: String(start + index) }));
  return { edges, pageInfo: { endCursor: edges.at(-1)?.cursor ?? null, hasNextPage: end < all.length } };
}

/** The first so many lines of a range of steps: W&B picks some where there are more. */
function sample(lines: readonly string[], { minStep, maxStep, samples }: Sampling): string[] {
  const isWanted = (line: string) => {
    if (minStep == null && maxStep == null) return true;
    const step = Number((parseExtended(line) as Row)["_step"]);
    return step >= (minStep ?? 0) && step < (maxStep ?? Infinity);
  };
  return lines.filter(isWanted).slice(0, samples ?? lines.length);
}

/** Rows that have all of the keys, with them alone; `maxStep` is one of the steps here. */
function sampled(run: StoredRun, text: string): object[] {
  const {
    keys,
    minStep = 0,
    maxStep = Infinity,
    samples = 500,
  } = JSON.parse(text) as {
    keys: readonly string[];
    minStep?: number;
    maxStep?: number;
    samples?: number;
  };
  const rows = run.rows
    .filter((row) => Number(row["_step"]) >= minStep && Number(row["_step"]) <= maxStep)
    .map((row) => keys.map((key) => [key, valueAt(row, key)] as const))
    .filter((entries) => entries.every(([, value]) => value !== undefined));
  return rows
    .slice(0, samples)
    .map((entries) => Object.fromEntries(entries.map(([key, value]) => [key, plain(value)])));
}

/** By the whole key, or level by level. */
function valueAt(row: Row, key: string): RowValue | undefined {
  if (key in row) return row[key];
  let value: RowValue | undefined = row;
  for (const part of key.split(".")) value = isRow(value) ? value[part] : undefined;
  return value;
}

/** In JSON proper, where W&B has texts for what is no number. */
function plain(value: RowValue | undefined): unknown {
  return JSON.parse(
    JSON.stringify(value, (_key, each: unknown) => {
      if (typeof each === "bigint") return Number(each);
      return typeof each === "number" && !Number.isFinite(each) ? String(each) : each;
    }),
  );
}

function historyKeys(rows: readonly Row[]): object {
  // A tag may be called as a property of every object is.
  const keys: { [key: string]: { typeCounts: [{ type: string; count: number }] } } = Object.create(null);
  for (const row of rows) {
    for (const [key, value] of Object.entries(row)) {
      const own = isRow(value) ? value["_type"] : undefined;
      const type = typeof own === "string" ? own : typeof value;
      keys[key] ??= { typeCounts: [{ type, count: 0 }] };
      keys[key].typeCounts[0].count++;
    }
  }
  const steps = rows.map((row) => Number(row["_step"]));
  return { sets: [], keys, lastStep: steps.reduce((last, step) => Math.max(last, step), -1) };
}

export function idOf(...parts: readonly string[]): string {
  return Buffer.from(parts.join(":")).toString("base64");
}
