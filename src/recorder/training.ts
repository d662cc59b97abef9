/** What can be told of a training from the command that starts it: where its code is, and which Python runs it. */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import path from "node:path";

/** How much of a program is looked at for its first line, bytes. */
const FIRST_LINE_BYTES = 512;

/**
 * The directories that its code may be in, most telling first: that of the script it names, the working directory, and where
 * the run is written. Without a command nobody knows what the working directory is about, and the run's own goes first.
 */
export function codePlaces(training: readonly string[] | undefined, runDirectory: string): string[] {
  const script = training === undefined ? undefined : scriptOf(training);
  if (training === undefined) return [runDirectory, process.cwd()];
  return [...(script === undefined ? [] : [path.dirname(path.resolve(script))]), process.cwd(), runDirectory];
}

/** The script that a command names, if it names one: what has an extension, and is there. */
export function scriptOf(training: readonly string[]): string | undefined {
  return training.find((word) => /\.(?:py|ipynb|sh)$/.test(word) && isFile(word));
}

/** The interpreter of a command, of the virtual environment, or the one on PATH. */
export function interpreterOf(training: readonly string[] | undefined): string {
  const command = training?.[0];
  if (command !== undefined) {
    if (isPython(command)) return command;
    // Such as torchrun, accelerate, or what an environment made of a package's entry point.
    const program = onPath(command);
    const named = program === undefined ? undefined : shebangOf(program);
    if (named !== undefined && isPython(named)) return named;
  }
  const environment = process.env["VIRTUAL_ENV"];
  const inEnvironment = environment && path.join(environment, ...PYTHON_IN_ENVIRONMENT);
  if (inEnvironment && existsSync(inEnvironment)) return inEnvironment;
  return onPath("python") ?? "python3";
}

const PYTHON_IN_ENVIRONMENT = process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"];

function isPython(command: string): boolean {
  return /^(?:python|pypy)[\d.]*(?:\.exe)?$/i.test(path.basename(command));
}

function onPath(command: string): string | undefined {
  if (command.includes("/") || command.includes(path.sep)) return isFile(command) ? command : undefined;
  const extensions = process.platform === "win32" ? [".exe", ""] : [""];
  const directories = (process.env["PATH"] ?? "").split(path.delimiter).filter((directory) => directory !== "");
  return directories
    .flatMap((directory) => extensions.map((extension) => path.join(directory, command + extension)))
    .find(isFile);
}

function isFile(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** The program that a script's first line names. */
function shebangOf(file: string): string | undefined {
  try {
    const bytes = Buffer.alloc(FIRST_LINE_BYTES);
    const handle = openSync(file, "r");
    try {
      const line = bytes.toString("utf8", 0, readSync(handle, bytes, 0, bytes.length, 0)).split("\n", 1)[0] ?? "";
      const words = /^#!\s*(\S+)(?:\s+(\S+))?/.exec(line);
      if (words === null) return undefined;
      return path.basename(words[1] as string) === "env" ? words[2] : words[1];
    } finally {
      closeSync(handle);
    }
  } catch {
    return undefined;
  }
}
