/** A destination where nothing arrives: it counts what would be sent. */
import type {
  Backend,
  Batch,
  FilesReceipt,
  Receipt,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../sync/backend.ts";
import type { Note } from "../sync/report/note.ts";
import type { Tally } from "../sync/report/tally.ts";

export class DryRunBackend implements Backend {
  readonly batchSize: number = 10_000;
  readonly #tally: (batch: Batch) => Tally;
  readonly #files: (artifact: SourceArtifact) => FilesReceipt;
  #runs = 0;

  /** @param tally what of a batch would be sent @param files what of the source's files would be */
  constructor(tally: (batch: Batch) => Tally, files: (artifact: SourceArtifact) => FilesReceipt) {
    this.#tally = tally;
    this.#files = files;
  }

  async open({ name }: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    return { id: knownId ?? `${name} ${this.#runs++}`, marks: undefined, created: knownId === undefined };
  }

  async write(_handle: RunHandle, batch: Batch): Promise<Receipt> {
    return { tally: this.#tally(batch), notes: [] };
  }

  async finish(): Promise<void> {}

  async resume(): Promise<void> {}

  async attach(): Promise<readonly Note[]> {
    return [];
  }

  async attachFiles(_handle: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt> {
    return this.#files(artifact);
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
