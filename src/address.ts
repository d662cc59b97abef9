/** URLs in parts, so that they can be shown without user names, passwords and tokens. */

/** Scheme, host with what stands before it, and the rest. */
const URL_FORM = /^([a-z][a-z0-9+.-]*:\/\/)([^/?#]*)(.*)$/is;
/** A host's port, or none. */
const HOST = /^(?:[^:]*|\[[^\]]*\])(?::\d*)?$/;
/** A path with an `@` inside one of its parts; npm's and Go's `/@scope` is none. */
const INNER_AT = /^[^?#]*[^/?#]@/s;

export interface Address {
  /** With `://`. */
  readonly scheme: string;
  /** Whether a user name or password stood before the host. */
  readonly hasLogin: boolean;
  /** Host, port and path. */
  readonly place: string;
  /** Query and fragment with their signs, or empty. */
  readonly rest: string;
}

/**
 * A password may hold a slash, `?` or `#` and end what looks like the host too early: `https://user:pa/ss@host/a`. Where that
 * cannot be told from a path, the path is cut: better to lose a part of it than to show a password.
 *
 * @returns undefined if it is no URL
 */
export function addressOf(url: string): Address | undefined {
  const form = URL_FORM.exec(url);
  if (form === null) return undefined;
  const [, scheme = "", authority = "", rest = ""] = form;
  const host = authority.slice(authority.lastIndexOf("@") + 1);
  const isCut = !HOST.test(host) || (host === authority && /:\d/.test(host) && INNER_AT.test(rest));
  const all = authority + rest;
  const tail = isCut ? all.replace(/^.*@/s, "") : host + rest;
  const end = tail.search(/[?#]|$/);
  return { scheme, hasLogin: tail !== all, place: tail.slice(0, end), rest: tail.slice(end) };
}
