/** The command line: what can be given, what it means by default. The commands themselves are loaded when they run. */
import { Command, type Option } from "commander";
import { RESTART_POLICIES } from "../reader/restarts.ts";
import { DEFAULT_MAX_RECORD_BYTES } from "../reader/tfrecord.ts";
import { GROUP_MODES } from "../sync/groups.ts";
import { VERSION } from "../version.ts";
import { KINDS, kindNames, parseKinds } from "./kinds.ts";
import { collect, option, parseBytes, parseCount, parseDuration, stateDirOption } from "./options.ts";

/** @param onExit told the exit code of the command that ran */
export function buildProgram(onExit: (code: number) => void): Command {
  const program = new Command("tracelet")
    .description("Upload TensorBoard logs to MLflow: every point, exactly once, resumable.")
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError("(tracelet --help shows what there is)")
    .configureHelp({ showGlobalOptions: true });
  program.addCommand(syncCommand(onExit));
  program.addCommand(inspectCommand(onExit));
  program.addCommand(statusCommand(onExit));
  for (const command of program.commands)
    command.exitOverride().showHelpAfterError(`(tracelet ${command.name()} --help)`);
  return program;
}

function syncCommand(onExit: (code: number) => void): Command {
  const command = new Command("sync").description("send what is new in one or more logdirs, then end");
  return withChoice(withDestination(command))
    .optionsGroup("Options:")
    .addOption(stateDirOption())
    .addOption(option("--concurrency <n>", "runs sent at the same time").argParser(parseCount).default(4))
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

Every option is also an environment variable: --state-dir is TRACELET_STATE_DIR.
Credentials are given as MLflow has them: MLFLOW_TRACKING_USERNAME and _PASSWORD, or
MLFLOW_TRACKING_TOKEN.

Examples:
  tracelet sync runs/
  tracelet sync runs/ --tracking-uri http://127.0.0.1:5000 --experiment mnist
  tracelet sync runs/ --dry-run -v`,
    )
    .action(async (logdirs: string[], options: import("./sync-command.ts").SyncCommandOptions) => {
      const { runSync } = await import("./sync-command.ts");
      onExit(await runSync(logdirs, options));
    });
}

function inspectCommand(onExit: (code: number) => void): Command {
  return new Command("inspect")
    .description("show what is in a logdir or event file: runs, tags, kinds, ranges, damage")
    .argument("<logdir...>", "a logdir or a single event file")
    .addOption(
      option("--max-record-size <size>", "skip records that are larger")
        .argParser(parseBytes)
        .default(DEFAULT_MAX_RECORD_BYTES, "256 MiB"),
    )
    .addOption(option("--json", "print one JSON object").default(false))
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

/** What goes where: the same for every command that has to do with a destination. */
function withDestination(command: Command): Command {
  return command
    .argument("<logdir...>", "what you give to tensorboard --logdir; or a single event file")
    .optionsGroup("Where to:")
    .addOption(option("--backend <name>", "where to send it").choices(["mlflow"]).default("mlflow"))
    .addOption(
      option("--tracking-uri <uri>", "MLflow server (http://…) or database (sqlite:///mlflow.db)").default(
        undefined,
        "$MLFLOW_TRACKING_URI, or sqlite:///mlflow.db",
      ),
    )
    .addOption(
      option("--experiment <name>", "MLflow experiment").default(
        undefined,
        "$MLFLOW_EXPERIMENT_NAME, $TRACELET_PROJECT, or Default",
      ),
    )
    .addOption(
      option("--give-up-after <time>", "how long to try again without any success")
        .argParser(parseDuration)
        .default(600_000, "10m"),
    );
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
    .addOption(globs("--include-runs <globs>", "only these runs"))
    .addOption(globs("--exclude-runs <globs>", "not these runs"))
    .addOption(globs("--include-tags <globs>", "only these tags; * crosses /"))
    .addOption(globs("--exclude-tags <globs>", "not these tags; * crosses /"))
    .addOption(option("--every <n>", "of each tag's media only each nth step, from the first on").argParser(parseCount))
    .addOption(option("--max-steps <n>", "of each tag's media the first n steps at most").argParser(parseCount))
    .addOption(size("--max-image-size <size>", "no image that is larger"))
    .addOption(size("--max-audio-size <size>", "no audio clip that is larger"))
    .addOption(
      option("--oversize <what>", "what becomes of a larger image; larger audio is always skipped")
        .choices(["skip", "downscale"])
        .default("skip"),
    )
    .addOption(size("--max-artifact-size <size>", "no value or page with a file that is larger"))
    .addOption(
      option("--max-record-size <size>", "skip records that are larger")
        .argParser(parseBytes)
        .default(DEFAULT_MAX_RECORD_BYTES, "256 MiB"),
    );
}

function size(flags: string, description: string): Option {
  return option(flags, description).argParser(parseBytes);
}

function globs(flags: string, description: string): Option {
  return option(flags, description).argParser(collect).default([], "all of them");
}
