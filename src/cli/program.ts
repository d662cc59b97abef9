/** The command line: what can be given, what it means by default. The commands themselves are loaded when they run. */
import { Command } from "commander";
import { backendNames, type RegisteredBackend } from "../config/backends.ts";
import { requireOwn } from "../config/destinations.ts";
import { flagName } from "../config/environment.ts";
import { VERSION } from "../version.ts";
import { addOptions } from "./options.ts";
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

/** The plug-ins that the arguments or the environment name: they are loaded before the options are known. */
export function namedPlugins(argv: readonly string[]): string[] {
  if (!["sync", "watch", "verify"].includes(argv[2] ?? "")) return [];
  const named = argv.flatMap((arg, i) =>
    arg === "--backend" ? [argv[i + 1] ?? ""] : arg.startsWith("--backend=") ? [arg.slice("--backend=".length)] : [],
  );
  const names = (named.length > 0 ? named.join(",") : (process.env["TRACELET_BACKEND"] ?? "")).split(",");
  const own = backendNames();
  return names.map((name) => name.trim()).filter((name) => name !== "" && !own.includes(name));
}

/**
 * @param onExit told the exit code of the command that ran
 * @param training of `splitTraining`
 * @param engineOf what follows the logdirs of a watch; the real one by default
 * @param plugins those whose options are options of the commands
 */
export function buildProgram(
  onExit: (code: number) => void,
  training?: readonly string[],
  engineOf?: (options: WatchCommandOptions) => WatchEngine,
  plugins: readonly RegisteredBackend[] = [],
): Command {
  const program = new Command("tracelet")
    .description("Send TensorBoard logs to MLflow or to files: every point, exactly once, resumable.")
    .version(VERSION)
    .exitOverride()
    .hook("preAction", (_, command) => requireOwnOptions(command))
    .showHelpAfterError("(tracelet --help shows what there is)")
    .configureHelp({ showGlobalOptions: true });
  program.addCommand(syncCommand(onExit, plugins));
  program.addCommand(watchCommand(onExit, training, engineOf, plugins));
  program.addCommand(verifyCommand(onExit));
  program.addCommand(inspectCommand(onExit));
  program.addCommand(statusCommand(onExit));
  program.addCommand(forgetCommand(onExit));
  for (const command of program.commands)
    command.exitOverride().showHelpAfterError(`(tracelet ${command.name()} --help)`);
  return program;
}

function syncCommand(onExit: (code: number) => void, plugins: readonly RegisteredBackend[]): Command {
  const command = new Command("sync")
    .description("send what is new in one or more logdirs, then exit")
    .argument("<logdir...>", LOGDIR);
  return addOptions(command, plugins)
    .addHelpText(
      "after",
      `
One run of the destination (--group):
  run        each of TensorBoard's; the sub-directories that add_scalars and add_hparams
             make are a part of the run they belong to
  parent     all runs of one directory, such as Keras's train/ and validation/: train/loss
  nested     as run, and the directories above become parent runs
  none       each of TensorBoard's runs, nothing folded

Kinds (--only, --no-images, …): given together, both have to let a kind pass. --no-images is
TRACELET_NO_IMAGES=1 or TRACELET_IMAGES=false.

Media (--every, --max-steps): all kinds but scalars, hparams, graphs, embeddings and custom
scalars. Steps are counted in each event file for itself.

Restarted runs (--restarts):
  explicit   a SessionLog START (torch's purge_step) makes what the run has before it at
             steps from its own on obsolete
  any        of each tag only strictly increasing steps are kept, as TensorBoard shows it
  keep       everything is sent

Exit codes: 0 all sent, 1 something could not be sent (values that the destination refuses are
set aside in <state-dir>/quarantine), 2 usage, 3 sent but damage in the source was passed
over, 130 and 143 stopped by a signal (the same command goes on). Of several destinations the
worst counts: 2, 1, 3, 0.

Several destinations (--backend mlflow,jsonl): each at its own pace, with its own state and
summary. One that fails holds no other up, and catches up alone when the command is run again.

Ctrl-C or SIGTERM once: what is under way ends, within --shutdown-timeout; twice: ends at once.

Every option is also an environment variable: --state-dir is TRACELET_STATE_DIR.
Credentials are given as MLflow has them: MLFLOW_TRACKING_USERNAME and _PASSWORD, or
MLFLOW_TRACKING_TOKEN.

Examples:
  tracelet sync runs/
  tracelet sync runs/ --tracking-uri http://127.0.0.1:5000 --experiment mnist
  tracelet sync runs/ --backend jsonl --output out/
  tracelet sync runs/ --backend mlflow,parquet --output out/
  tracelet sync runs/ --dry-run -v`,
    )
    .action(async (logdirs: string[], options: import("./sync-command.ts").SyncCommandOptions) => {
      const { runSync } = await import("./sync-command.ts");
      onExit(await runSync(logdirs, options));
    });
}

