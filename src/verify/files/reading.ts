/** One reading of the source for a verification of files: every value passes through the engine, and is written nowhere. */
import os from "node:os";
import { type FilesBackend, skipFiles } from "../../backends/files/backend.ts";
import type { OpenRun } from "../../backends/files/runs-on-disk.ts";
import type { RunState } from "../../backends/run-state.ts";
import type {
  Backend,
  Batch,
  FilesReceipt,
  FinalStatus,
  Receipt,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../../sync/backend.ts";
import { type SyncOptions, sync } from "../../sync/engine/once.ts";
import type { SyncResult } from "../../sync/engine/sync-result.ts";
import type { Note } from "../../sync/report/note.ts";
import { Checkpoints } from "../../sync/state/checkpoints.ts";

/** Told what a sync would write. */
export interface Expectations {
  /** @param id of the run's files; where there are none, what they would be called @param state as they tell it */
  open(id: string, state: RunState | undefined): void;
  batch(id: string, run: string, batch: Batch): void;
  /** All of the run's source has been read. */
  end(id: string, status: FinalStatus): void;
}

/** What the source holds now. @param expectations told all that would be written */
export async function readSource(
  options: Omit<SyncOptions, "backend" | "checkpoints" | "onRun" | "trace">,
  files: FilesBackend<OpenRun>,
  expectations: Expectations,
): Promise<SyncResult> {
  const backend = new ExpectingBackend(files, expectations);
  // No state can be there: it is empty, and kept nowhere.
  const checkpoints = Checkpoints.open(os.devNull, "", { readOnly: true });
  try {
    return await sync({ ...options, passesNamedFiles: true, backend, checkpoints });
  } finally {
    checkpoints.close();
  }
}

/** Finds every run as a sync finds it, and writes none. */
class ExpectingBackend implements Backend {
  readonly batchSize = 20_000;
  readonly #files: FilesBackend<OpenRun>;
  readonly #expectations: Expectations;
  /** Names of runs, by handles. */
  readonly #names = new WeakMap<RunHandle, string>();

  constructor(files: FilesBackend<OpenRun>, expectations: Expectations) {
    this.#files = files;
    this.#expectations = expectations;
  }

  async open(run: RunDescription): Promise<RunHandle> {
    const { id, seen } = await this.#files.look(run);
    this.#expectations.open(id, seen?.state);
    const handle = { id, marks: undefined, created: false };
    this.#names.set(handle, run.name);
    return handle;
  }

  async write(handle: RunHandle, batch: Batch): Promise<Receipt> {
    this.#expectations.batch(handle.id, this.#names.get(handle) ?? "", batch);
    return { tally: this.#files.tally(batch), notes: [] };
  }

  async finish({ id }: RunHandle, status: FinalStatus): Promise<void> {
    this.#expectations.end(id, status);
  }

  async resume(): Promise<void> {}

  async attach(): Promise<readonly Note[]> {
    return [];
  }

  async attachFiles(_handle: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt> {
    return skipFiles(artifact);
  }

  async survey(_known: unknown, memory: string | undefined): Promise<Survey> {
    return { changes: new Map(), memory };
  }

  async settle(): Promise<ReadonlySet<string>> {
    return new Set();
  }

  async confirm(): Promise<undefined> {}

  location(): undefined {}

  async close(): Promise<void> {}
}
