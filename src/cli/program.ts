/** The commands and their help. What they do is loaded when they run. */
import { Command } from "commander";
import { DEFAULT_BACKENDS, requireOwn } from "../config/destinations.ts";
import { flagName } from "../config/environment.ts";
import { VERSION } from "../version.ts";
import { configNotes } from "./config-notes.ts";
import { jobsOf, logdirArgument, logdirsOf } from "./jobs.ts";
import { addOptions } from "./options.ts";
import type { Surroundings } from "./settings.ts";
import { oneLine } from "./terminal.ts";
import type { WatchCommandOptions, WatchEngine } from "./watch-engine.ts";

/**
 * What stands behind the first `--` of `tracelet watch runs/ -- python train.py` is a command of its own, whatever is in it.
 *
 * @param all as `process.argv`
 */
export function splitTraining(all: readonly string[]): { argv: readonly string[]; training?: readonly string[] } {
  const at = all[2] === "watch" ? all.indexOf("--") : -1;
  return at === -1 ? { argv: all } : { argv: all.slice(0, at), training: all.slice(at + 1) };
}

/**
 * @param onExit told the exit code of the command that ran
 * @param training of `splitTraining`
 * @param engineOf what follows the logdirs of a watch; the real one by default
 * @param around the configuration file, and the plug-ins whose options are options of the commands
 */
export function buildProgram(
  onExit: (code: number) => void,
  training?: readonly string[],
  engineOf?: (options: WatchCommandOptions) => WatchEngine,
  around: Surroundings = { settings: undefined, plugins: [] },
): Command {
  const program = new Command("tracelet")
    .description(
      "Send TensorBoard logs to MLflow, Weights & Biases, files or your own backend: every point, exactly once, resumable.",
    )
    .version(VERSION)
    .exitOverride()
    .hook("preAction", async (_, command) => {
      await requireOwnOptions(command, around);
      sayNotes(command, around);
    })
    .showHelpAfterError("(tracelet --help lists the commands)")
    .configureHelp({ showGlobalOptions: true });
  program.addCommand(syncCommand(onExit, around));
  program.addCommand(watchCommand(onExit, training, engineOf, around));
  program.addCommand(verifyCommand(onExit, around));
  program.addCommand(inspectCommand(onExit, around));
  program.addCommand(statusCommand(onExit, around));
  program.addCommand(forgetCommand(onExit, around));
  program.addCommand(configCommand(around));
  for (const command of program.commands)
    command.exitOverride().showHelpAfterError(`(tracelet ${command.name()} --help)`);
  return program;
}

function syncCommand(onExit: (code: number) => void, around: Surroundings): Command {
  const { settings } = around;
  const command = new Command("sync")
    .description("send what is new in one or more logdirs, then exit")
    .argument(logdirArgument(settings, "sync"), LOGDIR);
  return withOptions(command, around)
    .addHelpText(
      "after",
      `
What becomes one run (--group):
  run        one run for each run in TensorBoard; sub-directories made by add_scalars and
             add_hparams are folded into the run they belong to
  parent     one run for all runs of a directory, such as Keras's train/ and validation/,
             with tags like train/loss
  nested     like run, with the directories above as parent runs
  none       one run for each run in TensorBoard; nothing is folded
  logdir     one run for all runs of all logdirs, with tags like train/loss; with --since, another
             one for each such time

Kinds (--only, --no-images, …): a kind is sent if both --only and the --no-… options allow it.
--no-images is TRACELET_NO_IMAGES=1 or TRACELET_IMAGES=false.

Media (--every, --max-steps): every kind except scalars, hparams, graphs, embeddings and custom
scalars. Steps are counted per event file.

Restarted runs (--restarts):
  explicit   drop what a restart declares obsolete: a SessionLog START (torch's purge_step)
             drops earlier values at its own step and later steps
  any        keep only strictly increasing steps of each tag, as TensorBoard shows them
  keep       keep everything

Several destinations (--backend mlflow,jsonl): each has its own pace, state and summary. One that
fails does not hold up the others; it catches up when the command is run again.

Exit codes: 0 everything sent, 1 something could not be sent (values that a destination refuses
are set aside in <state-dir>/quarantine), 2 usage, 3 sent, but corrupt records were skipped,
130 and 143 stopped by a signal; the same command resumes. Of several destinations, the worst
counts: 2, 1, 3, 0.

The first Ctrl-C or SIGTERM finishes what is under way, within --shutdown-timeout; the second one
stops at once.

Every option is also an environment variable (--state-dir is TRACELET_STATE_DIR) and a key of a
configuration file, whose sources are sent where no logdir is given: tracelet config --help.
MLflow's credentials are read from MLflow's own variables: MLFLOW_TRACKING_USERNAME and _PASSWORD,
or MLFLOW_TRACKING_TOKEN. W&B's key is the one that \`wandb login\` has stored, or WANDB_API_KEY.

Examples:
  tracelet sync runs/
  tracelet sync runs/ --tracking-uri http://127.0.0.1:5000 --experiment mnist
  tracelet sync runs/ --backend wandb --wandb-project mnist
  tracelet sync runs/ --backend jsonl --output out/
  tracelet sync runs/ --backend mlflow,parquet --output out/
  tracelet sync runs/ --backend ./my-backend.mjs
  tracelet sync runs/ --dry-run -v`,
    )
    .action(async (logdirs: string[]) => {
      const { runSync } = await import("./sync-command.ts");
      onExit(await runSync(jobsOf(command, logdirs, around)));
    });
}

