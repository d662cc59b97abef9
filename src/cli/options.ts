/** Options of the table → those of commander. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { BACKENDS, type RegisteredBackend } from "../config/backends.ts";
import type { CommandOption } from "../config/command-option.ts";
import { flagName, oppositeVariable, variableOf } from "../config/environment.ts";
import type { Settings } from "../config/file/settings.ts";
import { parseText } from "../config/forms.ts";
import { OPTIONS } from "../config/options.ts";
import { TraceletError } from "../errors.ts";
import type { CommandName, OptionDefinition } from "../sync/option.ts";
import { besideFile } from "./file-values.ts";

/** The commands that open a destination; `config` shows what they would be given. */
const OPENS: readonly CommandName[] = ["sync", "watch", "verify", "config"];

/**
 * The options of the command, those of the backends included where it takes `--backend`.
 *
 * @param settings of a configuration file
 */
export function addOptions(command: Command, plugins: readonly RegisteredBackend[] = [], settings?: Settings): Command {
  const groups = new Map<string, Option[]>();
  for (const { name, definition, group } of optionsOf(command.name() as CommandName, plugins)) {
    if (definition.form === "structure") continue;
    const made = option(name, definition, () => command.getOptionValueSource(name) === "cli");
    groups.set(group, [...(groups.get(group) ?? []), made, ...opposites(name, definition)]);
  }
  for (const [group, options] of groups) {
    command.optionsGroup(group);
    for (const each of options) command.addOption(each);
  }
  if (settings === undefined) return command;
  for (const { name, definition } of optionsOf(command.name() as CommandName, plugins)) {
    const setting = settings.values.get(name);
    if (setting === undefined) continue;
    const { value, variable } = besideFile(name, definition, setting, process.env);
    command.setOptionValueWithSource(name, value, variable === undefined ? "config" : "env");
  }
  return command;
}

/** An option that a command takes, and where its help shows it. */
interface Taken {
  readonly name: string;
  readonly definition: OptionDefinition;
  readonly group: string;
}

/** The options that the command takes, in the order of its help. */
export function optionsOf(command: CommandName, plugins: readonly RegisteredBackend[]): Taken[] {
  const taken: Taken[] = [];
  for (const [name, definition] of Object.entries<CommandOption>(OPTIONS)) {
    if (command !== "config" && !definition.commands.includes(command)) continue;
    const help = definition.helpOf?.[command] ?? definition.help;
    const group = definition.groupOf?.[command] ?? definition.group ?? "Options:";
    taken.push({ name, definition: { ...definition, help }, group });
    if (name !== "backend" || !OPENS.includes(command)) continue;
    const added = new Set<string>();
    const backends = [...BACKENDS, ...plugins];
    for (const { options } of backends) {
      for (const [own, each] of Object.entries(options)) {
        if (added.has(own) || (command !== "config" && !(each.commands ?? OPENS).includes(command))) continue;
        added.add(own);
        const takers = backends.filter((backend) => Object.hasOwn(backend.options, own));
        taken.push({ name: own, definition: each, group: headingOf(takers.map(({ title }) => title)) });
      }
    }
  }
  return taken;
}

/** @param titles of the destinations that take the same options */
function headingOf(titles: readonly string[]): string {
  const all = titles.join(" and ");
  return `${all.charAt(0).toUpperCase()}${all.slice(1)}:`;
}

/**
 * @param attribute its name in the table
 * @param isGiven whether the command line has given it before: only then are several lists one
 */
export function option(attribute: string, definition: OptionDefinition, isGiven: () => boolean = () => false): Option {
  const { form, value, short, help, preset, choices } = definition;
  const flag = `--${form === "switch" ? "no-" : ""}${flagName(attribute)}`;
  const made = new Option(
    `${short === undefined ? "" : `-${short}, `}${flag}${value === undefined ? "" : ` ${value}`}`,
    help,
  );
  if (form === "flag") made.default(false);
  const byDefault = typeof definition.default === "function" ? definition.default(process.env) : definition.default;
  if (byDefault !== undefined) made.default(byDefault, definition.defaultText);
  if (preset !== undefined) made.preset(preset);
  if (definition.hidden === true) made.hideHelp();
  if (choices !== undefined) made.choices(choices);
  else if (form !== "flag" && form !== "switch") {
    made.argParser((text, before) => worded(() => parseText(definition, text, isGiven() ? before : undefined)));
  }
  const variable = variableOf(attribute, definition, process.env);
  return variable === undefined ? made : made.env(variable);
}

/** What gives back what a file has said otherwise: `--images`, `--no-histogram-metrics`; and `--no-config`. */
function opposites(attribute: string, definition: OptionDefinition): Option[] {
  const { form } = definition;
  const isText = attribute === "config";
  if (form !== "flag" && form !== "switch" && !isText) return [];
  const flag = `--${form === "switch" ? "" : "no-"}${flagName(attribute)}`;
  const made = new Option(flag, isText ? "use no configuration file" : `the opposite of ${flagName(attribute)}`);
  if (!isText) made.hideHelp();
  const variable = oppositeVariable(attribute, definition, process.env);
  return [variable === undefined ? made : made.env(variable)];
}

function worded(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    throw error instanceof TraceletError ? new InvalidArgumentError(error.message) : error;
  }
}
