/**
 * Runs in the directories that W&B's client writes without a network, for `wandb sync` to upload.
 *
 * W&B's client uploads a directory once; uploaded again, its rows are added to the server's a second time. So once an upload
 * has begun, the run goes on in a new directory of the same run, which is uploaded behind the first.
 */
import { randomUUID } from "node:crypto";
import { copyFileSync, createWriteStream, existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { TraceletError } from "../../../errors.ts";
import { ContentRefused } from "../../../net/refusal.ts";
import { isUpload } from "../../../net/request.ts";
import type { OutputDirectory } from "../../output-directory.ts";
import type {
  ListedRun,
  RunAddress,
  RunFields,
  RunFile,
  RunStatus,
  StreamPart,
  UpsertedRun,
  WandbStore,
} from "../store.ts";
import { EndedRuns } from "./ended-runs.ts";
import { filesOf, historyOf, type LogRecord, type RunRecord, statsOf, timestampOf } from "./records.ts";
import { RunContent } from "./run-content.ts";
import { logIn, RunDirectories } from "./run-directories.ts";
import { newLog, RunLog } from "./run-log.ts";

const IS_IN_THE_WAY = "a file and a directory of one name cannot be side by side";
/** What a file system says of a path that it cannot have, although others can. */
const REFUSALS: ReadonlyMap<string | undefined, string> = new Map([
  ["ENAMETOOLONG", "its name is too long for the file system"],
  ["EISDIR", IS_IN_THE_WAY],
  ["ENOTDIR", IS_IN_THE_WAY],
  ["EEXIST", IS_IN_THE_WAY],
]);
/** Runs whose logs are remembered as they were read. */
const MOST_LOGS = 256;

export class OfflineStore implements WandbStore {
  /** A batch is appended whole. */
  readonly maxRequestBytes: number = Number.POSITIVE_INFINITY;
  readonly #output: OutputDirectory;
  readonly #directories: RunDirectories;
  readonly #ended: EndedRuns;
  /** By directory; the one used last comes last. */
  readonly #logs = new Map<string, RunLog>();

  /** @param output the `wandb/` directory */
  constructor(output: OutputDirectory, now: () => Date = () => new Date()) {
    this.#output = output;
    this.#directories = new RunDirectories(output, now);
    this.#ended = new EndedRuns(output);
  }

  /** Whoever uploads it gives it their own. */
  async defaultEntity(): Promise<string> {
    return "";
  }

  status(address: RunAddress): Promise<RunStatus | undefined> {
    return this.#exclusively(() => {
      const log = this.#find(address);
      return log && { storageId: address.name, ...log.content.status() };
    });
  }

  async *runsNamed(entity: string, project: string, names: readonly string[]): AsyncGenerator<ListedRun> {
    for (const name of names) {
      const address = { entity, project, name };
      const run = await this.#exclusively(() => listed(name, this.#find(address)));
      if (run !== undefined) yield run;
    }
  }

  newestRuns(entity: string, project: string): AsyncIterable<ListedRun> {
    return this.runsNamed(entity, project, this.#directories.ids());
  }

  upsert(address: RunAddress, fields: RunFields, wasThere = false): Promise<UpsertedRun> {
    return this.#exclusively(() => {
      const there = this.#find(address);
      if (there === undefined) this.#make(address, fields, wasThere);
      else set(there, fields);
      const displayName = fields.displayName ?? there?.content.run?.displayName ?? "";
      return { ...address, storageId: address.name, displayName, isNew: there === undefined };
    });
  }

  async *rows(address: RunAddress, count: number): AsyncGenerator<readonly string[]> {
    const logs = await this.#exclusively(() => [...this.#logsOf(address)].reverse());
    const damaged = logs.find(({ isDamaged }) => isDamaged);
    if (damaged !== undefined) throw isDamaged(damaged);
    if ((logs[0]?.content.firstLine ?? 0) > 0)
      throw new TraceletError("rejected", `the first directories of the run ${address.name} are gone`, {
        hint: "only with them can be told which values it has already: put them back, or send the logdir to another project",
      });
    let left = count;
    for (const log of logs) {
      for (const lines of log.lines()) {
        yield lines.slice(0, left);
        left -= lines.length;
        if (left <= 0) return;
      }
    }
  }

  stream(address: RunAddress, { history, events, summary, uploaded = [], exitCode }: StreamPart): Promise<boolean> {
    return this.#exclusively(() => {
      const before = this.#opened(address);
      const { content } = before;
      const newEvents = events?.lines.slice(Math.max(0, content.events - events.offset)) ?? [];
      const isMore = history !== undefined || newEvents.length > 0 || uploaded.length > 0;
      const changes = summary === undefined ? [] : content.summaryTo(summary);
      if (before.isUploaded && !isMore) {
        const isEnd = exitCode !== undefined && (exitCode !== content.exitCode || content.isChangedAfterExit);
        if (!isEnd && changes.length === 0) return false;
      }
      const log = this.#writable(address, before);
      for (const file of uploaded) bring(file, before.directory, log.directory);
      this.#ended.begin(address);
      log.reopen();
      const rows = history === undefined ? [] : this.#rows(log, history);
      log.append([
        ...(uploaded.length > 0 ? [filesOf(uploaded)] : []),
        ...newEvents.map(statsOf),
        ...rows,
        ...(summary === undefined ? [] : log.content.summaryTo(summary)),
      ]);
      if (exitCode !== undefined) {
        log.end(exitCode);
        this.#ended.end(address, log);
      }
      return false;
    });
  }

  async upload(address: RunAddress, files: readonly RunFile[]): Promise<ReadonlyMap<string, ContentRefused>> {
    const refused = new Map<string, ContentRefused>();
    const directory = await this.#exclusively(() => this.#writable(address, this.#opened(address)).directory);
    for (const { path: name, body } of files) {
      await this.#output.guarded(path.relative(this.#output.root, directory), async () => {
        const target = path.join(directory, "files", ...name.split("/"));
        try {
          await write(target, body, (above) => this.#output.makeDirectory(above));
        } catch (error) {
          const reason = REFUSALS.get((error as NodeJS.ErrnoException).code);
          if (reason === undefined) throw error;
          refused.set(name, new ContentRefused(`${name}: ${reason}`, reason, { cause: error }));
        }
      });
    }
    return refused;
  }

  location(_entity: string, _project: string, name?: string): string | undefined {
    return name === undefined ? undefined : this.#directories.of(name)[0];
  }

  async close(): Promise<void> {
    this.#output.close();
  }

  #exclusively<T>(work: () => T): Promise<T> {
    return this.#output.exclusively("", work);
  }

  /** The newest log of a run; undefined also if nothing may be added to it, which is told to who makes the run. */
  #find(address: RunAddress): RunLog | undefined {
    if (this.#ended.isOnline(address)) return undefined;
    const log = this.#newest(address);
    return log?.isDamaged === true ? undefined : log;
  }

  #newest(address: RunAddress): RunLog | undefined {
    return this.#logsOf(address).next().value;
  }

  /** The logs of a run, the newest first. */
  *#logsOf(address: RunAddress): Generator<RunLog, undefined> {
    const { name } = address;
    let isThere = false;
    for (const log of this.#logsNamed(name)) {
      if (!isOf(log, address)) continue;
      this.#remember(log);
      isThere = true;
      yield log;
    }
    const ended = isThere ? undefined : this.#ended.logOf(address);
    if (ended !== undefined && isOf(ended, address)) yield ended;
  }

  /** All logs of an id that tracelet has made, the newest first. */
  *#logsNamed(name: string): Generator<RunLog, undefined> {
    for (const directory of this.#directories.of(name)) {
      const file = logIn(directory, name);
      if (!existsSync(file)) continue;
      const log = this.#logs.get(directory) ?? new RunLog(directory, file);
      log.refresh();
      if (log.isOwn) yield log;
    }
  }

  #remember(log: RunLog): void {
    this.#logs.delete(log.directory);
    this.#logs.set(log.directory, log);
    const [oldest] = this.#logs.keys();
    if (this.#logs.size > MOST_LOGS && oldest !== undefined) this.#logs.delete(oldest);
  }

  #opened(address: RunAddress): RunLog {
    const log = this.#newest(address);
    if (log?.isDamaged === true) throw isDamaged(log);
    if (this.#ended.isOnline(address)) throw this.#isOnline(address);
    if (log !== undefined) return log;
    const where = `in ${this.#output.root}`;
    throw new TraceletError("deleted", `the directory of the run ${address.name} ${where} is gone`);
  }

  #make(address: RunAddress, fields: RunFields, wasThere: boolean): void {
    this.#requireFree(address, wasThere);
    const { entity, project, name } = address;
    const content = new RunContent();
    const run: RunRecord = { runId: name, project, ...(entity !== "" && { entity }) };
    content.apply({ run: { ...run, startTime: timestampOf(fields.startTime ?? Number.NaN) } });
    for (const record of content.changesTo(fields)) content.apply(record);
    this.#directories.make(name, newLog(content.asNew({})));
    // Only now: whoever finds that the run was here, and no directory, takes it for gone.
    this.#ended.begin(address);
  }

  /** Rows under an id that was used before would be added to those that were uploaded, or will be. */
  #requireFree(address: RunAddress, wasThere: boolean): void {
    const { entity, project, name } = address;
    const newest = this.#newest(address);
    if (newest?.isDamaged === true) throw isDamaged(newest);
    if (this.#ended.isOnline(address)) throw this.#isOnline(address);
    if (wasThere || this.#ended.knows(address))
      throw new TraceletError("deleted", `the directory of the run ${name} is gone from ${this.#output.root}`, {
        hint: "put it back, with .tracelet beside it; if it was uploaded or is not needed, write all of it as a new run: --resend-deleted",
      });
    const named = [...this.#logsNamed(name)].filter(({ content: { run } }) => run?.project === project);
    const others = [...named.map(({ content: { run } }) => run?.entity ?? ""), ...this.#ended.entitiesOf(name)];
    // Without one, it goes to whoever uploads it: that may be the same.
    const other = others.find((each) => each !== entity && (each === "" || entity === ""));
    if (other === undefined) return;
    const [was, is] = [other, entity].map((each) => (each === "" ? "no entity" : `the entity ${each}`));
    throw new TraceletError(
      "deleted",
      `the run ${name} in ${this.#output.root} was written for ${was}, not for ${is}`,
      {
        hint: `give the same --wandb-entity as before${other === "" ? " (none)" : ""}; to have it in both places, write all of it as a new run: --resend-deleted`,
      },
    );
  }

  #isOnline({ name }: RunAddress): TraceletError {
    return new TraceletError("deleted", `the run ${name} in ${this.#output.root} went on over the network since`, {
      hint: "what was added there is missing here: go on with --wandb-mode online, or write all of the run as a new one: --resend-deleted",
    });
  }

  /** The log itself, or, once its upload has begun, a new one that goes on where it ends. */
  #writable(address: RunAddress, log: RunLog): RunLog {
    if (!log.isUploaded) return log;
    this.#directories.make(address.name, newLog(log.continued()));
    return this.#opened(address);
  }

  #rows(log: RunLog, { offset, lines }: NonNullable<StreamPart["history"]>): LogRecord[] {
    const there = log.content.lines;
    if (offset < there && offset >= log.content.firstLine) log.cutAt(offset);
    else if (offset !== there)
      throw new TraceletError("rejected", `${log.directory} has ${there} rows, and ${offset} were expected`, {
        hint: "nothing is added to it, since that could double or hide points",
      });
    return lines.map((line, i) => historyOf(line, offset + i));
  }
}

