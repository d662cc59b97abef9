/** What a command has to do: the logdirs it is given, or those of a configuration file, each with its options. */
import type { Command } from "commander";
import type { Setting, Settings } from "../config/file/settings.ts";
import type { CommandName } from "../sync/option.ts";
import { besideFile } from "./file-values.ts";
import { optionsOf } from "./options.ts";
import type { Surroundings } from "./settings.ts";

export interface Job<Options> {
  /** Names it among others; empty where there is only one. */
  readonly name: string;
  readonly logdirs: readonly string[];
  readonly options: Options;
}

/** How the help shows the argument, which may be left out where a file gives it. */
export function logdirArgument(settings: Settings | undefined, command: CommandName): string {
  const isGiven = settings !== undefined && (settings.values.has("logdirs") || hasSources(settings, command));
  return isGiven ? "[logdir...]" : "<logdir...>";
}

/** The logdirs of the command line, else those of the file's top level. */
export function logdirsOf(given: readonly string[], settings: Settings | undefined): readonly string[] {
  return settings === undefined || given.length > 0 ? given : logdirsIn(settings.values);
}

function hasSources({ sources }: Settings, command: CommandName): boolean {
  return sources.length > 0 && (command === "sync" || command === "watch");
}

/**
 * Logdirs of the command line go by the options of the file's top level. Without them each of its sources is a job; flags and
 * variables hold for all of them.
 *
 * @param command that was parsed
 */
export function jobsOf<Options extends object>(
  command: Command,
  logdirs: readonly string[],
  { settings, plugins }: Surroundings,
): Job<Options>[] {
  const options = command.opts<Options>();
  const name = command.name() as CommandName;
  if (settings === undefined || logdirs.length > 0) return [{ name: "", logdirs, options }];
  if (!hasSources(settings, name)) return [{ name: "", logdirs: logdirsIn(settings.values), options }];
  const taken = optionsOf(name, plugins);
  const jobs = settings.sources.map((source) => {
    const own = Object.fromEntries<unknown>(Object.entries(options));
    for (const { name: option, definition } of taken) {
      const setting = source.get(option);
      const isAsked = ["cli", "env"].includes(command.getOptionValueSource(option) ?? "");
      if (setting !== undefined && !isAsked) own[option] = besideFile(option, definition, setting, process.env).value;
    }
    return { logdirs: logdirsIn(source), options: own as Options };
  });
  if (jobs.length === 1) return jobs.map((job) => ({ ...job, name: "" }));
  const labels = jobs.map((job) => job.logdirs.map(fromHere).join(" "));
  return jobs.map((job, i) => {
    const label = labels[i] as string;
    const isShared = labels.indexOf(label) !== labels.lastIndexOf(label);
    return { ...job, name: isShared ? `${i + 1}: ${label}` : label };
  });
}

function logdirsIn(values: ReadonlyMap<string, Setting>): readonly string[] {
  return (values.get("logdirs")?.value ?? []) as readonly string[];
}

function fromHere(logdir: string): string {
  const relative = logdir.startsWith(`${process.cwd()}/`) ? logdir.slice(process.cwd().length + 1) : logdir;
  return relative === process.cwd() ? "." : relative;
}
