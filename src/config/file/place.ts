/** Where in a configuration file something is, for people. */
import path from "node:path";

/** `tracelet.config.yaml:3`, relative to the working directory where the file is below it. */
export function placeOf(file: string, line: number | undefined): string {
  const relative = path.relative(process.cwd(), file);
  const shown = relative.startsWith("..") || path.isAbsolute(relative) ? file : relative;
  return line === undefined ? shown : `${shown}:${line}`;
}
