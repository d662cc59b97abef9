/**
 * A destination in memory that can only be appended to, and keeps no marks: it goes back to the cursor that it is opened
 * with, and begins again without one. What is sent twice is there twice.
 */
import { TraceletError } from "../../src/errors.ts";
import type {
  Backend,
  Batch,
  FilesReceipt,
  KnownRun,
  Receipt,
  Refuse,
  RefusedValue,
  RunChange,
  RunDescription,
  RunHandle,
  Survey,
} from "../../src/sync/backend.ts";
import { Tally } from "../../src/sync/report/tally.ts";
import { pointsOf } from "./memory-backend.ts";

export interface AppendOnlyRun {
  readonly id: string;
  readonly name: string;
  readonly source: string;
  readonly points: string[];
}

export class AppendOnlyBackend implements Backend {
  readonly batchSize = 1000;
  readonly runs: AppendOnlyRun[];
  readonly #refuses: (tag: string) => boolean;

  /** @param runs what is there @param refuses values of which tags */
  constructor(runs: AppendOnlyRun[], refuses: (tag: string) => boolean = () => false) {
    this.runs = runs;
    this.#refuses = refuses;
  }

  async open(
    { name, source }: RunDescription,
    knownId: string | undefined,
    cursor: string | undefined,
  ): Promise<RunHandle> {
    const known = this.runs.find(({ id }) => id === knownId);
    if (known !== undefined) known.points.length = Number(cursor ?? 0);
    if (known !== undefined) return { id: known.id, marks: undefined, created: false };
    // Nobody knows how far the run of another state is.
    const same = this.runs.findIndex((run) => run.source === source);
    if (same >= 0) this.runs.splice(same, 1);
    const made = { id: `id-${++ids}`, name, source, points: [] };
    this.runs.push(made);
    return { id: made.id, marks: undefined, created: true };
  }

  async write({ id }: RunHandle, batch: Batch, refuse?: Refuse): Promise<Receipt> {
    const run = this.runs.find((each) => each.id === id);
    if (run === undefined) throw new TraceletError("deleted", `there is no run ${id}`);
    const { scalars } = batch;
    const refused: RefusedValue[] = [];
    const tally = new Tally();
    for (const [i, point] of pointsOf(batch).entries()) {
      const tag = scalars.tags[scalars.tag[i] as number] as string;
      if (!this.#refuses(tag)) {
        run.points.push(point);
        tally.sent("scalars", 1);
        continue;
      }
      const [step, wallTime, value] = [scalars.step[i], scalars.wallTime[i], scalars.value[i]];
      refused.push({
        kind: "scalars",
        tag,
        step,
        wallTime,
        value,
        file: undefined,
        offset: scalars.offset[i],
        reason: "no",
      });
      tally.skipped("scalars", "refused", 1);
    }
    for (const { kind } of batch.data) tally.sent(kind, 1);
    if (refused.length > 0) {
      if (refuse === undefined) throw new TraceletError("rejected", "some of it is refused");
      await refuse(refused);
    }
    return { tally, notes: [], cursor: String(run.points.length) };
  }

  async survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey> {
    const lost = known.filter(({ id }) => !this.runs.some((run) => run.id === id));
    return { changes: new Map(lost.map(({ id }): [string, RunChange] => [id, "gone"])), memory };
  }

  async settle(): Promise<ReadonlySet<string>> {
    return new Set();
  }

  async confirm(): Promise<undefined> {}

  async resume(): Promise<void> {}

  async attach(): Promise<[]> {
    return [];
  }

  async attachFiles(): Promise<FilesReceipt> {
    return { tally: new Tally(), notes: [], problems: [], complete: true };
  }

  async finish(): Promise<void> {}

  location(): undefined {}

  async close(): Promise<void> {}
}

/** No id is given twice. */
let ids = 0;
