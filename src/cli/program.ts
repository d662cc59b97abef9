/** The command line: what can be given, what it means by default. The commands themselves are loaded when they run. */
import { Command, type Option } from "commander";
import type { RestartPolicy } from "../reader/restarts.ts";
import type { GroupMode } from "../sync/source/groups.ts";
import { VERSION } from "../version.ts";
import type { BackendName } from "./destinations.ts";
import { KINDS, kindNames, parseKinds } from "./kinds.ts";
import { collect, option, parseBytes, parseCount, parseDuration, parsePort, stateDirOption } from "./options.ts";
import type { WatchCommandOptions, WatchEngine } from "./watch-engine.ts";

const BACKENDS: readonly BackendName[] = ["mlflow", "jsonl", "csv"];
// Said again here, since the modules that have them bring the whole reader: half of what `--version` would take.
const GROUP_MODES: readonly GroupMode[] = ["run", "parent", "nested", "none"];
const RESTART_POLICIES: readonly RestartPolicy[] = ["explicit", "any", "keep"];
/** What a timer of Node can wait for: 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const MAX_RECORD_BYTES = 256 * 1024 * 1024;

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
 */
export function buildProgram(
  onExit: (code: number) => void,
  training?: readonly string[],
  engineOf?: (options: WatchCommandOptions) => WatchEngine,
): Command {
  const program = new Command("tracelet")
    .description("Send TensorBoard logs to MLflow or to files: every point, exactly once, resumable.")
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError("(tracelet --help shows what there is)")
    .configureHelp({ showGlobalOptions: true });
  program.addCommand(syncCommand(onExit));
  program.addCommand(watchCommand(onExit, training, engineOf));
  program.addCommand(verifyCommand(onExit));
  program.addCommand(inspectCommand(onExit));
  program.addCommand(statusCommand(onExit));
  program.addCommand(forgetCommand(onExit));
  for (const command of program.commands)
    command.exitOverride().showHelpAfterError(`(tracelet ${command.name()} --help)`);
  return program;
}

