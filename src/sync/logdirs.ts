/** The logdirs that were given. */
import { accessSync, constants } from "node:fs";
import { TraceletError } from "../errors.ts";
import { type Discovery, discover } from "../reader/discover.ts";

/** The runs of several logdirs. @throws TraceletError `logdir` if one of them cannot be read */
export function discoverAll(logdirs: readonly string[]): Discovery {
  const all = logdirs.map(discoverOrThrow);
  return { runs: all.flatMap(({ runs }) => runs), problems: all.flatMap(({ problems }) => problems) };
}

function discoverOrThrow(logdir: string): Discovery {
  try {
    return discover(logdir);
  } catch (cause) {
    throw logdirError(logdir, cause);
  }
}

/** @throws TraceletError `logdir` if there is no such directory or file */
export function requireLogdir(logdir: string): void {
  try {
    accessSync(logdir, constants.R_OK);
  } catch (cause) {
    throw logdirError(logdir, cause);
  }
}

/** What it means that the system has refused the logdir itself. */
export function logdirError(logdir: string, cause: unknown): TraceletError {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new TraceletError(
    "logdir",
    code === "ENOENT" ? `there is no ${logdir}` : `cannot read ${logdir}: ${message}`,
    {
      hint: "give the directory that you give to tensorboard --logdir",
      cause,
    },
  );
}
