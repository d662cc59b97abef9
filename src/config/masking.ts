/** Values of options, made fit to be seen: without logins, tokens and keys. */
import { addressOf } from "../address.ts";
import type { OptionDefinition } from "../sync/option.ts";
import { flagName } from "./environment.ts";

const MASK = "***";
/** The last word of what an option, or a key below one, is called that holds a secret. */
const SECRET_WORD = /^(api)?keys?$|^tokens?$|^secrets?$|^passw(or)?ds?$|^credentials?$/;

function isSecretName(name: string): boolean {
  return SECRET_WORD.test(flagName(name).split(/[-_.]/).at(-1) ?? "");
}

export function masked(name: string, { secret }: Pick<OptionDefinition, "secret">, value: unknown): unknown {
  if (value === undefined || value === null) return value;
  return secret === true || isSecretName(name) ? MASK : withoutLogins(value);
}

function withoutLogins(value: unknown): unknown {
  if (typeof value === "string") return withoutLogin(value);
  if (Array.isArray(value)) return value.map(withoutLogins);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, masked(key, {}, inner)]));
}

/** An address without its login, and without a query, which may hold a key. */
function withoutLogin(text: string): string {
  const address = addressOf(text);
  if (address === undefined) return text;
  const { scheme, hasLogin, place, rest } = address;
  return `${scheme}${hasLogin ? `${MASK}@` : ""}${place}${rest.replace(/\?.*$/s, `?${MASK}`)}`;
}