function syncCommand(onExit: (code: number) => void): Command {
  const command = new Command("sync").description("send what is new in one or more logdirs, then end");
  return withSurvey(withChoice(withDestination(command)).optionsGroup("Options:"))
    .addOption(stateDirOption())
    .addOption(
      option("--concurrency <n>", "runs sent at the same time (default: 4; into a database 16)").argParser(parseCount),
    )
    .addOption(option("--dry-run", "do all of it but send and remember nothing").default(false))
    .addOption(option("--json", "print one JSON object on standard output at the end").default(false))
    .addOption(option("-q, --quiet", "print nothing unless something goes wrong").default(false))
    .addOption(option("-v, --verbose", "print every run and every note").default(false))
    .addOption(
      option("--log-level <level>", "debug: what becomes of every record").choices(["info", "debug"]).default("info"),
    )
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
over, 130 and 143 stopped by a signal (the same command goes on).

Ctrl-C or SIGTERM once: what is under way ends, within --shutdown-timeout; twice: ends at once.

Every option is also an environment variable: --state-dir is TRACELET_STATE_DIR.
Credentials are given as MLflow has them: MLFLOW_TRACKING_USERNAME and _PASSWORD, or
MLFLOW_TRACKING_TOKEN.

Examples:
  tracelet sync runs/
  tracelet sync runs/ --tracking-uri http://127.0.0.1:5000 --experiment mnist
  tracelet sync runs/ --backend jsonl --output out/
  tracelet sync runs/ --dry-run -v`,
    )
    .action(async (logdirs: string[], options: import("./sync-command.ts").SyncCommandOptions) => {
      const { runSync } = await import("./sync-command.ts");
      onExit(await runSync(logdirs, options));
    });
}

function verifyCommand(onExit: (code: number) => void): Command {
  const command = new Command("verify").description("compare what is there with the source, and write nothing");
  return withChoice(withDestination(command))
    .addOption(option("--concurrency <n>", "runs compared at the same time").argParser(parseCount).default(4))
    .addOption(option("--json", "print one JSON object on standard output at the end").default(false))
    .addOption(option("-q, --quiet", "print nothing unless something is not the same").default(false))
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
    .action(async (logdirs: string[], options: import("./verify-command.ts").VerifyCommandOptions) => {
      const { runVerify } = await import("./verify-command.ts");
      onExit(await runVerify(logdirs, options));
    });
}

function watchCommand(
  onExit: (code: number) => void,
  training: readonly string[] | undefined,
  engineOf: ((options: WatchCommandOptions) => WatchEngine) | undefined,
): Command {
  const command = new Command("watch").description("follow logdirs and send what is written to them, as it is written");
  const described = withChoice(withDestination(command))
    .usage("[options] <logdir...> [-- <command...>]")
    .optionsGroup("When it ends:")
    .addOption(duration("--until-idle <time>", "when all is sent and no file has grown for so long"))
    .addOption(option("--pid <id>", "when this process has ended and all is sent").argParser(parseCount))
    .optionsGroup("How it follows:")
    .addOption(duration("--flush-interval <time>", "how long values are collected at most").default(500, "500ms"))
    .addOption(
      duration("--poll [interval]", "look for growth so often; without it the file system decides").preset("1s"),
    )
    .addOption(duration("--rescan <time>", "how often to look for new runs all over").default(120_000, "2m"))
    .addOption(duration("--idle-timeout <time>", "a run without growth is finished").default(1_800_000, "30m"))
    .addOption(duration("--patience <time>", "how long bytes that are no record are read again").default(30_000, "30s"))
    .optionsGroup("Options:");
  return withSurvey(described)
    .addOption(stateDirOption())
    .addOption(option("--concurrency <n>", "runs sent at the same time").argParser(parseCount).default(4))
    .addOption(
      option("--metrics-port <port>", "Prometheus metrics and /healthz on 127.0.0.1; 0: any port").argParser(parsePort),
    )
    .addOption(option("--json", "print one JSON object a line on standard output").default(false))
    .addOption(option("-q, --quiet", "print warnings and errors only").default(false))
    .addOption(option("-v, --verbose", "print everything that happens, on a terminal too").default(false))
    .addOption(
      option("--log-level <level>", "debug: what becomes of every record").choices(["info", "debug"]).default("info"),
    )
    .addHelpText(
      "after",
      `
It ends by a signal, with what --until-idle or --pid name, or with the command behind --. That
runs as it would without tracelet: signals go to it, and whatever happens to the sending, it is
not disturbed. Ctrl-C once: what is there is sent, for --shutdown-timeout at most. Twice: ends at
once.

--group, --only, --restarts and the like are those of tracelet sync: see there.

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
  return new Command("inspect")
    .description("show what is in a logdir or event file: runs, tags, kinds, ranges, damage")
    .argument("<logdir...>", "a logdir or a single event file")
    .addOption(
      option("--max-record-size <size>", "skip records that are larger")
        .argParser(parseBytes)
        .default(MAX_RECORD_BYTES, "256 MiB"),
    )
    .addOption(option("--json", "print one JSON object").default(false))
    .addOption(shutdownOption())
    .action(async (logdirs: string[], options: import("./inspect-command.ts").InspectCommandOptions) => {
      const { runInspect } = await import("./inspect-command.ts");
      onExit(await runInspect(logdirs, options));
    });
}

function statusCommand(onExit: (code: number) => void): Command {
  return new Command("status")
    .description("show how far each run is at each destination, and how much is left")
    .argument("<logdir...>", "a logdir or a single event file")
    .addOption(stateDirOption())
    .addOption(option("--json", "print one JSON object").default(false))
    .action(async (logdirs: string[], options: import("./status-command.ts").StatusCommandOptions) => {
      const { runStatus } = await import("./status-command.ts");
      onExit(await runStatus(logdirs, options));
    });
}