function verifyCommand(onExit: (code: number) => void, around: Surroundings): Command {
  const { settings, plugins } = around;
  const command = new Command("verify")
    .description("check that the destination matches the logs exactly; change nothing")
    .argument(logdirArgument(settings, "verify"), LOGDIR)
    // It cannot read what a plug-in has written, and says so whatever else is given.
    .allowUnknownOption(plugins.length > 0);
  return withOptions(command, { ...around, plugins: [] })
    .addHelpText(
      "after",
      `
Give it the options of the last sync: what they skip must not be there, unless the run's tags say
that it was sent under earlier options.
Points are compared bit for bit, with their steps and times; params by their text; files by size
and content. Runs that are not in the logdirs are ignored.

Exit codes: 0 everything matches, 1 something is missing, extra or different, or could not be
read, 2 usage, 130 and 143 stopped by a signal before everything was compared.

Examples:
  tracelet verify runs/ --tracking-uri http://127.0.0.1:5000 --experiment mnist
  tracelet verify runs/ --backend parquet --output out/`,
    )
    .action(async (given: string[], options: import("./verifiers.ts").VerifyCommandOptions) => {
      const { runVerify } = await import("./verify-command.ts");
      onExit(await runVerify(logdirsOf(given, settings), options));
    });
}

function watchCommand(
  onExit: (code: number) => void,
  training: readonly string[] | undefined,
  engineOf: ((options: WatchCommandOptions) => WatchEngine) | undefined,
  around: Surroundings,
): Command {
  const { settings } = around;
  const command = new Command("watch")
    .description("follow logdirs and send what is written to them, as it is written")
    .argument(logdirArgument(settings, "watch"), LOGDIR);
  return withOptions(command, around)
    .usage("[options] <logdir...> [-- <command...>]")
    .addHelpText(
      "after",
      `
It ends on a signal, as --until-idle, --pid or --until-eof say, or with the command after --. That
command runs as it would without tracelet: it gets the signals, and trouble with sending never
disturbs it.
The first Ctrl-C sends what is there, within --shutdown-timeout; the second one stops at once.

--group, --only, --restarts and several destinations work as in tracelet sync; see its help.

Exit codes: 0 everything sent, 1 something could not be sent (values that a destination refuses
are set aside in <state-dir>/quarantine), 2 usage, 3 sent, but corrupt records were skipped,
130 and 143 stopped by a signal; the same command resumes. With a command after --, its own exit
code if that is not 0; 128 + n if signal n ended it, 127 if there is no such command, 126 if it
cannot be run.

Every option is also an environment variable (--poll is TRACELET_POLL) and a key of a configuration
file, whose sources are followed where no logdir is given: tracelet config --help.

Examples:
  tracelet watch runs/
  tracelet watch runs/ -- python train.py --lr 0.1
  tracelet watch runs/ --pid 4711
  tracelet watch runs/ --until-idle 10m --metrics-port 9464`,
    )
    .action(async (logdirs: string[]) => {
      const { runWatch } = await import("./watch-command.ts");
      const { watchEngine } = await import("./watch-engine.ts");
      onExit(await runWatch(jobsOf(command, logdirs, around), training, engineOf ?? watchEngine));
    });
}

