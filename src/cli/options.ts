/** Options of the table → those of commander. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { BACKENDS, type RegisteredBackend } from "../config/backends.ts";
import { flagName, variableOf } from "../config/environment.ts";
import { parseText } from "../config/forms.ts";
import { type CommandOption, OPTIONS } from "../config/options.ts";
import { TraceletError } from "../errors.ts";
import type { CommandName, OptionDefinition } from "../sync/option.ts";

/** The commands that open a destination. */
const OPENS: readonly CommandName[] = ["sync", "watch", "verify"];

/** The options of the command, those of the backends included where it takes `--backend`. */
export function addOptions(command: Command, plugins: readonly RegisteredBackend[] = []): Command {
  const name = command.name() as CommandName;
  const groups = new Map<string, Option[]>();
  const add = (group: string, made: Option) => groups.set(group, [...(groups.get(group) ?? []), made]);
  for (const [attribute, definition] of Object.entries<CommandOption>(OPTIONS)) {
    if (!definition.commands.includes(name) || definition.form === "structure") continue;
    const help = definition.helpOf?.[name] ?? definition.help;
    add(definition.groupOf?.[name] ?? definition.group ?? "Options:", option(attribute, { ...definition, help }));
    if (attribute !== "backend" || !OPENS.includes(name)) continue;
    const added = new Set<string>();
    for (const { title, options } of [...BACKENDS, ...plugins]) {
      const heading = `${title.charAt(0).toUpperCase()}${title.slice(1)}:`;
      for (const [own, each] of Object.entries(options)) {
        if (added.has(own) || !(each.commands ?? OPENS).includes(name)) continue;
        added.add(own);
        add(heading, option(own, each));
      }
    }
  }
  for (const [group, options] of groups) {
    command.optionsGroup(group);
    for (const each of options) command.addOption(each);
  }
  return command;
}

/** @param attribute its name in the table */
export function option(attribute: string, definition: OptionDefinition): Option {
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
    made.argParser((text, before) =>
      worded(() => parseText(definition, text, before === byDefault ? undefined : before)),
    );
  }
  const variable = variableOf(attribute, definition, process.env);
  return variable === undefined ? made : made.env(variable);
}

function worded(parse: () => unknown): unknown {
  try {
    return parse();
  } catch (error) {
    throw error instanceof TraceletError ? new InvalidArgumentError(error.message) : error;
  }
}
