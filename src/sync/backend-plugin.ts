/** How a backend is offered: its options, and what opens it. Those that come with tracelet and plug-ins are the same here. */
import type { Backend } from "./backend.ts";
import type { OptionTable } from "./option.ts";

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
  /** What else is printed on standard output, such as `--json`; undefined if nothing is. */
  readonly stdoutUser: string | undefined;
  /** Print a line for the user. */
  readonly say: (line: string) => void;
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
}

/** @throws TraceletError `usage` or `unsupported` */
export type OpenBackend<Options> = (
  options: Options,
  surroundings: Surroundings,
  name: string,
) => OpenedBackend | Promise<OpenedBackend>;

/** Options of a backend, and where the help shows them. */
export interface OptionSection {
  /** What the options are of, as in "an option of MLflow". */
  readonly title: string;
  readonly options: OptionTable;
}
