/** JSON lines to standard output, where nobody can go back. */
import type { Json } from "../../encode/json.ts";
import type { NamedFile } from "../../reader/datum.ts";
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
import type { Note } from "../../sync/report/note.ts";
import { FORMAT } from "../run-state.ts";
import { skipFiles } from "./backend.ts";
import { datumLine, hparamsLine, type Kept, scalarLines, tallyOf } from "./json-lines.ts";

/** Resolves once more may be written. */
export type LineSink = (lines: Uint8Array) => Promise<void>;

export class LinesBackend implements Backend {
  readonly batchSize: number = 10_000;
  readonly #sink: LineSink;
  /** Names of runs, by ids. */
  readonly #names = new Map<string, string>();

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  async open({ name, source, startTime }: RunDescription, knownId: string | undefined): Promise<RunHandle> {
    const id = knownId ?? `${name} ${this.#names.size}`;
    if (!this.#names.has(id)) {
      this.#names.set(id, name);
      const start = Number.isFinite(startTime) ? startTime : null;
      await this.#say({ run: name, kind: "run", format: FORMAT, name, source, start_time: start });
    }
    return { id, marks: undefined, created: knownId === undefined };
  }

  async write({ id }: RunHandle, batch: Batch): Promise<Receipt> {
    const { scalars, data, hparams } = batch;
    const lead = { run: this.#names.get(id) ?? "" };
    const lines: Uint8Array[] = [Buffer.from(scalarLines(scalars, `"run":${JSON.stringify(lead.run)},`))];
    for (const datum of data) lines.push(datumLine(datum, inline, lead) ?? NOTHING);
    if (hparams.size > 0) lines.push(hparamsLine(hparams, lead));
    await this.#sink(Buffer.concat(lines));
    return { tally: tallyOf(batch), notes: [] };
  }

  async finish({ id }: RunHandle, status: FinalStatus, endTime: number): Promise<void> {
    const end = Number.isFinite(endTime) ? endTime : null;
    await this.#say({ run: this.#names.get(id) ?? "", kind: "status", status, end_time: end });
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

  async #say(line: { readonly [key: string]: Json }): Promise<void> {
    await this.#sink(Buffer.from(`${JSON.stringify(line)}\n`));
  }
}

/** There are no files beside. One that was too large for its record is too large for a line. */
function inline(bytes: Uint8Array | NamedFile): Kept {
  if (!(bytes instanceof Uint8Array)) return { file: bytes.file, bytes: bytes.size };
  const { buffer, byteOffset, byteLength } = bytes;
  return { base64: Buffer.from(buffer, byteOffset, byteLength).toString("base64"), bytes: bytes.length };
}

const NOTHING = new Uint8Array(0);
