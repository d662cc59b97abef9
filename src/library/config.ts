/** Configuration files, for programs: `sync` and `watch` read none by themselves. */
import type { FILE_OPTIONS } from "../backends/files/options.ts";
import type { MLFLOW_OPTIONS } from "../backends/mlflow/options.ts";
import type { WANDB_OPTIONS } from "../backends/wandb/options.ts";
import { BACKENDS, backendNames } from "../config/backends.ts";
import { DEFAULT_BACKENDS, ownersOf } from "../config/destinations.ts";
import { foundDocument, namedDocument } from "../config/file/search.ts";
import { fileTable, namedBackends, type SettingMap, settingsOf } from "../config/file/settings.ts";
import type { Given } from "../config/given.ts";
import { OPTIONS } from "../config/options.ts";
import { registered } from "../config/registry.ts";
import { type CallOptions, isCallOption } from "./options.ts";

type FileOptions = Given<Omit<typeof OPTIONS, "config">> &
  Given<typeof MLFLOW_OPTIONS> &
  Given<typeof WANDB_OPTIONS> &
  Given<typeof FILE_OPTIONS>;

/** Options of a plug-in, and other names for options: checked when the file is read. */
interface OtherOptions {
  readonly [option: string]: unknown;
}

/** One of several sources. What it leaves out is as at the top level. */
export type ConfigSource = FileOptions & OtherOptions & { readonly logdirs?: string | readonly string[] | undefined };

/** What a configuration file holds. */
export type Config = ConfigSource & {
  /** Each with logdirs and destinations of its own, for `tracelet sync` and `tracelet watch` without a logdir. */
  readonly sources?: readonly ConfigSource[] | undefined;
};

/** The same object, with its type checked: for `tracelet.config.ts` and `.js`. */
export function defineConfig(config: Config): Config {
  return config;
}

export interface LoadedConfig<Command extends "sync" | "watch"> {
  /** Undefined if there is none. */
  readonly file: string | undefined;
  /**
   * What `sync` or `watch` is called with: one for each source, or a single one. Options that only a command has are left out;
   * so are `logdirs` where the file has none.
   */
  readonly calls: readonly Partial<CallOptions<Command>>[];
}

/**
 * Read a configuration file: the one that is named, or the nearest from the directory up to the root of its repository. A file
 * in JavaScript or TypeScript is executed. Environment variables are not read.
 *
 * @throws TraceletError `usage`
 */
export async function loadConfig<Command extends "sync" | "watch">(
  command: Command,
  { file, directory = process.cwd() }: { readonly file?: string; readonly directory?: string } = {},
): Promise<LoadedConfig<Command>> {
  const document = await (file === undefined ? foundDocument(directory) : namedDocument(file));
  if (document === undefined) return { file: undefined, calls: [{}] };
  const own = backendNames();
  const foreign = namedBackends(document).filter((name) => !own.includes(name));
  const plugins = await Promise.all([...new Set(foreign)].map(registered));
  const table = fileTable([OPTIONS, ...[...BACKENDS, ...plugins].map(({ options }) => options)]);
  const { values, sources } = await settingsOf(document, table);
  const calls = (sources.length === 0 ? [values] : sources).map((settings) => callOf(command, settings));
  return { file: document.file, calls };
}

function callOf<Command extends "sync" | "watch">(
  command: Command,
  settings: SettingMap,
): Partial<CallOptions<Command>> {
  const call: Record<string, unknown> = {};
  const backendOptions: Record<string, unknown> = {};
  const backends = (settings.get("backend")?.value ?? DEFAULT_BACKENDS) as readonly string[];
  for (const [name, { value, given }] of settings) {
    const owners = ownersOf(name);
    // A source may have inherited it, and `sync` would refuse it.
    if (owners.length > 0 && !owners.some(({ names }) => names.some((each) => backends.includes(each)))) continue;
    if (name === "backend") call[name] = value;
    else if (name === "logdirs" || isCallOption(command, name)) call[name] = given;
    else if (!Object.hasOwn(OPTIONS, name)) backendOptions[name] = value;
  }
  if (Object.keys(backendOptions).length > 0) call["backendOptions"] = backendOptions;
  return call as Partial<CallOptions<Command>>;
}
