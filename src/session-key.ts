/** The key by which the program that began this process vouches for files. */

const VARIABLE = "TRACELET_SESSION_KEY";

let taken = "";

/** Take it out of the environment, so that no program we start inherits it. @returns empty: there is none */
export function takeSessionKey(): string {
  const given = process.env[VARIABLE];
  if (given !== undefined) {
    taken = given;
    delete process.env[VARIABLE];
  }
  return taken;
}
