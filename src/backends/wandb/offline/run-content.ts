/** What a run is, by the records of its log. */
import { jsonText, parseJson } from "../json.ts";
import { OWN_KEY } from "../names.ts";
import { STATE_KEY } from "../run-state.ts";
import type { RunFields, RunStatus } from "../store.ts";
import { fieldsOf } from "./json-fields.ts";
import {
  decoded,
  type Item,
  isHistory,
  itemOf,
  type LogRecord,
  listOfMetrics,
  type Metric,
  metricOf,
  metricRecordOf,
  metricsOf,
  numberOf,
  type RunRecord,
} from "./records.ts";

/** Parts of W&B's own entry of the config that have records of their own, or that W&B's client sets when it uploads. */
const [METRICS, TELEMETRY] = ["m", "t"];

export class RunContent {
  #run: RunRecord | undefined;
  /** JSON texts, by key. */
  readonly #config = new Map<string, string>();
  readonly #own = new Map<string, string>();
  readonly #metrics = new Map<string, Metric>();
  /** JSON of the list that `#metrics` came from: it is long, and seldom changes. */
  #metricsText = "";
  readonly #summary = new Map<string, string>();
  #rows = 0;
  #events = 0;
  #exitCode: number | undefined;
  #isChangedAfterExit = false;

  /** Undefined while there is none. */
  get run(): RunRecord | undefined {
    return this.#run;
  }

  /** Lines of the run's history up to here, those in its earlier directories among them. */
  get lines(): number {
    return this.firstLine + this.#rows;
  }

  /** How many of them are in earlier directories. */
  get firstLine(): number {
    return numberOf(this.#run?.firstLine);
  }

  get events(): number {
    return this.#events;
  }

  /** Undefined while it runs. */
  get exitCode(): number | undefined {
    return this.#exitCode;
  }

  /** Whether anything but tracelet's own state was set after the run had ended. */
  get isChangedAfterExit(): boolean {
    return this.#isChangedAfterExit;
  }

  /** Take a record in as it stands in the log. @returns whether the run ends with it */
  read(data: Uint8Array): boolean {
    if (isHistory(data)) {
      this.#rows++;
      return false;
    }
    const record = decoded(data);
    this.apply(record);
    return Boolean(record.exit);
  }

  apply({ run, config, metric, summary, stats, history, files, exit }: LogRecord): void {
    if (history) this.#rows++;
    if (stats) this.#events++;
    if (run) {
      for (const item of run.config?.update ?? []) this.#set(item);
      this.#run = { ...this.#run, ...withoutConfig(run) };
    }
    for (const item of config?.update ?? []) this.#set(item);
    for (const item of config?.remove ?? []) this.#remove(item);
    if (metric) {
      const each = metricOf(metric);
      this.#metrics.set(each.name || each.glob, each);
    }
    for (const { key, valueJson } of summary?.update ?? []) this.#summary.set(key ?? "", valueJson ?? "");
    for (const { key } of summary?.remove ?? []) if (key) this.#summary.delete(key);
    const isOfState = config ? [...(config.update ?? []), ...(config.remove ?? [])].every(isState) : false;
    if ((run || config || metric || summary || stats || files) && !isOfState) this.#isChangedAfterExit = true;
    if (exit) {
      this.#exitCode = exit.exitCode ?? 0;
      this.#isChangedAfterExit = false;
    }
  }

  /** The run goes on: its exit record was cut off. */
  reopen(): void {
    this.#exitCode = undefined;
  }

  #set({ key, nestedKey, valueJson }: Item): void {
    if (nestedKey?.length) this.#own.set(nestedKey[1] as string, valueJson ?? "");
    else this.#config.set(key ?? "", valueJson ?? "");
  }