function isOf({ content: { run }, isDamaged }: RunLog, { entity, project }: RunAddress): boolean {
  // Its id is told by the directory's name, and goes with the project.
  if (run === undefined && isDamaged) return true;
  return run !== undefined && (run.entity ?? "") === entity && run.project === project;
}

function isDamaged({ file }: RunLog): TraceletError {
  return new TraceletError("deleted", `${file} is damaged: some of its records cannot be read`, {
    hint: "nothing is added to it, since nobody can tell which points it holds: put a whole copy in its place, or write all of the run as a new one: --resend-deleted",
  });
}

function listed(name: string, log: RunLog | undefined): ListedRun | undefined {
  if (log === undefined) return undefined;
  const { exitCode } = log.content;
  const state = exitCode === undefined ? "running" : exitCode === 0 ? "finished" : "failed";
  return { name, state, ...log.content.status() };
}

function set(log: RunLog, fields: RunFields): void {
  const records = log.content.changesTo(fields);
  const { exitCode } = log.content;
  if (exitCode === undefined || log.isUploaded) {
    log.append(records, false);
    return;
  }
  if (records.length === 0) return;
  log.reopen();
  log.append(records, false);
  log.end(exitCode);
}

/** Take a file along that was stored before the run went on elsewhere. */
function bring(file: string, from: string, to: string): void {
  const [source, target] = [from, to].map((directory) => path.join(directory, "files", ...file.split("/")));
  if (source === undefined || target === undefined || source === target) return;
  if (existsSync(target) || !existsSync(source)) return;
  const unfinished = `${target}.${randomUUID()}.part`;
  mkdirSync(path.dirname(target), { recursive: true });
  copyFileSync(source, unfinished);
  renameSync(unfinished, target);
}

/** Put a file in its place whole. */
async function write(target: string, body: RunFile["body"], makeDirectory: (above: string) => void): Promise<void> {
  makeDirectory(path.dirname(target));
  const unfinished = path.join(path.dirname(target), `.${randomUUID()}.part`);
  try {
    const stream = createWriteStream(unfinished, { flush: true });
    if (!isUpload(body)) await pipeline([body], stream);
    else {
      const open = await body.open();
      try {
        await pipeline(open, stream);
      } finally {
        await open.close();
      }
    }
    renameSync(unfinished, target);
  } finally {
    rmSync(unfinished, { force: true });
  }
}
