/** What a user has to know of the configuration, said once before a command begins. */
import path from "node:path";
import type { Command } from "commander";
import { variableFor } from "../config/environment.ts";
import { placeOf } from "../config/file/place.ts";
import { WITHOUT_MEANING } from "../config/file/seed-names.ts";
import type { Surroundings } from "./settings.ts";

/** @param command that was parsed */
export function configNotes(command: Command, { settings }: Surroundings, env: NodeJS.ProcessEnv): string[] {
  const options = new Set(command.options.map((option) => option.attributeName()));
  const variables = [...WITHOUT_MEANING].filter((name) => !options.has(name)).map(variableFor);
  const set = variables.filter((variable) => env[variable]);
  const notes = set.length === 0 ? [] : [meaningless(set)];
  if (settings === undefined) return notes;
  const { file, withoutMeaning, sources } = settings;
  if (withoutMeaning.length > 0) notes.push(`${placeOf(file, undefined)}: ${meaningless(withoutMeaning)}`);
  const takesSources = command.name() === "sync" || command.name() === "watch";
  if (takesSources && sources.length > 0 && command.args.length > 0)
    notes.push(`the sources of ${path.basename(file)} are not used, since logdirs are given on the command line`);
  return notes;
}

function meaningless(names: readonly string[]): string {
  const predicate = names.length === 1 ? "means nothing here, and is" : "mean nothing here, and are";
  return `${names.join(", ")} ${predicate} ignored`;
}
