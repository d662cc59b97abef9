/**
 * Links to files. TensorBoard follows every one; a service that sends what it reads would hand out whatever it may read
 * itself. So a link to a file counts only where that lies in the logdir, or beside or below the link, as it does where the
 * directory is reached by a link of its own.
 */
import { isUtf8 } from "node:buffer";
import { constants, realpathSync } from "node:fs";
import path from "node:path";

/** For a problem: the link is not followed. */
export const LEADS_OUT = "OUTSIDE";

/** Behind the path of such a link. */
export const LEADS_OUT_TEXT =
  "a link that leads out of the logdir, and is not sent: give a logdir that holds both, or put a copy there";

/**
 * A flag for opening a file by its own path: fails with `ELOOP` if it has become a link meanwhile, which nobody has judged.
 * Windows has no such flag.
 */
export const NO_LINK: number = constants.O_NOFOLLOW ?? 0;

/**
 * Where a link leads to; undefined if that is outside.
 *
 * @param logdir absolute
 * @throws the system's error if it leads nowhere
 */
export function followedLink(link: string | Buffer, logdir: string): string | Buffer | undefined {
  const target = realpathSync(link, "buffer");
  const isInside = [logdir, directoryOf(link)].some((place) => isWithin(realpathSync(place, "buffer"), target));
  if (!isInside) return undefined;
  return isUtf8(target) ? target.toString() : target;
}

function isWithin(place: Buffer, target: Buffer): boolean {
  const separator = Buffer.from(path.sep);
  const folder = place.subarray(-1).equals(separator) ? place : Buffer.concat([place, separator]);
  return target.subarray(0, folder.length).equals(folder);
}

function directoryOf(fsPath: string | Buffer): string | Buffer {
  return typeof fsPath === "string" ? path.dirname(fsPath) : fsPath.subarray(0, fsPath.lastIndexOf(0x2f));
}