function inspectCommand(onExit: (code: number) => void, around: Surroundings): Command {
  const { settings } = around;
  const command = new Command("inspect")
    .description("show what is in a logdir or event file: runs, tags, kinds, ranges, damage")
    .argument(logdirArgument(settings, "inspect"), "a logdir or an event file");
  return withOptions(command, around).action(
    async (given: string[], options: import("./inspect-command.ts").InspectCommandOptions) => {
      const { runInspect } = await import("./inspect-command.ts");
      onExit(await runInspect(logdirsOf(given, settings), options));
    },
  );
}

function statusCommand(onExit: (code: number) => void, around: Surroundings): Command {
  const { settings } = around;
  const command = new Command("status")
    .description("show how far each run is at each destination, and how much is left")
    .argument(logdirArgument(settings, "status"), "a logdir or an event file");
  return withOptions(command, around).action(
    async (given: string[], options: import("./status-command.ts").StatusCommandOptions) => {
      const { runStatus } = await import("./status-command.ts");
      onExit(await runStatus(logdirsOf(given, settings), options));
    },
  );
}

function forgetCommand(onExit: (code: number) => void, around: Surroundings): Command {
  const command = new Command("forget")
    .description("remove what this machine remembers of runs; change neither the logdir nor the destination")
    .argument("<logdir|run...>", "a logdir with all its runs, or a run's name as tracelet status shows it");
  return withOptions(command, around)
    .addHelpText(
      "after",
      `
The next sync finds the runs at the destination by their files and sends what is missing there, or
sends the whole run again if it is gone.

Exit codes: 0 something was forgotten, 1 nothing was remembered, 2 usage.

Examples:
  tracelet forget runs/
  tracelet forget train/run_7 --backend mlflow`,
    )
    .action(async (what: string[], options: import("./forget-command.ts").ForgetCommandOptions) => {
      const { runForget } = await import("./forget-command.ts");
      onExit(await runForget(what, options));
    });
}

function configCommand(around: Surroundings): Command {
  const command = new Command("config").description("show the value of each option, and where it comes from");
  return withOptions(command, around)
    .addHelpText(
      "after",
      `
It takes the options of all commands, to show what would become of them. A flag goes before an
environment variable, that before the configuration file, and that before the default.

Configuration files: tracelet.config.ts, .js, .mjs, .json, .yaml or .toml, [tool.tracelet] in
pyproject.toml, or "tracelet" in package.json; in this directory, or the nearest above it in the
same repository. --images takes back images: false of a file, --no-verbose takes back verbose: true.

Examples:
  tracelet config
  tracelet config --config other.yaml --experiment mnist --json`,
    )
    .action(async () => {
      const { showConfig } = await import("./config-command.ts");
      showConfig(command, around);
    });
}

const LOGDIR = "what you give to tensorboard --logdir, or an event file";

/** To make options takes longer than all else before a command, and a command that is not run needs none. */
function withOptions(command: Command, { settings, plugins, command: asked = command.name() }: Surroundings): Command {
  return asked === command.name() ? addOptions(command, plugins, settings) : command;
}

function sayNotes(command: Command, around: Surroundings): void {
  if (command.opts<{ readonly quiet?: boolean }>().quiet === true) return;
  for (const note of configNotes(command, around, process.env)) process.stderr.write(`${oneLine(`note: ${note}`)}\n`);
}

/** @throws TraceletError `usage` if an option was given on the command line that is another backend's */
async function requireOwnOptions(command: Command, around: Surroundings): Promise<void> {
  // They ask what is remembered, of whatever backend, or what would be given to any.
  if (command.name() === "forget" || command.name() === "config") return;
  const jobs = jobsOf<{ readonly backend?: readonly string[] }>(command, command.args, around);
  const backends = jobs.flatMap(({ options }) => options.backend ?? DEFAULT_BACKENDS);
  const given = command.options
    .map((each) => each.attributeName())
    .filter((name) => command.getOptionValueSource(name) === "cli");
  await requireOwn(backends, given, (name) => `--${flagName(name)}`);
}
