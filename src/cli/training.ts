/** `tracelet watch runs/ -- python train.py`: the training as a child, as if it had been started without tracelet. */
import { type ChildProcess, spawn } from "node:child_process";
import { processStat } from "./process-stat.ts";
import { exitCodeOf } from "./signals.ts";

/** Those that are meant for the training; schedulers announce the end of a job by the last two. */
export const FORWARDED: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"];

export interface TrainingEnd {
  /** Its own; 128 + n if signal n ended it; as a shell's 127 if there is no such command, 126 if it cannot be run. */
  readonly code: number;
  /** Why it could not be started. */
  readonly problem: string | undefined;
}

export interface Training {
  /** Never rejects. */
  readonly ended: Promise<TrainingEnd>;
  /** Pass a signal on that this process has got, unless the training has got it as well; does nothing once it has ended. */
  forward(signal: NodeJS.Signals): void;
}

/** It has this process's standard streams, environment, directory and process group. */
export function startTraining(command: string, args: readonly string[]): Training {
  // When the end of a terminal is told, it is gone.
  const hasTerminal = (processStat("self")?.terminal ?? 0) !== 0;
  let child: ChildProcess;
  try {
    child = spawn(command, args, { stdio: "inherit" });
  } catch (error) {
    return { ended: Promise.resolve(notStarted(command, error as NodeJS.ErrnoException)), forward() {} };
  }
  const ended = new Promise<TrainingEnd>((resolve) => {
    child.once("error", (error) => {
      // It is also what a signal that cannot be sent is told by.
      if (child.pid === undefined) resolve(notStarted(command, error));
    });
    child.once("exit", (code, signal) =>
      resolve({ code: signal === null ? (code as number) : exitCodeOf(signal), problem: undefined }),
    );
  });
  return {
    ended,
    forward(signal) {
      if (child.pid !== undefined && !reachesAll(signal, child.pid, hasTerminal)) child.kill(signal);
    },
  };
}

/**
 * Whether a signal that this process has got went to its whole process group: those of a terminal's keys do, and that of
 * its end, unless this process leads the session. Nothing tells where a signal came from, so a SIGINT that `kill` sends to
 * a process in the foreground of a terminal is not passed on: a training that saves its state at the first Ctrl-C and
 * gives up at the second needs it so.
 *
 * @see https://man7.org/linux/man-pages/man3/termios.3.html, `isig`, and the kernel's `tty_signal_session_leader`
 */
function reachesAll(signal: NodeJS.Signals, child: number, hadTerminal: boolean): boolean {
  const own = processStat("self");
  if (own === undefined) {
    const isOnTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
    return isOnTerminal && (signal === "SIGINT" || signal === "SIGQUIT" || signal === "SIGHUP");
  }
  if (processStat(child)?.group !== own.group) return false;
  if (signal === "SIGHUP") return hadTerminal && own.session !== process.pid;
  return (signal === "SIGINT" || signal === "SIGQUIT") && own.foregroundGroup === own.group;
}

function notStarted(command: string, error: NodeJS.ErrnoException): TrainingEnd {
  if (error.code === "ENOENT") return { code: 127, problem: `${command}: there is no such command` };
  const reason = error.code === "EACCES" ? "permission denied; is it executable?" : error.message;
  return { code: 126, problem: `${command} cannot be run: ${reason}` };
}
