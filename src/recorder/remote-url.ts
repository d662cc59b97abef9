/** The address of a git remote as it may be shown: without user names, passwords and tokens. */
import { addressOf } from "../address.ts";

/** @returns undefined if nothing of it can be shown: a helper's address may be a command */
export function withoutCredentials(url: string): string | undefined {
  const helper = /^[a-z][a-z0-9+.-]*::/i.exec(url)?.[0];
  const address = addressOf(url.slice(helper?.length ?? 0));
  if (address === undefined) return helper === undefined ? withoutPassword(url) : undefined;
  return `${helper ?? ""}${address.scheme}${address.place}`;
}

/** `git@host:path` stays as it is: the user's name is the service's. */
function withoutPassword(url: string): string {
  const at = url.lastIndexOf("@");
  return url.slice(0, Math.max(0, at)).includes(":") ? url.slice(at + 1) : url;
}
