/** How a backend is registered: its options, and what opens it. Plug-ins and the backends of tracelet are registered alike. */
import type { TraceletError } from "../errors.ts";
import type { Kind } from "../reader/datum.ts";
import type { Backend, Batch, Receipt, Refuse, RunDescription, RunElsewhere, RunHandle, Survey } from "./backend.ts";
import type { OptionsOf, OptionTable } from "./option.ts";
import type { FileMark } from "./source/fingerprint.ts";

/** What a backend is told beside its own options. */
export interface Surroundings {
  /** Aborted: finish what is under way, begin nothing new. */
  readonly signal: AbortSignal;
  /** Whether runs are followed: what fails is told at once, to a caller that tries again by itself. */
  readonly live: boolean;
  /** Whether nothing may be changed at the destination. */
  readonly dryRun: boolean;
  /** Whether each retry is worth a line. */
  readonly verbose: boolean;
  /** How long a destination that does not answer is tried again, ms. */
  readonly giveUpAfterMs: number;
  /** How long ending may take once the signal is aborted, ms. */
  readonly shutdownTimeoutMs: number;
  /** Whether another backend that was chosen has the same options: each keeps to a place of its own within what they name. */
  readonly sharesOptions: boolean;
  /** What else is printed on standard output, such as `--json`; undefined if nothing is. */
  readonly stdoutUser: string | undefined;
  /** Print a line for the user. In a watch it is a warning unless told otherwise. */
  readonly say: (line: string, level?: "info" | "warning") => void;
}

/** Defaults for what a caller does not give. */
export function surroundingsOf(given: Partial<Surroundings> = {}): Surroundings {
  return {
    signal: new AbortController().signal,
    live: false,
    dryRun: false,
    verbose: false,
    giveUpAfterMs: 600_000,
    shutdownTimeoutMs: 10_000,
    sharesOptions: false,
    stdoutUser: undefined,
    say: () => {},
    ...given,
  };
}

/** A destination that is open. */
export interface OpenedBackend {
  readonly backend: Backend;
  /** The address or account, without credentials; tells this destination from others of the same backend in the state. */
  readonly address: string;
  /** How many runs it is best sent at the same time; 4 if left out. */
  readonly concurrency?: number;
  /** How to view the result where it has no address. */
  readonly howToLook?: string | undefined;
  /** How many requests were sent again so far. */
  readonly retries?: () => number;
  /** Whether nothing is remembered of it, since nobody can tell what has arrived: everything is sent each time. */
  readonly isForgotten?: boolean;
  /** Told how to ask for what is remembered of a run at other destinations, before anything is sent. */
  readonly consult?: ((elsewhere: (id: string) => readonly RunElsewhere[]) => void) | undefined;
}

/** @throws TraceletError `usage` or `unsupported` */
export type OpenBackend<Options> = (
  options: Options,
  surroundings: Surroundings,
  name: string,
) => OpenedBackend | Promise<OpenedBackend>;

/**
 * What a backend has against its options, told before any destination is opened.
 *
 * @throws TraceletError `usage`
 */
export type CheckOptions<Options> = (options: Options, surroundings: Surroundings, name: string) => void;

/** Options of a backend, and where the help shows them. */
export interface OptionSection {
  /** What the options are of, as in "an option of MLflow". */
  readonly title: string;
  readonly options: OptionTable;
}

/**
 * Version of what a plug-in and tracelet expect of each other: `BackendPlugin`, `PluginBackend` and what they are given. It
 * changes when a plug-in has to change; an addition that plug-ins may ignore does not change it.
 */
export const SEAM_VERSION = 1;

/** The default export of a plug-in: `--backend ./my-backend.mjs`, or the npm package `tracelet-backend-<name>`. */
export interface BackendPlugin<Table extends OptionTable = OptionTable> {
  /** The version of the seam it was written for: the `SEAM_VERSION` of that time. */
  readonly seam: number;
  /** Names it in messages and in the state; left out: the name of its file or package. */
  readonly name?: string;
  /** Its section of the help. Each option is a flag and an environment variable of tracelet. */
  readonly options?: Table;
  /** Which kinds of values it stores; left out: scalars. The others are counted as skipped, and never given to `write`. */
  readonly kinds?: readonly Kind[];
  /** The address or account, without credentials: tells this destination from others of the same plug-in in the state. */
  address(options: OptionsOf<Table>): string;
  /** Not called for a dry run. @throws TraceletError `usage`, `unsupported` */
  open(options: OptionsOf<Table>, surroundings: PluginSurroundings): PluginBackend | Promise<PluginBackend>;
}

export interface PluginSurroundings extends Surroundings {
  /**
   * What to throw on purpose, so that a plug-in need not import tracelet. Whatever else it throws counts as a bug in it, and
   * ends the run.
   */
  readonly TraceletError: typeof TraceletError;
}

/** The methods a plug-in must have; those of `Backend` that it leaves out do nothing. */
export interface PluginBackend extends Partial<Omit<Backend, "open" | "write" | "survey">> {
  /** Find the run, or create it. See `Backend.open`. */
  open(run: PluginRun, knownId: string | undefined, cursor: string | undefined): Promise<PluginRunHandle>;
  /**
   * Resolves once the batch is durable, its marks not before its values. Writing the same batch again changes nothing.
   *
   * @returns nothing if all of it was stored
   */
  write(run: RunHandle, batch: Batch, refuse: Refuse): Promise<Partial<Receipt> | undefined | void>;
  /** See `Backend.survey`; left out: the destination is believed to be as it was left. */
  survey?(known: Parameters<Backend["survey"]>[0], memory: string | undefined): Promise<Partial<Survey>>;
}

/** A run of the source, as `open` is asked for it. */
export interface PluginRun extends RunDescription {
  /**
   * Whether a run of the destination is this one: it has none of its files yet, or these are this run's, and no other run
   * of the logdirs has them.
   */
  matches(id: string, marks: readonly FileMark[]): Promise<boolean>;
}

export interface PluginRunHandle extends Partial<RunHandle> {
  /** The destination's own name for the run, the same each time. */
  readonly id: string;
  /**
   * The marks of the batches that were written, last of each key. Left out: the destination keeps none, and the run goes on
   * where the checkpoint says; `write` returns a cursor then, and `open` goes back to the one it is given.
   */
  readonly marks?: readonly FileMark[] | undefined;
}
