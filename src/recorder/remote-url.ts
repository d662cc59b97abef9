/** The address of a git remote as it may be shown: without user names, passwords and tokens. */

/** Scheme, host with what stands before it, and the rest. */
const URL_FORM = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)(.*)$/is;
/** A host's port, or none. */
const HOST = /^(?:[^:]*|\[[^\]]*\])(?::\d*)?$/;

/** @returns undefined if nothing of it can be shown: a helper's address may be a command */
export function withoutCredentials(url: string): string | undefined {
  const helper = /^[a-z][a-z0-9+.-]*::/i.exec(url)?.[0];
  const form = URL_FORM.exec(url.slice(helper?.length ?? 0));
  if (form === null) return helper === undefined ? withoutPassword(url) : undefined;
  const [, scheme = "", authority = "", rest = ""] = form;
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  // A password with a slash ends what looks like the host too early; better to lose a part of the path than to show it.
  const tail = HOST.test(host) ? host + rest : (authority + rest).replace(/^.*@/s, "");
  return `${helper ?? ""}${scheme}${tail.replace(/[?#].*$/s, "")}`;
}

/** `git@host:path` stays as it is: the user's name is the service's. */
function withoutPassword(url: string): string {
  const at = url.lastIndexOf("@");
  return url.slice(0, Math.max(0, at)).includes(":") ? url.slice(at + 1) : url;
}
