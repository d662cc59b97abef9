/** A run that is open: what is added to it is planned in its config, sent as lines, and then counts. */
import { randomUUID } from "node:crypto";
import { TraceletError } from "../../errors.ts";
import type { ContentRefused } from "../../net/refusal.ts";
import type { Datum } from "../../reader/datum.ts";
import type { Batch, FinalStatus } from "../../sync/backend.ts";
import type { Note } from "../../sync/report/note.ts";
import { typeOf } from "../../sync/source/metric-types.ts";
import { isAllNew, isRepeated, movedTo, type RunState } from "../run-state.ts";
import { wasDeleted } from "./deleted.ts";
import { jsonText, objectOf, parseJson } from "./json.ts";
import { metadataFile, placesOf } from "./labels.ts";
import { eventLineOf } from "./machine.ts";
import { keyOf, STEP_AXIS } from "./names.ts";
import { blankLine, lineOf, type Row } from "./rows.ts";
import { RunConfig, storedIn } from "./run-config.ts";
import { type Cut, cutsOf, reachedBy, type StoredState } from "./run-state.ts";
import type { RunAddress, RunFields, RunFile, RunStatus, StreamPart, WandbStore } from "./store.ts";
import { StoredRows } from "./stored-rows.ts";
import { Summary } from "./summary.ts";

export class WandbRun {
  readonly address: RunAddress;
  readonly #store: WandbStore;
  readonly #storageId: string;
  #writer: string;
  readonly #startTime: number;
  readonly #config: RunConfig;
  #state: RunState;
  /** How many lines it has by that. */
  #lines: number;
  /** How many of the server's lines were sent by who had the run open before, and may still come: they are written over. */
  #late = 0;
  /** The same of what the machine did meanwhile. */
  #events: number;
  #lateEvents = 0;
  /** Where plans for those lines ended. */
  #cuts: readonly Cut[];
  readonly #summary: Summary;
  /** Its rows, where one of them had to be looked for. */
  #rows: StoredRows | undefined;
  /** Whether lines were sent of which nobody knows whether they came through. */
  #isUnsure = false;
  /** What is to be set with the next rows. */
  #fields: RunFields = {};
  /** Files that the stream has not announced yet. */
  readonly #unannounced = new Set<string>();
  /** What was said of it to the user. */
  readonly #noted = new Set<string>();
  #isStopped = false;
  /** Whether the config was changed since it was last sent, beside what rows bring. */
  #isUntold = false;
  /** When something was last sent, ms of `performance.now()`; undefined once the run is over. */
  #aliveAt: number | undefined;

  /**
   * @param status of the run now @param stored what its config says
   * @throws TraceletError `rejected` if it has other lines than tracelet has sent
   */
  constructor(store: WandbStore, address: RunAddress, status: RunStatus, stored: StoredState, startTime: number) {
    this.#store = store;
    this.address = address;
    this.#storageId = status.storageId;
    this.#startTime = startTime;
    this.#writer = stored.writer;
    this.#config = new RunConfig(status.config);
    const reached = reachedBy(stored, status);
    if (reached === "foreign" || reached === "lost") throw this.#notAsLeft(stored.lines, status.lines);
    this.#state = reached.state;
    this.#lines = reached.lines;
    this.#late = Math.max(stored.late ?? 0, stored.lines + (stored.plan?.lines ?? 0));
    this.#lateEvents = Math.max(stored.lateEvents ?? 0, stored.events + (stored.plan?.events ?? 0));
    this.#events = this.#behindOthers(reached.events, status.events);
    this.#cuts = cutsOf(stored, reached);
    this.#forgetCuts();
    this.#summary = new Summary(status.summary);
  }

  get state(): RunState {
    return this.#state;
  }

  /**
   * Where plans ended whose requests may still arrive, the oldest first: what is sent in their place has to begin with the
   * same rows.
   */
  get cuts(): readonly Cut[] {
    return this.#cuts;
  }

  #forgetCuts(): void {
    if (this.#late <= this.#lines && this.#lateEvents <= this.#events) this.#cuts = [];
  }

  /** How many lines it has, as far as the server has acknowledged them. */
  get lines(): number {
    return this.#lines;
  }

