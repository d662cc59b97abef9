/** Globs over tags and runs. */
import picomatch from "picomatch";

/** A test of names by globs: wanted if any of `include` matches (or there is none) and none of `exclude` does. */
export function globFilter(
  include: readonly string[],
  exclude: readonly string[],
  crossSlash = true,
): (name: string) => boolean {
  const wants = namesFilter(include, exclude, crossSlash);
  return (name) => wants(name);
}

/** The same of what may have several names, any of which may match. */
export function namesFilter(
  include: readonly string[],
  exclude: readonly string[],
  crossSlash: boolean,
): (...names: string[]) => boolean {
  // bash: `*` crosses `/` as it does in a shell's case statement.
  const compile = (globs: readonly string[]) =>
    globs.map((glob) => {
      const isPlain = crossSlash && PLAIN_GLOB.test(glob);
      return isPlain ? plainGlob(glob) : picomatch(glob, { dot: true, bash: crossSlash, flags: "s" });
    });
  const includes = compile(include);
  const excludes = compile(exclude);
  const isAny = (globs: typeof includes, names: readonly string[]) =>
    globs.some((is) => names.some((name) => is(name)));
  return (...names) => (includes.length === 0 || isAny(includes, names)) && !isAny(excludes, names);
}

/** Stars and characters that mean themselves. */
const PLAIN_GLOB = /^(?!\.\/)(?!.*\*\*)[\p{L}\p{N} _\-./:%#*]+$/u;

/** The same as picomatch's for a plain glob, whose time a long tag cannot make more than linear. */
function plainGlob(glob: string): (name: string) => boolean {
  const parts = glob.split("*");
  if (parts.length === 1) return (name) => name === glob;
  const [first, last] = [parts[0] as string, parts.at(-1) as string];
  const middle = parts.slice(1, -1);
  return (name) => {
    if (!name.startsWith(first) || !name.endsWith(last)) return false;
    let at = first.length;
    for (const part of middle) {
      const found = name.indexOf(part, at);
      if (found < 0) return false;
      at = found + part.length;
    }
    return at <= name.length - last.length;
  };
}