function forgetCommand(onExit: (code: number) => void): Command {
  return new Command("forget")
    .description("remove what this machine remembers of runs; neither the logdir nor the destination is touched")
    .argument("<logdir|run...>", "a logdir, with all its runs, or the name of a run as tracelet status shows it")
    .addOption(option("--backend <name>", "only at destinations of this kind; else at all").choices(BACKENDS))
    .addOption(stateDirOption())
    .addOption(option("--json", "print one JSON object").default(false))
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

/** What is asked and told beside values: see `survey.ts`, `regrouping.ts` and `origin.ts`. */
function withSurvey(command: Command): Command {
  return command
    .addOption(
      option("--trust-state", "believe what this machine remembers instead of asking the destination first").default(
        false,
      ),
    )
    .addOption(option("--resend-deleted", "send runs that were deleted at the destination as new runs").default(false))
    .addOption(
      option("--regroup", "send runs that were sent with another --group anew; the old ones stay").default(false),
    )
    .addOption(option("--no-source-path", "do not note on a new run which host and directory its files are from"));
}

/** What goes where: the same for every command that has to do with a destination. */
function withDestination(command: Command): Command {
  return command
    .argument("<logdir...>", "what you give to tensorboard --logdir; or a single event file")
    .optionsGroup("Where to:")
    .addOption(option("--backend <name>", "where to send it: MLflow, or files").choices(BACKENDS).default("mlflow"))
    .addOption(option("--output <dir>", "of files: the directory that they are written to; - is standard output"))
    .addOption(
      option(
        "--tracking-uri <uri>",
        "MLflow server (http://…) or database (sqlite:///…); else $MLFLOW_TRACKING_URI, else sqlite:///mlflow.db",
      ),
    )
    .addOption(
      option(
        "--experiment <name>",
        "MLflow experiment; else $MLFLOW_EXPERIMENT_NAME, else $TRACELET_PROJECT, else Default",
      ),
    )
    .addOption(
      option("--give-up-after <time>", "how long to try again without any success")
        .argParser(parseDuration)
        .default(600_000, "10m"),
    )
    .addOption(shutdownOption());
}

function shutdownOption(): Option {
  return option("--shutdown-timeout <time>", "how long ending may take after Ctrl-C or SIGTERM")
    .argParser((text) => Math.min(parseDuration(text), MAX_TIMER_MS))
    .default(10_000, "10s");
}

/** What of the source counts: see `choice.ts`. */
function withChoice(command: Command): Command {
  command
    .optionsGroup("What is sent:")
    .addOption(
      option("--only <kinds>", `only these kinds, or by --no-images and the like, not these: ${kindNames()}`).argParser(
        parseKinds,
      ),
    );
  // One line in the help for all of them: see there.
  for (const name of KINDS.keys()) command.addOption(option(`--no-${name}`, `not ${name}`).hideHelp());
  return command
    .addOption(option("--group <how>", "what becomes one run: see below").choices(GROUP_MODES).default("run"))
    .addOption(
      option("--restarts <policy>", "what a restarted run keeps: see below")
        .choices(RESTART_POLICIES)
        .default("explicit"),
    )
    .addOption(option("--nan <what>", "what becomes of scalars that are NaN").choices(["keep", "skip"]).default("keep"))
    .addOption(
      option("--histogram-metrics", "metrics of each histogram: <tag>/p5 p25 p50 p75 p95 mean std").default(false),
    )
    .addOption(option("--pr-metrics", "a metric of each PR curve: <tag>/average_precision").default(false))
    .addOption(globs("--include-runs <globs>", "only these runs"))
    .addOption(globs("--exclude-runs <globs>", "not these runs", "none"))
    .addOption(globs("--include-tags <globs>", "only these tags; * crosses /"))
    .addOption(globs("--exclude-tags <globs>", "not these tags; * crosses /", "none"))
    .addOption(option("--every <n>", "of each tag's media only each nth step, from the first on").argParser(parseCount))
    .addOption(option("--max-steps <n>", "of each tag's media the first n steps at most").argParser(parseCount))
    .addOption(size("--max-image-size <size>", "no image that is larger"))
    .addOption(size("--max-audio-size <size>", "no audio clip that is larger"))
    .addOption(
      option("--oversize <what>", "what becomes of a larger image; larger audio is always skipped")
        .choices(["skip", "downscale"])
        .default("skip"),
    )
    .addOption(option("--attach-source", "the event files themselves, too, as artifacts").default(false))
    .addOption(size("--max-artifact-size <size>", "no value or page with a file that is larger"))
    .addOption(
      option("--max-record-size <size>", "skip records that are larger")
        .argParser(parseBytes)
        .default(MAX_RECORD_BYTES, "256 MiB"),
    );
}

function duration(flags: string, description: string): Option {
  return option(flags, description).argParser(parseDuration);
}

function size(flags: string, description: string): Option {
  return option(flags, description).argParser(parseBytes);
}

function globs(flags: string, description: string, byDefault = "all of them"): Option {
  return option(flags, description).argParser(collect).default([], byDefault);
}
