/** Files that whoever began this watch has made for it: nobody else removes them where that one has died. */
import { rmSync } from "node:fs";

const VARIABLE = "TRACELET_SESSION_LEFTOVERS";

/** Take their paths out of the environment, a line each, so that no program we start inherits them. @returns removes them */
export function takeSessionLeftovers(): () => void {
  const paths = (process.env[VARIABLE] ?? "").split("\n").filter((line) => line !== "");
  delete process.env[VARIABLE];
  return () => {
    for (const each of paths) {
      try {
        rmSync(each, { force: true });
      } catch {
        // They do no harm.
      }
    }
  };
}
