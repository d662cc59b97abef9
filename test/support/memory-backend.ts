/**
 * A destination in memory that keeps points as MLflow's store does: as a set, so that sending one again changes nothing.
 * It counts what is asked of it, and fails as it is told to.
 */
import { TraceletError } from "../../src/errors.ts";
import { type FileRef, useFile } from "../../src/reader/file-store.ts";
import type { PythonValue } from "../../src/reader/python-text.ts";
import type {
  Backend,
  Batch,
  FilesReceipt,
  FinalStatus,
  KnownRun,
  Page,
  Receipt,
  RunChange,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../../src/sync/backend.ts";
import type { Note } from "../../src/sync/report/note.ts";
import { Tally } from "../../src/sync/report/tally.ts";
import type { FileMark } from "../../src/sync/source/fingerprint.ts";
import type { Origin } from "../../src/sync/source/origin.ts";

export interface Call {
  /** 1 for the first call since `calls` was last emptied. */
  readonly n: number;
  readonly method: "open" | "write" | "attachFiles" | "resume" | "finish";
  /** The run's name. */
  readonly run: string;
}

/** How a call fails: before anything is done, after all of it is done, or with the values stored and the marks not. */
export interface Fault {
  readonly when: "before" | "after" | "between";
  /** Without one: `unreachable`. */
  readonly error?: Error;
}

export interface MemoryRun {
  readonly id: string;
  name: string;
  source: string;
  /** Whether a name of its own was asked for. */
  isNamed: boolean;
  readonly startTime: number;
  readonly origin: Origin | undefined;
  parentId: string | undefined;
  /** How often each point was stored, by `pointText`. */
  readonly points: Map<string, number>;
  /** How often each datum was stored, as `kind tag step`. */
  readonly data: Map<string, number>;
  readonly hparams: Map<string, PythonValue>;
  /** These and those of the records, the first value of each. */
  readonly params: Map<string, PythonValue>;
  /** Files of the source: content by path; those of embeddings by their tensor's name and what they are. */
  readonly files: Map<string, string>;
  readonly marks: Map<string, FileMark>;
  /** The lines of each segment, by its key, start and part. */
  readonly segments: Map<string, readonly string[]>;
  /** The choices that its marks name, by id, and the last of them. */
  readonly choices: Map<string, string>;
  choice: string | undefined;
  status: FinalStatus | "running";
  /** Seconds since the Unix epoch. */
  endTime: number | undefined;
}

export class MemoryBackend implements Backend {
  /** Kind and tag of every page it was given. */
  readonly pages: Set<string> = new Set();
  batchSize = 1000;
  /** False: `open` tells no marks, as a destination that cannot keep any. */
  keepsMarks = true;
  runs: MemoryRun[] = [];
  readonly calls: Call[] = [];
  /** How many scalars each batch held. */
  readonly batches: number[] = [];
  /** Asked before every call. It may also change the world meanwhile. */
  fault: (call: Call) => Fault | undefined = () => undefined;
  /** Nobody answers, whatever is asked. */
  isAway = false;
  /** Notes that each receipt carries. */
  notes: readonly Note[] = [];
  #ids = 0;

  async open(run: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    return this.#call("open", run.name, async () => {
      const known = this.runs.find(({ id }) => id === knownId);
      const isOther =
        known !== undefined && (await run.contradicts({ source: known.source, marks: [...known.marks.values()] }));
      const found = isOther ? undefined : (known ?? (await this.#find(run)));
      if (found !== undefined) found.parentId ??= run.parentId;
      if (found !== undefined) return this.#handleOf(found, run);
      const made: MemoryRun = {
        id: `id-${++this.#ids}`,
        name: run.name,
        source: run.source,
        isNamed: run.name !== run.title,
        startTime: run.startTime,
        origin: run.origin,
        parentId: run.parentId,
        points: new Map(),
        data: new Map(),
        hparams: new Map(),
        params: new Map(),
        files: new Map(),
        marks: new Map(run.marks.map((mark) => [mark.key, mark])),
        segments: new Map(),
        choices: new Map(),
        choice: undefined,
        status: "running",
        endTime: undefined,
      };
      this.runs.push(made);
      return { id: made.id, marks: this.#marksOf(made), created: true };
    });
  }

  async survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey> {
    if (this.isAway) throw new TraceletError("unreachable", "nobody answers");
    const changes = new Map<string, RunChange>();
    for (const { id, marks, isDone } of known) {
      const run = this.runs.find((each) => each.id === id);
      const isBehind = marks.some(({ key, offset }) => offset > (run?.marks.get(key)?.offset ?? 0));
      if (run === undefined) changes.set(id, "gone");
      else if (this.keepsMarks && (isBehind || (isDone && run.status === "running"))) changes.set(id, "behind");
    }
    return { changes, memory };
  }

  async confirm(): Promise<undefined> {}

  async settle(): Promise<ReadonlySet<string>> {
    return new Set();
  }

  #handleOf(run: MemoryRun, { name, title, source }: RunDescription): RunHandle {
    const { id, choice, choices, name: before, isNamed } = run;
    const renamed = source === run.source ? undefined : { before, now: name };
    // What people see a run called may depend on what lies beside it: that alone renames nothing.
    const isAsked = name !== title || isNamed;
    const called = renamed === undefined && isAsked && before !== name ? { before, now: name } : undefined;
    if (renamed !== undefined || called !== undefined) Object.assign(run, { name, source, isNamed: name !== title });
    return {
      id,
      marks: this.#marksOf(run),
      created: false,
      renamed,
      called,
      ...(this.keepsMarks && { choice, choices }),
    };
  }

  async write(handle: RunHandle, batch: Batch): Promise<Receipt> {
    const run = this.#byId(handle.id);
    const put = (marksToo: boolean) => {
      this.batches.push(batch.scalars.length);
      for (const point of pointsOf(batch)) count(run.points, point);
      for (const { kind, tag, step } of batch.data) count(run.data, `${kind} ${tag} ${step}`);
      for (const { key, start, part, data } of batch.segments) {
        run.segments.set(
          `${key} ${start} ${part}`,
          data.map(({ kind, tag, step }) => `${kind} ${tag} ${step}`),
        );
      }
      for (const [name, value] of batch.hparams) run.hparams.set(name, value);
      for (const [name, value] of paramsOf(batch)) if (!run.params.has(name)) run.params.set(name, value);
      if (!marksToo) return;
      for (const mark of batch.marks) run.marks.set(mark.key, mark);
      if (batch.choice === undefined) return;
      run.choices.set(batch.choice.id, batch.choice.text);
      run.choice = batch.choice.text;
    };
    return this.#call(
      "write",
      run.name,
      async () => {
        put(true);
        return { tally: tallyOf(batch), notes: this.notes };
      },
      () => put(false),
    );
  }

  /** Pages are drawn from what the files hold; what they show is tested where they are made. */
  async attach(_run: RunHandle, pages: AsyncIterable<Page>): Promise<readonly Note[]> {
    for await (const { kind, tag } of pages) this.pages.add(`${kind} ${tag}`);
    return [];
  }

  async resume(handle: RunHandle): Promise<void> {
    const run = this.#byId(handle.id);
    await this.#call("resume", run.name, async () => {
      run.status = "running";
    });
  }

  async attachFiles(handle: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt> {
    const run = this.#byId(handle.id);
    return this.#call("attachFiles", run.name, async () => {
      const tally = new Tally();
      const put = async (path: string, file: FileRef, size: number) => {
        const bytes = new Uint8Array(size);
        const length = await useFile(file, (source) => source.read(bytes, 0, size, 0));
        run.files.set(path, Buffer.from(bytes.subarray(0, length)).toString("latin1"));
      };
      if (artifact.kind === "source_files") await put(artifact.path, artifact.file, artifact.size);
      for (const { embedding, files } of artifact.kind === "embeddings" ? artifact.embeddings : []) {
        for (const { role, file } of files) await put(`${embedding.tensorName} ${role}`, file, file.size);
      }
      tally.sent(artifact.kind, artifact.kind === "embeddings" ? artifact.embeddings.length : 1);
      return { tally, notes: [], problems: [], complete: true };
    });
  }

  async finish(handle: RunHandle, status: FinalStatus, endTime: number): Promise<void> {
    const run = this.#byId(handle.id);
    await this.#call("finish", run.name, async () => {
      run.status = status;
      run.endTime = endTime;
    });
  }

  location(): string {
    return "memory";
  }

  async close(): Promise<void> {}

  /** The one run of this name. */
  run(name: string): MemoryRun {
    const [run, ...others] = this.runs.filter((candidate) => candidate.name === name);
    if (run === undefined || others.length > 0) throw new Error(`${others.length + (run ? 1 : 0)} runs are ${name}`);
    return run;
  }

  /** What a backup of it would hold. */
  snapshot(): MemoryRun[] {
    return structuredClone(this.runs);
  }

  forgetMarks(): void {
    for (const run of this.runs) run.marks.clear();
  }

  async #find(run: RunDescription): Promise<MemoryRun | undefined> {
    for (const candidate of this.runs) {
      if (candidate.source === run.source && (await run.owns([...candidate.marks.values()]))) return candidate;
    }
    for (const candidate of this.runs) {
      const marks = [...candidate.marks.values()];
      const isAlike = marks.some(({ key, name }) => run.marks.some((mark) => mark.key === key && mark.name === name));
      const isOthers = isAlike && (await run.isOthers({ ...candidate, marks }));
      if (isAlike && !isOthers && (await run.holds(marks))) return candidate;
    }
    return undefined;
  }

  #marksOf(run: MemoryRun): RunHandle["marks"] {
    return this.keepsMarks ? [...run.marks.values()] : undefined;
  }

  #byId(id: string): MemoryRun {
    const run = this.runs.find((candidate) => candidate.id === id);
    if (run === undefined) throw new TraceletError("deleted", `there is no run ${id}`);
    return run;
  }

  async #call<T>(method: Call["method"], run: string, work: () => Promise<T>, partly?: () => void): Promise<T> {
    const call = { n: this.calls.length + 1, method, run };
    this.calls.push(call);
    const fault: Fault | undefined = this.isAway ? { when: "before" } : this.fault(call);
    if (fault === undefined) return work();
    if (fault.when === "after") await work();
    if (fault.when === "between") partly?.();
    throw fault.error ?? new TraceletError("unreachable", `call ${call.n} (${method}) failed as it was told to`);
  }
}

/** A point as text that only equal points share. */
export function pointText(tag: string, step: bigint | number, wallTime: number, value: number): string {
  return `${tag} ${step} ${wallTime} ${Object.is(value, -0) ? "-0" : value}`;
}

export function pointsOf({ scalars }: Batch): string[] {
  return Array.from({ length: scalars.length }, (_, i) =>
    pointText(
      scalars.tags[scalars.tag[i] as number] as string,
      scalars.step[i] as bigint,
      scalars.wallTime[i] as number,
      scalars.value[i] as number,
    ),
  );
}

function tallyOf({ scalars, data }: Batch): Tally {
  const tally = new Tally();
  tally.sent("scalars", scalars.length);
  for (const { kind } of data) {
    if (kind === "unreadable") tally.skipped(kind, "undecodable", 1);
    else tally.sent(kind, 1);
  }
  return tally;
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

function paramsOf({ data, hparams }: Batch): (readonly [string, PythonValue])[] {
  const told = data.flatMap((datum) =>
    datum.kind === "hparams" && datum.record.type === "session_start" ? [...datum.record.hparams] : [],
  );
  return [...told, ...hparams];
}
