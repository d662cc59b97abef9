/** A plug-in's backend as the engine needs it: what it leaves out is filled in, and its bugs are reported as its own. */
import { type ErrorCode, TraceletError } from "../errors.ts";
import type { Datum, Kind } from "../reader/datum.ts";
import type {
  Backend,
  Batch,
  FilesReceipt,
  FinalStatus,
  KnownRun,
  Page,
  Receipt,
  Refuse,
  RefusedValue,
  RunDescription,
  RunHandle,
  SourceArtifact,
  Survey,
} from "../sync/backend.ts";
import type { PluginBackend, PluginRun } from "../sync/backend-plugin.ts";
import type { Note } from "../sync/report/note.ts";
import { Tally } from "../sync/report/tally.ts";
import type { FileMark } from "../sync/source/fingerprint.ts";
import { settled } from "./settled.ts";

/** About a megabyte of scalars. */
const BATCH_SIZE = 10_000;

export const NEVER_SETTLED = "returned a promise that never settles";

const DEFAULT_KINDS: readonly Kind[] = ["scalars"];

export class GuardedBackend implements Backend {
  readonly batchSize: number;
  readonly maxFileBytes: number | undefined;
  readonly #plugin: PluginBackend;
  readonly #name: string;
  readonly #kinds: ReadonlySet<Kind>;
  /** Ids of the runs of which it was said. */
  readonly #hasRefused = new Set<string>();

  /** @param name the plug-in's, for messages */
  constructor(plugin: PluginBackend, name: string, kinds: readonly Kind[] = DEFAULT_KINDS) {
    this.#plugin = plugin;
    this.#name = name;
    this.#kinds = new Set(kinds);
    this.batchSize = plugin.batchSize ?? BATCH_SIZE;
    this.maxFileBytes = plugin.maxFileBytes;
  }

  async open(run: RunDescription, knownId: string | undefined, cursor: string | undefined): Promise<RunHandle> {
    const asked: PluginRun = { ...run, matches: async (id, marks) => isSame(run, id, marks) };
    const handle = await this.#guard("open", () => this.#plugin.open(asked, knownId, cursor));
    const id: unknown = handle?.id;
    if (typeof id !== "string" || id === "") throw this.#bug("open", "returned no id");
    const { marks } = handle;
    if (marks !== undefined && !(Array.isArray(marks) && marks.every(isMark)))
      throw this.#bug("open", "returned something else than marks that it was given");
    return { ...handle, id, marks, created: handle.created ?? (knownId !== id && (marks?.length ?? 0) === 0) };
  }

