/**
 * `~/.netrc`, where `wandb login` puts API keys.
 *
 * Source: the format as Python's `netrc` reads it.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../../net/access.ts";

/** Reads the password for the first of the hosts that has one; undefined if none has, or no file can be read. */
export function netrcPassword(hosts: readonly string[], env: Environment, home: string): string | undefined {
  const files = env["NETRC"] ? [env["NETRC"]] : [join(home, ".netrc"), join(home, "_netrc")];
  for (const file of files) {
    let text: string;
    try {
      text = readFileSync(file, "utf8");
    } catch {
      continue;
    }
    return passwordIn(text, hosts);
  }
  return undefined;
}

function passwordIn(text: string, hosts: readonly string[]): string | undefined {
  const words = tokens(text);
  /** Empty for all that are not named. */
  let machine: string | undefined;
  const passwords = new Map<string, string>();
  for (let at = 0; at < words.length; at++) {
    const word = words[at];
    if (word === "default") machine = "";
    else if (word === "machine") machine = words[++at];
    else if (word === "login" || word === "account" || word === "user") at++;
    else if (word === "password") {
      const password = words[++at];
      if (machine !== undefined && password !== undefined && !passwords.has(machine)) passwords.set(machine, password);
    }
  }
  const host = [...hosts, ""].find((each) => passwords.has(each));
  return host === undefined ? undefined : passwords.get(host);
}

/** Words, some of them in quotes, without comments and macros, which end at an empty line. */
function tokens(text: string): string[] {
  const plain = text.replace(/^macdef[^\n]*\n(?:[^\n]+\n)*/gm, "").replace(/(^|\s)#.*$/gm, "$1");
  return Array.from(plain.matchAll(/"((?:\\.|[^"\\])*)"|(\S+)/g), ([, quoted, word]) =>
    quoted === undefined ? (word as string) : quoted.replace(/\\(.)/g, "$1"),
  );
}
