/** Options that several commands share, and the forms their values have. */
import os from "node:os";
import path from "node:path";
import { InvalidArgumentError, Option } from "commander";

/**
 * Every option can be given as an environment variable too: `--state-dir` as `TRACELET_STATE_DIR`. What is on unless it is
 * taken away, as by `--no-images`, is so by `TRACELET_NO_IMAGES=1` and by `TRACELET_IMAGES=false`.
 */
export function option(flags: string, description: string): Option {
  const made = new Option(flags, description);
  const variable = `TRACELET_${made.name().replaceAll("-", "_").toUpperCase()}`;
  if (made.negate) {
    const positive = variable.replace("_NO_", "_");
    if (SAYS_NO.test(process.env[positive] ?? "")) return made.env(positive);
  }
  const value = process.env[variable] ?? "given by nobody";
  // For commander every variable that is there is given: an empty one too, and a flag that is "false".
  const isGiven = value !== "" && !((made.isBoolean() || made.negate) && SAYS_NO.test(value));
  return isGiven ? made.env(variable) : made;
}

const SAYS_NO = /^(0|false|no|off)$/i;

/** Where checkpoints are kept if nothing else is said: the XDG state home. */
export function defaultStateDir(env: NodeJS.ProcessEnv): string {
  return path.join(env["XDG_STATE_HOME"] || path.join(os.homedir(), ".local", "state"), "tracelet");
}

export function stateDirOption(): Option {
  return option("--state-dir <dir>", "where to remember what was sent").default(
    defaultStateDir(process.env),
    "$XDG_STATE_HOME/tracelet, or ~/.local/state/tracelet",
  );
}

/** A whole number from 1 on. */
export function parseCount(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("It must be a whole number from 1 on.");
  return value;
}

/** A TCP port; 0 is any that is free. */
export function parsePort(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 65_535) throw new InvalidArgumentError("It must be a port, 0 to 65535.");
  return value;
}

/** A time such as `90s`, `10m`, `2h`, in ms. */
export function parseDuration(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text);
  const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
  if (match === null) throw new InvalidArgumentError("It must be a time such as 90s, 10m or 2h.");
  return Number(match[1]) * units[match[2] as keyof typeof units];
}

/** Bytes, such as `512kB`, `256MB`, `1GB`. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kMG]?)B?$/i.exec(text);
  const units: Record<string, number> = { "": 1, k: 1e3, m: 1e6, g: 1e9 };
  if (match === null) throw new InvalidArgumentError("It must be a size such as 512kB, 256MB or 1GB.");
  return Math.floor(Number(match[1]) * (units[(match[2] as string).toLowerCase()] as number));
}

/** For an option that may be given several times, or once with commas between; those in braces are a glob's own. */
export function collect(text: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), ...text.split(/,(?![^{]*\})/).filter((part) => part !== "")];
}
