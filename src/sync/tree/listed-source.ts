/** A source that can only be listed, as an object store: what has another stamp than the last time has changed. */
import { TraceletError } from "../../errors.ts";
import type { DiscoveredRun, Discovery } from "../../reader/discover.ts";
import type { FileEntry, FileStore, FileTrouble } from "../../reader/file-store.ts";
import type { Source, SourceWatch, SourceWatchOptions } from "./source.ts";
import { Subscription } from "./subscription.ts";

export interface Listing {
  /** For messages. */
  readonly name: string;
  readonly store: Pick<FileStore, "judge">;
  /** All runs there are. @throws an error that the store judges */
  list(): Promise<Discovery>;
}

export class ListedSource implements Source {
  readonly #listing: Listing;

  constructor(listing: Listing) {
    this.#listing = listing;
  }

  async discover(): Promise<Discovery> {
    const { name, store } = this.#listing;
    try {
      return await this.#listing.list();
    } catch (cause) {
      const trouble = store.judge(cause);
      if (trouble === undefined) throw cause;
      const message = trouble.kind === "gone" ? `there is no ${name}` : `cannot list ${name}: ${trouble.code}`;
      throw new TraceletError("logdir", message, { hint: HINTS[trouble.kind], cause });
    }
  }

  async watch(options: SourceWatchOptions): Promise<SourceWatch> {
    return new ListingWatch(this.#listing, options);
  }
}

const HINTS: Readonly<Record<FileTrouble["kind"], string>> = {
  gone: "give the directory that you give to tensorboard --logdir",
  refused: "check that you may list and read it",
  again: "try again",
};

/** One list for each poll, however many read the changes. */
class ListingWatch implements SourceWatch {
  readonly #listing: Listing;
  readonly #options: SourceWatchOptions;
  readonly #subscriptions: Subscription[] = [];
  /** The last list, by logdir and name; the same objects as long as nothing about them has changed. */
  readonly #runs = new Map<string, DiscoveredRun>();
  #first: Promise<void> | undefined;
  #found: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #trouble: string | undefined;
  #isClosed = false;
  isComplete = false;
  failure: { readonly error: unknown } | undefined;

  constructor(listing: Listing, options: SourceWatchOptions) {
    this.#listing = listing;
    this.#options = options;
  }

  subscribe(): Subscription {
    const subscription = new Subscription(this);
    this.#subscriptions.push(subscription);
    return subscription;
  }

  async discover(): Promise<Discovery> {
    this.start();
    await this.#first;
    return { runs: [...this.#runs.values()], problems: [] };
  }

  start(): void {
    this.#first ??= new Promise((resolve) => {
      this.#found = resolve;
      void this.#poll();
    });
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#found?.();
  }

  async #poll(): Promise<void> {
    try {
      const { runs } = await this.#listing.list();
      if (this.#isClosed) return;
      this.#take(runs);
      this.#say(undefined);
      this.isComplete = true;
      this.#found?.();
    } catch (error) {
      const trouble = this.#listing.store.judge(error);
      if (trouble === undefined) {
        this.failure = { error };
        this.#found?.();
      } else this.#say(trouble);
    }
    for (const subscription of this.#subscriptions) subscription.wake();
    if (this.#isClosed || this.failure !== undefined) return;
    this.#timer = setTimeout(() => void this.#poll(), this.#options.pollMs);
  }

  #take(runs: readonly DiscoveredRun[]): void {
    const vanished = new Map(this.#runs);
    for (const run of runs) {
      const key = `${run.logdir}\0${run.name}`;
      const before = this.#runs.get(key);
      vanished.delete(key);
      if (before !== undefined && stampsOf(before) === stampsOf(run)) continue;
      this.#runs.set(key, run);
      for (const subscription of this.#subscriptions) subscription.tell(key, run, false);
    }
    for (const [key, run] of vanished) {
      this.#runs.delete(key);
      for (const subscription of this.#subscriptions) subscription.tell(key, run, true);
    }
  }

  /** What keeps it from being listed, once; and that nothing does any more. */
  #say(trouble: FileTrouble | undefined): void {
    const { name: path } = this.#listing;
    if (trouble?.code === this.#trouble) return;
    this.#trouble = trouble?.code;
    this.#options.onNote(
      trouble === undefined ? { kind: "readable", path } : { kind: "unreadable", path, code: trouble.code },
    );
  }
}

function stampsOf({ files, hparamsFile, projectorFile }: DiscoveredRun): string {
  const stamp = (file: FileEntry | undefined) => file && `${file.name} ${file.store.stampOf(file)}`;
  return JSON.stringify([...files, hparamsFile, projectorFile].map((file) => stamp(file) ?? null));
}
