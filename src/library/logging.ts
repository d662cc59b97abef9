/** `startLogging` … `stopLogging`: a run of this program, sent while it is logged. */
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { defaultStateDir } from "../config/options.ts";
import { TraceletError } from "../errors.ts";
import type { WatchEvent } from "../sync/engine/watch-status.ts";
import { EventFileWriter } from "../writer/event-file-writer.ts";
import { Experiment } from "./experiment.ts";
import { asList, type CallOptions } from "./options.ts";
import { type WatchOutcome, WatchProcess } from "./watch-process.ts";

type WatchOptions = CallOptions<"watch">;

/** What a logged run takes: options of `watch`, but for those that say which runs there are. */
export interface LoggingOptions
  extends Omit<
    WatchOptions,
    "logdirs" | "destination" | "backend" | "signal" | "onNote" | "group" | "since" | "untilEof" | "transform"
  > {
  /** What the run is called; the script's name if left out. */
  readonly expName?: string | undefined;
  /** What it is in: MLflow's experiment. */
  readonly project?: string | undefined;
  /** What `--backend` calls it, or several; `mlflow` if left out. */
  readonly backend?: string | readonly string[] | undefined;
  /** What is followed from now on, and where values are logged to; `runs` if left out. */
  readonly logDir?: string | undefined;
  /** Told what a user should know. Left out: warnings and errors are warnings of the process (`process.on("warning")`). */
  readonly onEvent?: ((event: WatchEvent) => void) | undefined;
}

/** How long `stopLogging` waits unless told otherwise, ms. */
const STOP_MS = 60_000;

interface Session {
  readonly experiment: Experiment;
  readonly watch: WatchProcess;
  /** The configuration of the watch. */
  readonly config: string;
  /** Sends what is left. */
  readonly resume: string;
}

let active: Session | undefined;

/**
 * Begin a run: what this program logs, and what `SummaryWriter`s write below `logDir` from now on, is sent as it is
 * written, by a process beside this one. Should this one die, that sends the rest.
 *
 * @throws TraceletError `usage` if another run is being logged
 */
export function startLogging(options: LoggingOptions = {}): Experiment {
  if (active !== undefined) {
    throw new TraceletError("usage", `${JSON.stringify(active.experiment.name)} is being logged already`, {
      hint: "await stopLogging() first, or use getActiveExperiment()",
    });
  }
  const { expName, project, backend, logDir = "runs", onEvent = warn, runName, backendOptions, ...rest } = options;
  const settings = { ...fromHere(rest), ...backendOptions };
  requireData(settings);
  const since = Math.floor(Date.now()) / 1000;
  const name = expName ?? runName ?? nameOfScript();
  const key = randomBytes(32).toString("hex");
  const config = configFile(settings.stateDir);
  writeFileSync(config, JSON.stringify(settings), { mode: 0o600 });
  const experiment = new Experiment(name, path.resolve(logDir), key);
  const shared = [
    ...[experiment.logDir, "--group", "logdir", "--run-name", name, "--since", since.toFixed(3)],
    ...(backend === undefined ? [] : ["--backend", asList(backend).join(",")]),
    ...["--config", config],
  ];
  // Not as a flag: only some destinations have it.
  const owner = project === undefined ? {} : { TRACELET_EXPERIMENT: project, TRACELET_PROJECT: project };
  const resume = [...(project === undefined ? [] : [`TRACELET_EXPERIMENT=${quoted(project)}`]), "tracelet sync"];
  const watch = new WatchProcess(
    ["watch", ...shared, "--until-eof", "--pid", String(process.pid), "--json"],
    { ...process.env, ...owner, TRACELET_SESSION_KEY: key, TRACELET_SESSION_LEFTOVERS: config },
    onEvent,
    ({ problem }) => {
      const message = `${problem ?? "tracelet watch has ended"}. The program goes on`;
      onEvent({ level: "error", run: undefined, message, hint: undefined });
    },
  );
  process.once("exit", onExit);
  active = { experiment, watch, config, resume: [...resume, ...shared.map(quoted)].join(" ") };
  return experiment;
}

/** The run that is being logged; undefined if none is. */
export function getActiveExperiment(): Experiment | undefined {
  return active?.experiment;
}

/**
 * End the run that is being logged, and wait until all of it is at its destination. What is left after `timeout` is still
 * sent, by the process beside this one; the outcome says how much that is. Resolves at once if nothing is being logged.
 *
 * @param timeout ms; a minute if left out
 */
export async function stopLogging({ timeout = STOP_MS }: { readonly timeout?: number } = {}): Promise<WatchOutcome> {
  const session = active;
  if (session === undefined) return { isSent: true, problem: undefined, bytesLeft: 0 };
  active = undefined;
  process.off("exit", onExit);
  await session.experiment.close();
  // What is written after this is no longer part of the run.
  EventFileWriter.writeAllOut();
  const outcome = await session.watch.finish(timeout);
  if (outcome.problem === undefined) {
    rmSync(session.config, { force: true });
    return outcome;
  }
  // The command that goes on names the configuration.
  const problem = `${outcome.problem}. Should that be stopped, this sends the rest: ${session.resume}`;
  process.emitWarning(problem, "TraceletWarning");
  return { ...outcome, problem };
}

/** In the state directory, where the command that goes on finds it after a restart of the machine, too. */
function configFile(stateDir: string | undefined): string {
  const name = `start-logging-${randomBytes(8).toString("hex")}.json`;
  const state = stateDir ?? process.env["TRACELET_STATE_DIR"] ?? defaultStateDir(process.env);
  const folder = path.resolve(state, "sessions");
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return path.join(folder, name);
  } catch {
    // The watch will say so.
    return path.join(os.tmpdir(), name);
  }
}

/** The program just ends: the last moment to tell how. */
function onExit(code: number): void {
  active?.watch.tell(code !== 0);
}

function warn({ level, run, message, hint }: WatchEvent): void {
  if (level === "info") return;
  const text = `${run === undefined ? "" : `${run}: `}${message}${hint === undefined ? "" : `; ${hint}`}`;
  process.emitWarning(text, "TraceletWarning");
}

/** @throws TraceletError `usage` if there is code among them, which no other process can call */
function requireData(settings: object): void {
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value !== "function") continue;
    throw new TraceletError("usage", `option ${name} is code, and what is logged is sent by a process of its own`, {
      hint: "watch({ … }) of the library follows a directory in this process",
    });
  }
}

/** Paths in a configuration file are relative to that; in a program, to its working directory. */
function fromHere({ output, stateDir, trackingUri, ...rest }: Partial<WatchOptions>): Partial<WatchOptions> {
  const database = "sqlite:///";
  const uri = trackingUri?.startsWith(database)
    ? database + path.resolve(trackingUri.slice(database.length))
    : trackingUri;
  return {
    ...rest,
    output: output === undefined || output === "-" ? output : path.resolve(output),
    stateDir: stateDir === undefined ? undefined : path.resolve(stateDir),
    trackingUri: uri,
  };
}

function nameOfScript(): string {
  const script = process.argv[1];
  return script === undefined ? "experiment" : path.parse(script).name;
}

/** For a shell. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
