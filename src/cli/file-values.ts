/** What a configuration file gives, beside the environment: variables go before it. */
import { sayingNo } from "../config/environment.ts";
import type { Setting } from "../config/file/settings.ts";
import { parseText } from "../config/forms.ts";
import type { OptionDefinition } from "../sync/option.ts";

/**
 * The value of an option that a file gives, unless a variable says otherwise that commander does not know of: one that says
 * no to a flag, or one of tracelet's that is read as a fallback.
 */
export function besideFile(
  name: string,
  definition: OptionDefinition,
  { value }: Setting,
  env: NodeJS.ProcessEnv,
): { readonly value: unknown; readonly variable?: string } {
  const no = sayingNo(name, definition, env);
  if (no !== undefined) return { value: definition.form === "switch", variable: no };
  const variable = definition.fallbacks?.find((each) => each.startsWith("TRACELET_") && env[each]);
  if (variable === undefined) return { value };
  return { value: parseText(definition, env[variable] as string, undefined), variable };
}
