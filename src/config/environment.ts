/** Options as environment variables: `--state-dir` is `TRACELET_STATE_DIR`. */
import type { OptionDefinition } from "../sync/option.ts";
import { SEED_VARIABLES } from "./file/seed-names.ts";

const SAYS_NO = /^(0|false|no|off)$/i;

/** `giveUpAfter` → `give-up-after`. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * What is on unless it is taken away, as by `--no-images`, is so by `TRACELET_NO_IMAGES=1` and by `TRACELET_IMAGES=false`.
 * A variable that is empty gives nothing, nor does a flag's that says no. Where ours is not set, that of the Python library
 * counts.
 *
 * @returns the variable that may give the option; undefined if it is set and gives nothing
 */
export function variableOf(
  name: string,
  { form }: Pick<OptionDefinition, "form">,
  env: NodeJS.ProcessEnv,
): string | undefined {
  const bare = variableFor(name);
  if (form === "switch" && SAYS_NO.test(env[bare] ?? "")) return bare;
  const variable = form === "switch" ? negated(bare) : bare;
  const value = env[variable];
  const seed = value ? undefined : SEED_VARIABLES[name]?.find((each) => env[each]);
  if (seed !== undefined) return seed;
  const saysNo = (form === "flag" || form === "switch") && SAYS_NO.test(value ?? "");
  return value === "" || saysNo ? undefined : variable;
}

/**
 * The variable that may give the opposite: `TRACELET_IMAGES=1`, where a file says `images: false`; and `TRACELET_NO_JSON=1`.
 *
 * @returns undefined if it is set and gives nothing, or what takes away is set as well
 */
export function oppositeVariable(
  name: string,
  { form }: Pick<OptionDefinition, "form">,
  env: NodeJS.ProcessEnv,
): string | undefined {
  const bare = variableFor(name);
  const variable = form === "switch" ? bare : negated(bare);
  const takesAway = env[negated(bare)] ?? "";
  const isTakenAway = form === "switch" && takesAway !== "" && !SAYS_NO.test(takesAway);
  const value = env[variable];
  return value === "" || isTakenAway || SAYS_NO.test(value ?? "") ? undefined : variable;
}

/** The variable that says no to a flag, or to what takes a switch away: only a file's value differs by it. */
export function sayingNo(
  name: string,
  { form }: Pick<OptionDefinition, "form">,
  env: NodeJS.ProcessEnv,
): string | undefined {
  if (form !== "flag" && form !== "switch") return undefined;
  const variable = form === "switch" ? negated(variableFor(name)) : variableFor(name);
  return SAYS_NO.test(env[variable] ?? "") ? variable : undefined;
}

/** `stateDir` → `TRACELET_STATE_DIR`. */
export function variableFor(name: string): string {
  return `TRACELET_${flagName(name).replaceAll("-", "_").toUpperCase()}`;
}

function negated(variable: string): string {
  return variable.replace("TRACELET_", "TRACELET_NO_");
}
