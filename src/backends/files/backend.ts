/** Files as a destination: runs that are appended to. */
import type {
  Backend,
  Batch,
  FilesReceipt,
  FinalStatus,
  KnownRun,
  Receipt,
  RunChange,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../../sync/backend.ts";
import type { Note } from "../../sync/report/note.ts";
import { Tally } from "../../sync/report/tally.ts";
import type { FileMark } from "../../sync/source/fingerprint.ts";
import type { OutputDirectory } from "../output-directory.ts";
import { isAllNew, isRepeated, movedTo, newState, type RunState } from "../run-state.ts";
import { pathOfRun } from "./run-names.ts";
import type { OpenRun, RunFile, RunsOnDisk, SeenRun } from "./runs-on-disk.ts";

export class FilesBackend<Open extends OpenRun> implements Backend {
  readonly batchSize: number;
  readonly #directory: OutputDirectory;
  readonly #runs: RunsOnDisk<Open>;
  readonly #open = new WeakMap<RunHandle, Open>();
  /** The runs that were there when one was first looked for under another name. */
  #others: readonly RunFile[] | undefined;
  #isUsed = false;

  constructor(directory: OutputDirectory, runs: RunsOnDisk<Open>) {
    this.#directory = directory;
    this.#runs = runs;
    this.batchSize = runs.batchSize;
  }

  async open(run: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    this.#isUsed = true;
    for (;;) {
      const { found, free } = await this.#find(run, knownId);
      const state = newState(run.name, run.source, run.marks);
      const open = await (found === undefined
        ? this.#runs.create(free, state, run.startTime)
        : this.#runs.open(found.id));
      // Somebody has made or removed it meanwhile.
      if (open === undefined) continue;
      return this.#handleOf(open, run, found === undefined);
    }
  }

  async #handleOf(open: Open, { name, source }: RunDescription, created: boolean): Promise<RunHandle> {
    const { id } = open;
    const before = open.state.name;
    const isRenamed = open.state.source !== source;
    const isCalled = !isRenamed && before !== name;
    if (isRenamed || isCalled) await this.#runs.tell(open, { ...open.state, name, source });
    const { marks, choice, choices } = open.state;
    const handle: RunHandle = {
      id,
      marks: [...marks.values()],
      choice,
      choices,
      created,
      // A reader may have it open: it stays where it is.
      renamed: isRenamed ? { before: id, now: id } : undefined,
      called: isCalled ? { before, now: name } : undefined,
    };
    this.#open.set(handle, open);
    return handle;
  }

  /** What of a batch has a place in files of this format. */
  tally(batch: Batch): Tally {
    return this.#runs.tally(batch);
  }

  /** The run's files, without making any; where there are none, what they would be called. */
  async look(run: RunDescription): Promise<{ readonly id: string; readonly seen: RunFile | undefined }> {
    const { found, free } = await this.#find(run, undefined);
    return { id: found?.id ?? free, seen: found };
  }

  async #find(
    run: RunDescription,
    knownId: string | undefined,
  ): Promise<{ readonly found: RunFile | undefined; readonly free: string }> {
    const known = knownId === undefined ? undefined : this.#runs.look(knownId);
    if (known !== undefined && !(await contradicts(run, known))) return { found: known, free: known.id };
    const path = pathOfRun(run.name);
    let free: string | undefined;
    for (let n = 1; free === undefined; n++) {
      const id = this.#runs.idOf(path, n);
      const there = this.#runs.look(id);
      if (there === undefined) free = id;
      else if (await isOf(run, there)) return { found: there, free: id };
    }
    return { found: await this.#findMoved(run), free };
  }

  /** The run that the source had under another name, told by its files. */
  async #findMoved(run: RunDescription): Promise<RunFile | undefined> {
    this.#others ??= this.#runs.list().flatMap((id) => this.#lookPast(id) ?? []);
    for (const other of this.#others) {
      const marks = marksOf(other);
      const isAlike = marks.some(({ key, name }) => run.marks.some((mark) => mark.key === key && mark.name === name));
      if (!isAlike || (await run.isOthers({ id: other.id, source: other.state.source, marks }))) continue;
      const now = this.#lookPast(other.id);
      if (now !== undefined && (await run.holds(marksOf(now)))) return now;
    }
    return undefined;
  }

  /** A file that is not ours is nobody's run. */
  #lookPast(id: string): SeenRun | undefined {
    try {
      return this.#runs.look(id);
    } catch {
      return undefined;
    }
  }

  async survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey> {
    const changes = new Map<string, RunChange>();
    for (const { id, marks } of known) {
      const there = this.#lookPast(id);
      if (there === undefined) changes.set(id, "gone");
      else if (!there.isWhole || marks.some(({ key, offset }) => offset > (there.state.marks.get(key)?.offset ?? 0)))
        changes.set(id, "behind");
    }
    return { changes, memory };
  }

  async settle(): Promise<ReadonlySet<string>> {
    return new Set();
  }

  async confirm(): Promise<undefined> {}

  async write(handle: RunHandle, batch: Batch): Promise<Receipt> {
    const run = this.#opened(handle);
    const { marks, choice } = batch;
    if (!isRepeated(run.state, marks)) {
      const next = movedTo(run.state, marks, choice);
      await this.#runs.append(run, { batch, next, isAllNew: isAllNew(run.state, marks) });
    }
    return { tally: this.tally(batch), notes: [] };
  }

  async resume(handle: RunHandle): Promise<void> {
    await this.#tell(handle, "running", undefined);
  }

  async finish(handle: RunHandle, status: FinalStatus, endTime: number): Promise<void> {
    await this.#tell(handle, status, Number.isFinite(endTime) ? endTime : undefined);
  }

  async #tell(handle: RunHandle, status: RunState["status"], endTime: number | undefined): Promise<void> {
    const run = this.#opened(handle);
    if (run.state.status === status && run.state.endTime === endTime) return;
    await this.#runs.tell(run, { ...run.state, status, endTime });
  }

  /** What pages draw is in the files already. */
  async attach(): Promise<readonly Note[]> {
    return [];
  }

  async attachFiles(_handle: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt> {
    return skipFiles(artifact);
  }

  location(): string | undefined {
    return this.#isUsed ? this.#directory.root : undefined;
  }

  async close(): Promise<void> {
    this.#directory.close();
  }

  #opened(handle: RunHandle): Open {
    const open = this.#open.get(handle);
    if (open === undefined) throw new Error("a run is opened before it is written to");
    return open;
  }
}

/** What becomes of files of the source, which files of values have no place for. */
export function skipFiles(artifact: SourceArtifact): FilesReceipt {
  const tally = new Tally();
  tally.skipped(artifact.kind, "no-file-storage", artifact.kind === "embeddings" ? artifact.embeddings.length : 1);
  return { tally, notes: [], problems: [], complete: true };
}

function marksOf({ state }: RunFile): FileMark[] {
  return [...state.marks.values()];
}

function contradicts(run: RunDescription, there: RunFile): Promise<boolean> {
  return run.contradicts({ source: there.state.source, marks: marksOf(there) });
}

async function isOf(run: RunDescription, there: RunFile): Promise<boolean> {
  const { source } = there.state;
  const marks = marksOf(there);
  if (source !== run.source || (await run.isOthers({ id: there.id, source, marks }))) return false;
  // One that has none holds nothing.
  return marks.length === 0 || run.owns(marks);
}