  /** What lies deeper is gone already: values are set whole here. */
  #remove({ key, nestedKey }: Item): void {
    if (key) this.#config.delete(key);
    else if (nestedKey?.length === 2 && nestedKey[0] === OWN_KEY) this.#own.delete(nestedKey[1] as string);
  }

  status(): Omit<RunStatus, "storageId"> {
    const metrics = jsonText(listOfMetrics([...this.#metrics.values()]));
    const own = [...this.#own, [METRICS, metrics], [TELEMETRY, "{}"]] as const;
    const config = [...this.#config, [OWN_KEY, objectText(own)] as const];
    return {
      displayName: this.#run?.displayName ?? "",
      notes: this.#run?.notes ?? "",
      lines: this.lines,
      events: this.#events,
      config: objectText(config.map(([key, value]) => [key, `{"value":${value}}`])),
      summary: objectText(this.#summary),
    };
  }

  /** Records that bring this to what is given. */
  changesTo({ displayName, config, group, jobType, tags, notes, commit, repo, host }: RunFields): LogRecord[] {
    const given = { displayName, notes, runGroup: group, jobType, host };
    const set = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
    const git = {
      ...this.#run?.git,
      ...(commit !== undefined && { commit }),
      ...(repo !== undefined && { remoteUrl: repo }),
    };
    const after: RunRecord = { ...this.#run, ...set, ...(tags && { tags: [...tags] }), ...(hasAny(git) && { git }) };
    const records: LogRecord[] = JSON.stringify(after) === JSON.stringify(this.#run) ? [] : [{ run: after }];
    if (config !== undefined) records.push(...this.#configTo(config));
    return records;
  }

  #configTo(config: string): LogRecord[] {
    const records: LogRecord[] = [];
    const entries = new Map(
      fieldsOf(config).map(([key, entry]) => [key, new Map(fieldsOf(entry)).get("value") ?? "null"]),
    );
    const own = new Map(fieldsOf(entries.get(OWN_KEY) ?? "{}"));
    const metrics = own.get(METRICS) ?? "[]";
    entries.delete(OWN_KEY);
    for (const key of [METRICS, TELEMETRY]) own.delete(key as string);
    const changes = [
      ...changesOf(this.#config, entries).map(([key, change]) => ({ at: { key }, ...change })),
      ...changesOf(this.#own, own).map(([key, change]) => ({ at: { nestedKey: [OWN_KEY, key] }, ...change })),
    ];
    const remove = [
      ...[...this.#config.keys()].filter((key) => !entries.has(key)).map((key) => ({ key })),
      ...[...this.#own.keys()].filter((key) => !own.has(key)).map((key) => ({ nestedKey: [OWN_KEY, key] })),
      ...changes.flatMap(({ at, before, after }) => {
        const path = "key" in at ? [at.key] : at.nestedKey;
        return goneFrom(before, after).map((rest) => ({ nestedKey: [...path, ...rest] }));
      }),
    ];
    const update = changes.map(({ at, after }) => ({ ...at, valueJson: after }));
    if (update.length + remove.length > 0) records.push({ config: { update, remove } });
    if (metrics !== this.#metricsText) {
      for (const metric of metricsOf(parseJson(metrics))) {
        const before = this.#metrics.get(metric.name || metric.glob);
        if (JSON.stringify(before) !== JSON.stringify(metric)) records.push(metricRecordOf(metric));
      }
      this.#metricsText = metrics;
    }
    return records;
  }

  /** Records that bring the summary to what is given. @param text JSON */
  summaryTo(text: string): LogRecord[] {
    const values = new Map(fieldsOf(text));
    const changes = changesOf(this.#summary, values);
    const remove = [
      ...[...this.#summary.keys()].filter((key) => !values.has(key)).map((key) => ({ key })),
      ...changes.flatMap(([key, { before, after }]) =>
        goneFrom(before, after).map((rest) => ({ nestedKey: [key, ...rest] })),
      ),
    ];
    const update = changes.map(([key, { after }]) => itemOf([key, after]));
    return update.length + remove.length === 0 ? [] : [{ summary: { update, remove } }];
  }

  /** Records that say the same of a run that begins with them, but for its rows and files. */
  asNew(run: RunRecord): LogRecord[] {
    const update = [
      ...Array.from(this.#config, itemOf),
      ...Array.from(this.#own, ([key, valueJson]) => ({ nestedKey: [OWN_KEY, key], valueJson })),
    ];
    const summary = Array.from(this.#summary, itemOf);
    return [
      { run: { ...this.#run, ...run, config: { update } } },
      ...Array.from(this.#metrics.values(), metricRecordOf),
      ...(summary.length > 0 ? [{ summary: { update: summary } }] : []),
    ];
  }
}

/** tracelet's own state in the config, which is of no interest to anybody else. */
function isState({ key, nestedKey }: Item): boolean {
  return (nestedKey?.[0] ?? key) === STATE_KEY;
}

function withoutConfig({ config: _config, ...run }: RunRecord): RunRecord {
  return run;
}

function hasAny(fields: object): boolean {
  return Object.keys(fields).length > 0;
}

function changesOf(
  from: ReadonlyMap<string, string>,
  to: ReadonlyMap<string, string>,
): [key: string, change: { readonly before: string | undefined; readonly after: string }][] {
  const changed = [...to].filter(([key, value]) => from.get(key) !== value);
  return changed.map(([key, after]) => [key, { before: from.get(key), after }]);
}

/**
 * Paths of what an object no longer has: W&B's client merges the new value into the old one.
 *
 * @param before JSON text @param after JSON text
 */
function goneFrom(before: string | undefined, after: string): string[][] {
  if (!before?.startsWith("{") || !after.startsWith("{")) return [];
  const fields = new Map(fieldsOf(after));
  return fieldsOf(before).flatMap(([key, value]) => {
    const now = fields.get(key);
    return now === undefined ? [[key]] : goneFrom(value, now).map((rest) => [key, ...rest]);
  });
}

function objectText(fields: Iterable<readonly [key: string, value: string]>): string {
  return `{${Array.from(fields, ([key, value]) => `${JSON.stringify(key)}:${value}`).join(",")}}`;
}
