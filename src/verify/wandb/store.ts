/** A W&B that the backend can write to as always, and that only looks at what it is given. */
import { RunConfig } from "../../backends/wandb/run-config.ts";
import type {
  ListedRun,
  RunAddress,
  RunFields,
  RunFile,
  RunStatus,
  StreamPart,
  UpsertedRun,
  WandbStore,
} from "../../backends/wandb/store.ts";
import type { ContentRefused } from "../../net/refusal.ts";

/** Told what a sync would write. */
export interface Expectations {
  /** @param isThere whether the server has the run */
  open(address: RunAddress, isThere: boolean): void;
  /** @param displayName what it is to be called, if it is called otherwise */
  fields(address: RunAddress, fields: RunFields): void;
  part(address: RunAddress, part: StreamPart): void;
  file(address: RunAddress, file: RunFile): Promise<void>;
}

/** Reads from the real store, so that every run is found as a sync finds it; writes nowhere. */
export class VerifyStore implements WandbStore {
  readonly #there: WandbStore;
  readonly #expectations: Expectations;
  /** Runs as they would be by now, by id. */
  readonly #written = new Map<string, RunStatus>();

  constructor(there: WandbStore, expectations: Expectations) {
    this.#there = there;
    this.#expectations = expectations;
  }

  get maxRequestBytes(): number {
    return this.#there.maxRequestBytes;
  }

  defaultEntity(): Promise<string | undefined> {
    return this.#there.defaultEntity();
  }

  /** One that is there is shown as it is known, but without what it holds: all of it is to come through. */
  async status(address: RunAddress): Promise<RunStatus | undefined> {
    const written = this.#written.get(address.name);
    if (written !== undefined) return written;
    const status = await this.#there.status(address);
    if (status === undefined) return undefined;
    const { stored } = new RunConfig(status.config);
    const config = new RunConfig();
    if (stored !== undefined)
      config.stored = { writer: stored.writer, state: stored.state, lines: 0, events: 0, plan: undefined };
    return { ...status, lines: 0, events: 0, config: stored === undefined ? "{}" : config.text(), summary: "{}" };
  }

  runsNamed(entity: string, project: string, names: readonly string[]): AsyncIterable<ListedRun> {
    return this.#there.runsNamed(entity, project, names);
  }

  newestRuns(entity: string, project: string): AsyncIterable<ListedRun> {
    return this.#there.newestRuns(entity, project);
  }

  /** All of it is to come through. */
  async *rows(): AsyncGenerator<readonly string[]> {}

  async upsert(address: RunAddress, fields: RunFields): Promise<UpsertedRun> {
    const { displayName = "", config = "{}" } = fields;
    const before = this.#written.get(address.name);
    const isNew = before === undefined && fields.storageId === undefined;
    const storageId = fields.storageId ?? before?.storageId ?? address.name;
    if (before === undefined) this.#expectations.open(address, !isNew);
    const { lines, events } = before ?? { lines: 0, events: 0 };
    this.#written.set(address.name, { storageId, displayName, lines, events, config, summary: "{}" });
    this.#expectations.fields(address, fields);
    return { ...address, storageId, displayName, isNew };
  }

  async stream(address: RunAddress, part: StreamPart): Promise<boolean> {
    const { history, events } = part;
    const written = this.#written.get(address.name);
    if (written !== undefined) {
      const end = (before: number, added: StreamPart["history"]) =>
        added === undefined ? before : Math.max(before, added.offset + added.lines.length);
      const counts = { lines: end(written.lines, history), events: end(written.events, events) };
      this.#written.set(address.name, { ...written, ...counts });
    }
    this.#expectations.part(address, part);
    return false;
  }

  async upload(address: RunAddress, files: readonly RunFile[]): Promise<ReadonlyMap<string, ContentRefused>> {
    for (const file of files) await this.#expectations.file(address, file);
    return new Map();
  }

  location(entity: string, project: string): string | undefined {
    return this.#there.location(entity, project);
  }

  /** The real store is its owner's to close. */
  async close(): Promise<void> {}
}
