/** What a program may ask for: the options of the command line, as values. */
import type { FILE_OPTIONS } from "../backends/files/options.ts";
import type { MLFLOW_OPTIONS } from "../backends/mlflow/options.ts";
import type { WANDB_OPTIONS } from "../backends/wandb/options.ts";
import { BACKENDS, type BackendOptions } from "../config/backends.ts";
import { ownersOf, requireOwn } from "../config/destinations.ts";
import { type Given, withDefaults } from "../config/given.ts";
import { type CommandOptions, OPTIONS } from "../config/options.ts";
import { withStructures } from "../config/structures.ts";
import { TraceletError } from "../errors.ts";
import type { BackendPlugin, OpenedBackend } from "../sync/backend-plugin.ts";
import type { CommandName, OptionDefinition, OptionTable } from "../sync/option.ts";

/** Options of the commands alone: how they print and when they end. `backend` takes more here. */
const NOT_HERE = [
  "config",
  "backend",
  "json",
  "quiet",
  "verbose",
  "logLevel",
  "metricsPort",
  "pid",
  "untilIdle",
  "untilEof",
] as const;

type Names<Command extends CommandName> = Exclude<keyof CommandOptions<Command>, (typeof NOT_HERE)[number]>;

/** A destination that is open already: `openMlflow`, `openWandb`, `openFiles`, or a `Backend` of your own. It is left open. */
export interface OpenDestination extends OpenedBackend {
  /** With `address`, names it in the state: the same each time. */
  readonly name: string;
}

/** A backend by what `--backend` calls it, or a plug-in. */
export type BackendChoice = string | BackendPlugin;

/** Where it goes, and each option of the command by its flag in camel case. */
export type CallOptions<Command extends "sync" | "watch"> = Given<Pick<typeof OPTIONS, Names<Command>>> &
  Given<typeof MLFLOW_OPTIONS> &
  Given<typeof WANDB_OPTIONS> &
  Given<typeof FILE_OPTIONS> & {
    /** What is given to `tensorboard --logdir`; or event files. */
    readonly logdirs: string | readonly string[];
    /** `mlflow` if neither this nor `destination` is given. */
    readonly backend?: BackendChoice | readonly BackendChoice[] | undefined;
    /** Instead of `backend`. */
    readonly destination?: OpenDestination | readonly OpenDestination[] | undefined;
    /** Options of plug-ins. */
    readonly backendOptions?: Readonly<Record<string, unknown>> | undefined;
    /** Aborted: finish what is under way, remember it, and return. The next call goes on from there. */
    readonly signal?: AbortSignal | undefined;
    /** Told what a user should know before anything is sent, such as a warning about credentials. */
    readonly onNote?: ((message: string, destination: string) => void) | undefined;
  };

/**
 * An option of a backend that is not sent to would change nothing.
 *
 * @param given options of the call, without those of plug-ins
 * @throws TraceletError `usage`
 */
export async function requireOwnOptions(
  { backend, destination }: Pick<CallOptions<"sync">, "backend" | "destination">,
  given: Readonly<Record<string, unknown>>,
): Promise<void> {
  const names = Object.keys(given).filter((name) => given[name] !== undefined);
  if (destination === undefined)
    return requireOwn(backend === undefined ? undefined : asList(backend), names, (name) => name);
  for (const name of names) {
    const [owner] = ownersOf(name);
    if (owner !== undefined)
      throw new TraceletError("usage", `${name} is an option of ${owner.title}, and destination is open already`, {
        hint: "give it to what opens the destination",
      });
  }
}

/** Whether a call takes the option; those of plug-ins are `backendOptions`. */
export function isCallOption(command: "sync" | "watch", name: string): boolean {
  return name in tableOf(command);
}

function tableOf(command: "sync" | "watch"): OptionTable {
  const own = Object.entries<OptionDefinition>(OPTIONS).filter(
    ([name, { commands }]) => commands?.includes(command) && !NOT_HERE.some((not) => not === name),
  );
  return Object.assign(Object.fromEntries(own), ...BACKENDS.map(({ options }) => options)) as OptionTable;
}

/** All options with their values. @throws TraceletError `usage` */
export async function optionsOf<Command extends "sync" | "watch">(
  command: Command,
  given: Readonly<Record<string, unknown>>,
  pluginOptions: Readonly<Record<string, unknown>> = {},
): Promise<Pick<CommandOptions<Command>, Names<Command>> & BackendOptions> {
  const table = tableOf(command);
  const values: unknown = { ...(await withStructures(table, withDefaults(table, given))), ...pluginOptions };
  return values as Pick<CommandOptions<Command>, Names<Command>> & BackendOptions;
}

export function asList<Item>(given: Item | readonly Item[]): readonly Item[] {
  return Array.isArray(given) ? (given as readonly Item[]) : [given as Item];
}

/** @throws TraceletError `usage` if there are none: sending nothing would look like success */
export function logdirsOf(given: string | readonly string[]): readonly string[] {
  const logdirs: readonly unknown[] = asList(given);
  const isPath = (logdir: unknown) => typeof logdir === "string" && logdir !== "";
  if (logdirs.length > 0 && logdirs.every(isPath)) return logdirs as readonly string[];
  throw new TraceletError("usage", "option logdirs: it must be a path, or a list of at least one", {
    hint: "give the directory that you give to tensorboard --logdir",
  });
}