  /** Whether somebody has pressed Stop on the web page, as far as the server has said so. */
  get isStopped(): boolean {
    return this.#isStopped;
  }

  get aliveAt(): number | undefined {
    return this.#aliveAt;
  }

  /**
   * From now on only this one may add to it. Who had it open may have planned and sent more since it was looked at; that
   * plan is overwritten by this. Its lines are of the same source: they are written over.
   *
   * @param said what it is called now @param fields what of it the page is to show
   */
  async claim(
    said: Pick<RunState, "name" | "source">,
    fields: Pick<RunFields, "displayName" | "notes"> = {},
  ): Promise<void> {
    this.#writer = randomUUID();
    this.#state = { ...this.#state, ...said };
    this.#fields = { ...this.#fields, ...fields };
    await this.#tell(undefined);
    const status = await this.#store.status(this.address);
    if (status === undefined) return;
    const isMore = status.lines > Math.max(this.#lines, this.#late);
    const isMoreEvents = status.events > Math.max(this.#events, this.#lateEvents);
    if (!isMore && !isMoreEvents) return;
    if (isMore) this.#late = status.lines;
    if (isMoreEvents) this.#lateEvents = status.events;
    await this.#tell(undefined);
  }

  /** Where events go on: behind what W&B's own client may have added, which stays. */
  #behindOthers(known: number, there: number): number {
    return there > Math.max(known, this.#lateEvents) ? there : known;
  }

  /** @returns whether it changes anything: the batch may have been written before */
  isNew({ marks }: Batch): boolean {
    return !isRepeated(this.#state, marks);
  }

  /** Those that are given for the first time. */
  notYetNoted(notes: readonly Note[]): Note[] {
    const fresh = notes.filter(({ message }) => !this.#noted.has(message));
    for (const { message } of fresh) this.#noted.add(message);
    return fresh;
  }

  get config(): RunConfig {
    return this.#config;
  }

  /** Tell what data say of the run and its metrics; it is sent with the next rows. @throws TraceletError */
  async describe(data: readonly Datum[]): Promise<void> {
    const before = this.#config.environment;
    for (const datum of data) {
      if (datum.kind === "run_tags") this.#label(datum.tags);
      if (datum.kind !== "metric_info") continue;
      const key = keyOf(datum.metric);
      const told = typeOf(datum);
      const goal = told?.goal;
      // The best of values that are there already is not known.
      const hasBest = goal !== undefined && (!this.#summary.has(key) || this.#config.bestOf(key) === goal);
      this.#config.describe(key, { type: told?.type, goal, hasBest, info: datum.info });
    }
    const { environment } = this.#config;
    if (environment !== before) await this.upload([metadataFile(environment)]);
  }

  /** Keep which tags stand behind paths of files; `tellRest` or the next rows send it. */
  async nameFiles(tags: ReadonlyMap<string, string>): Promise<void> {
    if (this.#config.nameFiles(tags)) this.#isUntold = true;
  }

  /** Send what was to go with rows, where there are none. @throws TraceletError as `add` does */
  async tellRest(): Promise<void> {
    await this.#announce();
    if (!this.#isUntold) return;
    await this.#requireOwn();
    await this.#tell(undefined);
  }

  /** What W&B has a place for goes there; the rest stays what it is called. */
  #label(labels: ReadonlyMap<string, string>): void {
    const { fields, environment, others } = placesOf(labels);
    this.#fields = { ...this.#fields, ...fields };
    const before = this.#config.environment;
    if (Object.keys(environment).length > 0)
      this.#config.environment = {
        ...before,
        ...environment,
        ...(environment.git && { git: { ...before.git, ...environment.git } }),
      };
    this.#config.setLabels(others);
  }

  /**
   * Resolves once the rows are there, and the marks count.
   *
   * @param machine what the machine did meanwhile
   * @throws TraceletError `overtaken` if another process has opened the run, `deleted`, `rejected`
   */
  async add(given: readonly Row[], machine: readonly Row[], { marks, choice }: Batch): Promise<void> {
    for (const { values } of given) for (const key of values.keys()) this.#config.define(key);
    await this.#requireOwn();
    const rows = isAllNew(this.#state, marks) ? given : (await this.#storedRows()).lackingOf(given);
    const after = movedTo(this.#state, marks, choice);
    if (rows.length + machine.length === 0) {
      // Before the marks that say that the files are there.
      await this.#announce();
      this.#state = after;
      await this.#tell(undefined);
      return;
    }
    await this.#tell({ lines: rows.length, events: machine.length, marks, choice });
    const lines = rows.map((row, i) => lineOf(row, this.#lines + i, [STEP_AXIS], this.#startTime));
    if (lines.length > 0) this.#summarize(rows, lines.at(-1) as string);
    this.#isUnsure = true;
    await this.#send(
      lines,
      machine.map((row) => eventLineOf(row, this.#startTime)),
    );
    this.#isUnsure = false;
    this.#state = after;
    this.#lines += rows.length;
    this.#events += machine.length;
    this.#forgetCuts();
    this.#rows?.add(rows);
    // Where the number of lines will not tell that they have arrived, it is written down.
    const isTold = lines.length === 0 || this.#late < this.#lines;
    const areEventsTold = machine.length === 0 || this.#lateEvents < this.#events;
    if (!isTold || !areEventsTold) await this.#tell(undefined);
  }

  /**
   * Store files; what is sent next announces them.
   *
   * @returns the files that were refused for what they hold, by path
   */
  async upload(files: readonly RunFile[]): Promise<ReadonlyMap<string, ContentRefused>> {
    const refused = await this.#store.upload(this.address, files);
    for (const { path } of files) if (!refused.has(path)) this.#unannounced.add(path);
    return refused;
  }

  /** What it has, where values have to be looked for. */
  async #storedRows(): Promise<StoredRows> {
    if (this.#rows !== undefined) return this.#rows;
    const rows = new StoredRows();
    for await (const lines of this.#store.rows(this.address, this.#lines)) rows.addLines(lines);
    // A value whose row is not given back would be taken for one that was never sent.
    if (rows.count < this.#lines) {
      const { name, entity, project } = this.address;
      const what = `W&B gives back ${rows.count} of the ${this.#lines} rows of the run ${name} in ${entity}/${project}`;
      throw new TraceletError("rejected", `${what}; which values it has already cannot be told, and none is added`, {
        hint: "W&B may not have stored all of them yet: sync again later. If it stays so, delete the run and send it as a new one (--resend-deleted), or send the logdir to another project",
      });
    }
    return (this.#rows = rows);
  }

  /** Blank the lines that came of a plan and that nothing has been sent in place of: what they hold was or will be sent elsewhere. */
  async #blankRest(): Promise<void> {
    if (this.#late <= this.#lines) return;
    const { lines: there } = await this.#requireOwn();
    const count = Math.min(this.#late, there) - this.#lines;
    if (count <= 0) return;
    await this.#send(
      Array.from({ length: count }, (_, i) => blankLine(this.#lines + i)),
      [],
    );
    this.#lines += count;
    this.#forgetCuts();
    await this.#tell(undefined);
  }

  async #announce(): Promise<void> {
    if (this.#unannounced.size > 0) await this.#stream({});
  }

  /** Shows that it is running. */
  async beat(): Promise<void> {
    await this.#stream({});
    this.#aliveAt = performance.now();
  }

  /** Shows that it is running again. @throws TraceletError `overtaken`, `deleted` */
  async resume(): Promise<void> {
    await this.#requireWriter();
    await this.beat();
  }

  /** @throws TraceletError `overtaken`: its end, and its last values, are the other process's to tell; `deleted` */
  async finish(status: FinalStatus): Promise<void> {
    await this.#requireWriter();
    await this.#blankRest();
    this.#aliveAt = undefined;
    const exitCode = status === "finished" ? 0 : 1;
    await this.#stream({ summary: this.#summary.text(), exitCode });
  }

  async #stream(part: Omit<StreamPart, "uploaded">): Promise<void> {
    const uploaded = [...this.#unannounced];
    const isStopped = await this.#store.stream(this.address, { ...part, ...(uploaded.length > 0 && { uploaded }) });
    if (isStopped) this.#isStopped = true;
    for (const path of uploaded) this.#unannounced.delete(path);
  }

  async #send(lines: readonly string[], events: readonly string[]): Promise<void> {
    let rest: StreamPart = events.length === 0 ? {} : { events: { offset: this.#events, lines: events } };
    let first = 0;
    do {
      let end = first;
      for (let bytes = 0; end < lines.length; end++) {
        bytes += Buffer.byteLength(lines[end] as string);
        if (bytes > this.#store.maxRequestBytes && end > first) break;
      }
      const history = { offset: this.#lines + first, lines: lines.slice(first, end) };
      const isLast = end === lines.length;
      const summary = isLast && lines.length > 0 ? { summary: this.#summary.text() } : {};
      await this.#stream({ ...rest, ...(end > first && { history }), ...summary });
      rest = {};
      first = end;
    } while (first < lines.length);
    this.#aliveAt = performance.now();
  }

  async #tell(plan: StoredState["plan"]): Promise<void> {
    const late = this.#late > this.#lines ? this.#late : undefined;
    const lateEvents = this.#lateEvents > this.#events ? this.#lateEvents : undefined;
    const counts = { lines: this.#lines, events: this.#events, late, lateEvents };
    this.#config.stored = { writer: this.#writer, state: this.#state, plan, cuts: this.#cuts, ...counts };
    const fields = this.#fields;
    const config = this.#config.text();
    await this.#store.upsert(this.address, { ...fields, storageId: this.#storageId, config });
    if (this.#fields === fields) this.#fields = {};
    this.#isUntold = false;
  }

  /** Whether it was this one that opened the run last, by what the run's config says. */
  isWriter(writer: string | undefined): boolean {
    return writer === this.#writer;
  }

  async #requireWriter(): Promise<RunStatus> {
    const status = await this.#store.status(this.address);
    if (status === undefined) throw wasDeleted(this.address);
    if (this.isWriter(storedIn(status.config)?.writer)) return status;
    const { name, entity, project } = this.address;
    throw new TraceletError("overtaken", `another process has opened the run ${name} in ${entity}/${project}`, {
      hint: "let one process write to it at a time",
    });
  }

  /** Whether the run is as it was left, which somebody else may have changed. */
  async #requireOwn(): Promise<RunStatus> {
    const status = await this.#requireWriter();
    const { name, entity, project } = this.address;
    if ((status.lines > this.#lines || status.events > this.#events) && this.#isUnsure)
      throw new TraceletError("overtaken", `what was sent to the run ${name} in ${entity}/${project} has arrived late`);
    // Lines that were acknowledged may not be counted yet: who opens the run again waits for them.
    if (status.lines < this.#lines)
      throw new TraceletError(
        "overtaken",
        `the server has not counted all rows of ${name} in ${entity}/${project} yet`,
      );
    if (status.lines !== this.#lines && !(status.lines > this.#lines && status.lines <= this.#late))
      throw this.#notAsLeft(this.#lines, status.lines);
    this.#events = this.#behindOthers(this.#events, status.events);
    return status;
  }

  #notAsLeft(known: number, there: number): TraceletError {
    const { name, entity, project } = this.address;
    const what =
      there < known
        ? `has ${there} rows, and had ${known}: the server has lost some, or was set back`
        : `has ${there} rows, ${there - known} more than tracelet has sent: another program writes to it`;
    return new TraceletError("rejected", `the run ${name} in ${entity}/${project} ${what}`, {
      hint: "nothing is added to it, since that could double or hide points: delete it and send it as a new run (--resend-deleted), or send the logdir to another project",
    });
  }

  /** Take the values of rows into the summary, and what belongs to the last line as such. */
  #summarize(rows: readonly Row[], lastLine: string): void {
    const { best } = this.#config;
    for (const { values } of rows) {
      for (const [key, text] of values) {
        const goal = best.get(key);
        if (goal === undefined) this.#summary.set(key, text);
        else this.#summary.setBest(key, text, goal);
      }
    }
    const last = rows.at(-1)?.values;
    for (const [key, value] of Object.entries(objectOf(parseJson(lastLine)))) {
      if (last?.has(key) !== true) this.#summary.set(key, jsonText(value));
    }
  }
}
