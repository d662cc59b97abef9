/** Options as environment variables: `--state-dir` is `TRACELET_STATE_DIR`. */
import type { OptionDefinition } from "../sync/option.ts";

const SAYS_NO = /^(0|false|no|off)$/i;

/** `giveUpAfter` → `give-up-after`. */
export function flagName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/**
 * What is on unless it is taken away, as by `--no-images`, is so by `TRACELET_NO_IMAGES=1` and by `TRACELET_IMAGES=false`.
 * A variable that is empty gives nothing, nor does a flag's that says no.
 *
 * @returns the variable that may give the option; undefined if it is set and gives nothing
 */
export function variableOf(
  name: string,
  { form }: Pick<OptionDefinition, "form">,
  env: NodeJS.ProcessEnv,
): string | undefined {
  const bare = flagName(name).replaceAll("-", "_").toUpperCase();
  if (form === "switch" && SAYS_NO.test(env[`TRACELET_${bare}`] ?? "")) return `TRACELET_${bare}`;
  const variable = form === "switch" ? `TRACELET_NO_${bare}` : `TRACELET_${bare}`;
  const value = env[variable];
  const saysNo = (form === "flag" || form === "switch") && SAYS_NO.test(value ?? "");
  return value === "" || saysNo ? undefined : variable;
}