function verifyCommand(onExit: (code: number) => void): Command {
  const command = new Command("verify")
    .description("check that the destination matches the logs exactly; change nothing")
    .argument("<logdir...>", LOGDIR);
  return addOptions(command)
    .addHelpText(
      "after",
      `
Give it the options of the last sync: what they leave out is expected not to be there, unless the
run's tags say that an earlier choice has sent it.
Each point is compared bit for bit, with its step and time in ms; params; every file by its
size and content. Runs that the logdirs do not hold are not looked at.

Exit codes: 0 all of it is there and nothing else, 1 something is missing, extra or different,
or could not be read, 2 usage, 130 and 143 stopped by a signal: incomplete.

Examples:
  tracelet verify runs/ --tracking-uri http://127.0.0.1:5000 --experiment mnist`,
    )
    .action(async (logdirs: string[], options: import("./verifiers.ts").VerifyCommandOptions) => {
      const { runVerify } = await import("./verify-command.ts");
      onExit(await runVerify(logdirs, options));
    });
}

function watchCommand(
  onExit: (code: number) => void,
  training: readonly string[] | undefined,
  engineOf: ((options: WatchCommandOptions) => WatchEngine) | undefined,
  plugins: readonly RegisteredBackend[],
): Command {
  const command = new Command("watch")
    .description("follow logdirs and send what is written to them, as it is written")
    .argument("<logdir...>", LOGDIR);
  return addOptions(command, plugins)
    .usage("[options] <logdir...> [-- <command...>]")
    .addHelpText(
      "after",
      `
It ends by a signal, with what --until-idle or --pid name, or with the command behind --. That
runs as it would without tracelet: signals go to it, and whatever happens to the sending, it is
not disturbed. Ctrl-C once: what is there is sent, for --shutdown-timeout at most. Twice: ends at
once.

--group, --only, --restarts and several destinations are as with tracelet sync: see there.

Exit codes: 0 ended as asked and all sent, 1 something could not be sent (values that the
destination refuses are set aside in <state-dir>/quarantine), 2 usage, 3 sent but damage in
the source was passed over, 130 and 143 stopped by a signal (the same command goes on). With
a command its own, if that is not 0; 128 + n if signal n ended it, 127 if there is no such
command, 126 if it cannot be run.

Every option is also an environment variable: --poll is TRACELET_POLL.

Examples:
  tracelet watch runs/
  tracelet watch runs/ -- python train.py --lr 0.1
  tracelet watch runs/ --pid 4711
  tracelet watch runs/ --until-idle 10m --metrics-port 9464`,
    )
    .action(async (logdirs: string[], options: WatchCommandOptions) => {
      const { runWatch } = await import("./watch-command.ts");
      const { watchEngine } = await import("./watch-engine.ts");
      onExit(await runWatch(logdirs, options, training, (engineOf ?? watchEngine)(options)));
    });
}

function inspectCommand(onExit: (code: number) => void): Command {
  const command = new Command("inspect")
    .description("show what is in a logdir or event file: runs, tags, kinds, ranges, damage")
    .argument("<logdir...>", "a logdir or a single event file");
  return addOptions(command).action(
    async (logdirs: string[], options: import("./inspect-command.ts").InspectCommandOptions) => {
      const { runInspect } = await import("./inspect-command.ts");
      onExit(await runInspect(logdirs, options));
    },
  );
}

function statusCommand(onExit: (code: number) => void): Command {
  const command = new Command("status")
    .description("show how far each run is at each destination, and how much is left")
    .argument("<logdir...>", "a logdir or a single event file");
  return addOptions(command).action(
    async (logdirs: string[], options: import("./status-command.ts").StatusCommandOptions) => {
      const { runStatus } = await import("./status-command.ts");
      onExit(await runStatus(logdirs, options));
    },
  );
}

function forgetCommand(onExit: (code: number) => void): Command {
  const command = new Command("forget")
    .description("remove what this machine remembers of runs; neither the logdir nor the destination is touched")
    .argument("<logdir|run...>", "a logdir, with all its runs, or the name of a run as tracelet status shows it");
  return addOptions(command)
    .addHelpText(
      "after",
      `
The next sync finds the runs at the destination again by their files, and sends what is missing
there; or, where they are gone, sends them anew.

Exit codes: 0 something was forgotten, 1 nothing is remembered of any of them, 2 usage.

Examples:
  tracelet forget runs/
  tracelet forget train/run_7 --backend mlflow`,
    )
    .action(async (what: string[], options: import("./forget-command.ts").ForgetCommandOptions) => {
      const { runForget } = await import("./forget-command.ts");
      onExit(await runForget(what, options));
    });
}

const LOGDIR = "what you give to tensorboard --logdir; or a single event file";

/** @throws TraceletError `usage` if an option was given on the command line that is another backend's */
async function requireOwnOptions(command: Command): Promise<void> {
  // It asks what is remembered, of whatever backend.
  if (command.name() === "forget") return;
  const { backend } = command.opts<{ readonly backend?: readonly string[] }>();
  const given = command.options
    .map((each) => each.attributeName())
    .filter((name) => command.getOptionValueSource(name) === "cli");
  await requireOwn(backend, given, (name) => `--${flagName(name)}`);
}