  async write(run: RunHandle, batch: Batch, refuse?: Refuse): Promise<Receipt> {
    const refused: RefusedValue[] = [];
    const setAside: Note[] = [];
    const refuseAndCount: Refuse = async (values) => {
      if (refuse === undefined)
        throw new TraceletError("rejected", `${this.#name} refuses ${values.length} values: ${values[0]?.reason}`);
      const file = await refuse(values);
      refused.push(...values);
      const [first] = values;
      if (first !== undefined && !this.#hasRefused.has(run.id)) setAside.push(refusedNote(this.#name, first, file));
      this.#hasRefused.add(run.id);
      return file;
    };
    const wanted = ofKinds(batch, this.#kinds);
    const receipt = await this.#guard("write", () => this.#plugin.write(run, wanted, refuseAndCount));
    const { cursor, notes = [], tally = this.#tally(batch, refused) } = receipt ?? {};
    if (!(tally?.kinds instanceof Map)) throw this.#bug("write", "returned an invalid tally");
    if (!areNotes(notes)) throw this.#bug("write", "returned invalid notes");
    if (cursor !== undefined && typeof cursor !== "string")
      throw this.#bug("write", "returned a cursor that is not a string");
    return { cursor, notes: [...notes, ...setAside], tally };
  }

  /** The tally of a batch if the plug-in returns none: everything is stored except what it has refused. */
  #tally({ scalars, data }: Batch, refused: readonly RefusedValue[]): Tally {
    const counts = new Map<Kind, number>([["scalars", scalars.length]]);
    for (const { kind } of data) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const tally = new Tally();
    for (const [kind, count] of counts) {
      if (kind === "unreadable") tally.skipped(kind, "undecodable", count);
      else if (!this.#kinds.has(kind)) tally.skipped(kind, "unsupported-kind", count);
      else {
        const lost = refused.filter((value) => value.kind === kind).length;
        tally.sent(kind, count - lost);
        tally.skipped(kind, "refused", lost);
      }
    }
    return tally;
  }

  async survey(known: readonly KnownRun[], memory: string | undefined): Promise<Survey> {
    const survey = await this.#guard("survey", async () => this.#plugin.survey?.(known, memory));
    const { changes = new Map(), memory: after } = survey ?? {};
    if (!(changes instanceof Map)) throw this.#bug("survey", "returned changes that are no Map");
    return { changes, memory: after };
  }

  async settle(): Promise<ReadonlySet<string>> {
    const lost = (await this.#guard("settle", async () => this.#plugin.settle?.())) ?? new Set();
    if (!(lost instanceof Set)) throw this.#bug("settle", "returned no Set");
    return lost;
  }

  async confirm(memory: string | undefined): Promise<string | undefined> {
    return this.#guard("confirm", async () => this.#plugin.confirm?.(memory));
  }

  async resume(run: RunHandle): Promise<void> {
    await this.#guard("resume", async () => this.#plugin.resume?.(run));
  }

  async attach(run: RunHandle, pages: AsyncIterable<Page>): Promise<readonly Note[]> {
    const notes = (await this.#guard("attach", async () => this.#plugin.attach?.(run, pages))) ?? [];
    if (!areNotes(notes)) throw this.#bug("attach", "returned invalid notes");
    return notes;
  }

  async attachFiles(run: RunHandle, artifact: SourceArtifact): Promise<FilesReceipt> {
    const receipt = await this.#guard("attachFiles", async () => this.#plugin.attachFiles?.(run, artifact));
    if (receipt !== undefined) return receipt;
    const tally = new Tally();
    tally.skipped(artifact.kind, "no-file-storage", artifact.kind === "embeddings" ? artifact.embeddings.length : 1);
    return { tally, notes: [], problems: [], complete: true };
  }

  async finish(run: RunHandle, status: FinalStatus, endTime: number): Promise<void> {
    await this.#guard("finish", async () => this.#plugin.finish?.(run, status, endTime));
  }

  location(): string | undefined {
    try {
      return this.#plugin.location?.();
    } catch (error) {
      throw asTold(error) ?? this.#bug("location", messageOf(error), error);
    }
  }

  runLocation(id: string): string | undefined {
    try {
      return this.#plugin.runLocation?.(id);
    } catch (error) {
      throw asTold(error) ?? this.#bug("runLocation", messageOf(error), error);
    }
  }

  async close(): Promise<void> {
    await this.#guard("close", async () => this.#plugin.close?.());
  }

  async #guard<Result>(method: string, call: () => Promise<Result>): Promise<Result> {
    try {
      return await settled(call, () => this.#bug(method, NEVER_SETTLED));
    } catch (error) {
      throw asTold(error) ?? this.#bug(method, messageOf(error), error);
    }
  }

  #bug(method: string, what: string, cause?: unknown): TraceletError {
    return bugIn(this.#name, `${method}()`, what, cause);
  }
}

function refusedNote(name: string, { kind, tag, step, reason }: RefusedValue, file: string): Note {
  const first = `${kind} ${JSON.stringify(tag)}${step === undefined ? "" : ` at step ${step}`}: ${reason}`;
  const message = `values that ${name} refuses are set aside, and not sent again, in ${file} (the first: ${first})`;
  return { code: "quarantined", message };
}

/** The batch with these kinds only. */
function ofKinds(batch: Batch, kinds: ReadonlySet<Kind>): Batch {
  const { tags, tag, step, wallTime, value, offset } = batch.scalars;
  const isStored = ({ kind }: Datum) => kinds.has(kind);
  const hasScalars = kinds.has("scalars");
  return {
    ...batch,
    scalars: hasScalars ? batch.scalars : { tags, tag, step, wallTime, value, offset, length: 0 },
    data: batch.data.filter(isStored),
    segments: batch.segments.map((segment) => ({ ...segment, data: segment.data.filter(isStored) })),
    parts: batch.parts.map(({ file, firstScalar, firstDatum }) => ({
      file,
      firstScalar: hasScalars ? firstScalar : 0,
      firstDatum: batch.data.slice(0, firstDatum).filter(isStored).length,
    })),
    hparams: kinds.has("hparams") ? batch.hparams : new Map(),
  };
}

/** A bug in a plug-in. It ends the run it concerns, and no other. */
export function bugIn(name: string, where: string, what: string, cause?: unknown): TraceletError {
  return new TraceletError("plugin", `${where} of the backend ${name}: ${what}${placeIn(cause)}`, {
    hint: `this is a bug in the plug-in ${name}, not in tracelet`,
    cause,
  });
}

/** The plug-in's line that threw, or called what threw, as far as it is known. */
function placeIn(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const frames = stack.matchAll(/^ +at (?:.*\()?(?:file:\/\/)?(?!node:)([^()]+:\d+):\d+\)?$/gm);
  const places = Array.from(frames, ([, place]) => place as string);
  const place = places.find((each) => !IN_DEPENDENCY.test(each)) ?? places[0];
  return place === undefined ? "" : ` (${place})`;
}

/** A package other than a plug-in's own. */
const IN_DEPENDENCY = /.*[\\/]node_modules[\\/](?!tracelet-backend-)/;

/** An error thrown on purpose, possibly by another copy of tracelet; undefined for any other. */
export function asTold(error: unknown): TraceletError | undefined {
  if (error instanceof TraceletError) return error;
  if (!(error instanceof Error) || error.name !== "TraceletError") return undefined;
  const { code, hint, endsAll, retryAfterMs } = error as Partial<TraceletError>;
  if (typeof code !== "string") return undefined;
  return new TraceletError(code as ErrorCode, error.message, {
    hint,
    retryAfterMs,
    cause: error,
    ...(endsAll === undefined ? {} : { endsAll }),
  });
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : `threw ${String(error)}`;
}

async function isSame(run: RunDescription, id: string, marks: readonly FileMark[]): Promise<boolean> {
  if (await run.isOthers({ id, source: run.source, marks })) return false;
  return marks.length === 0 || run.owns(marks);
}

function areNotes(value: unknown): value is readonly Note[] {
  return Array.isArray(value) && value.every((note: Partial<Note> | null) => typeof note?.message === "string");
}

function isMark(value: unknown): value is FileMark {
  const { key, offset } = (value ?? {}) as Partial<FileMark>;
  return typeof key === "string" && typeof offset === "number";
}
