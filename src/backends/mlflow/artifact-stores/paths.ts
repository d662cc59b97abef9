/** Names inside artifact URIs and artifact paths. */
import { TraceletError } from "../../../errors.ts";
import { partsOf } from "../../../net/object-store.ts";

/**
 * The parts of an artifact's path, which an MLflow server is to take. It decodes what looks like a percent escape, even twice, so that
 * one file would be written over another, and it refuses `#`.
 */
export function partsForServer(path: string): string[] {
  const parts = partsOf(path);
  if (!/#|%[0-9a-f]{2}/i.test(path)) return parts;
  throw new TraceletError("rejected", `an MLflow server cannot keep an artifact of the name ${JSON.stringify(path)}`, {
    hint: "it must hold neither # nor a percent escape",
  });
}

/** Percent-decoding as Python's `unquote` does it: what is no escape stays, bytes that are no UTF-8 become U+FFFD. */
export function percentDecode(text: string): string {
  return text.replace(/(?:%[0-9a-f]{2})+/gi, (escapes) => Buffer.from(escapes.replaceAll("%", ""), "hex").toString());
}

/**
 * The parts of a place that a destination names for a run's artifacts, below the root of whatever keeps them.
 *
 * An MLflow server decodes more than once, and a URL loses its dots on the way: so neither the path nor what any decoding
 * makes of it may lead upwards, which would turn a request for a file into one for another route.
 *
 * @throws TraceletError `rejected` if it leads out of that root, or holds control characters
 */
export function partsOfRoot(path: string): string[] {
  for (let text = path, left = MAX_DECODINGS; ; left--) {
    if (left === 0 || /[\p{Cc}]/u.test(text) || text.split(/[/\\]/).some((part) => /^\.\.?$/.test(part.trim()))) {
      const shown = JSON.stringify(path.length > MAX_SHOWN ? `${path.slice(0, MAX_SHOWN)}…` : path);
      throw new TraceletError(
        "rejected",
        `the run's artifacts are said to be at ${shown}, which is no place for files`,
        {
          hint: "it leads out of where MLflow keeps artifacts: whoever made the experiment gave it that artifact location; use another experiment",
        },
      );
    }
    const decoded = percentDecode(text);
    if (decoded === text) break;
    text = decoded;
  }
  return path.split("/").filter((part) => part !== "");
}

/** Deeper than any path that was encoded by mistake. */
const MAX_DECODINGS = 8;
/** Characters. */
const MAX_SHOWN = 200;
