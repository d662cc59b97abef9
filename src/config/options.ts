/**
 * Every option that is not a backend's own: one entry each, from which the flag, the environment variable, the help and the
 * type derive. The help shows them in this order.
 */
import os from "node:os";
import path from "node:path";
import type { CommandName, OptionDefinition, OptionsOf } from "../sync/option.ts";
import type { DerivedMetric, MetricTypeOption, TransformFunction } from "../sync/transform/metrics/rules.ts";

/** An option, and where it is taken. */
export interface CommandOption extends OptionDefinition {
  readonly commands: readonly CommandName[];
  /** The heading it has in the help. */
  readonly group?: string;
  readonly groupOf?: Readonly<Partial<Record<CommandName, string>>>;
  /** Where a command says it in another way. */
  readonly helpOf?: Readonly<Partial<Record<CommandName, string>>>;
}

/** Where checkpoints are kept unless told otherwise: the XDG state home. */
export function defaultStateDir(env: NodeJS.ProcessEnv): string {
  return path.join(env["XDG_STATE_HOME"] || path.join(os.homedir(), ".local", "state"), "tracelet");
}

// Choices are repeated here, since the modules that define them load the whole reader: half of what `--version` would take.
export const OPTIONS = {
  backend: {
    form: "names",
    value: "<names>",
    help: "where to send it: mlflow (default), jsonl, csv, parquet, or a plug-in: ./my-backend.mjs, or <name> for tracelet-backend-<name>; several with commas between",
    helpOf: {
      verify: "where it was sent: mlflow (default), jsonl, csv, parquet",
      status: "only destinations of these backends",
      forget: "only at destinations of these backends",
    },
    group: "Where to:",
    groupOf: { status: "Options:", forget: "Options:" },
    commands: ["sync", "watch", "verify", "status", "forget"],
  },
  giveUpAfter: {
    form: "duration",
    value: "<time>",
    help: "give up after this long without success",
    default: 600_000,
    defaultText: "10m",
    group: "Where to:",
    commands: ["sync", "watch", "verify"],
  },
  only: {
    form: "kinds",
    value: "<kinds>",
    help: "send only these kinds: scalars, images, histograms, audio, text, graphs, hparams, pr-curves, meshes, embeddings, custom-scalars, tensors; --no-images and the like take one away",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  // One line in the help for all of them: that of `only`.
  scalars: {
    form: "switch",
    help: "skip scalars",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  images: {
    form: "switch",
    help: "skip images",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  histograms: {
    form: "switch",
    help: "skip histograms",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  audio: {
    form: "switch",
    help: "skip audio",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  text: {
    form: "switch",
    help: "skip text",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  graphs: {
    form: "switch",
    help: "skip graphs",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  hparams: {
    form: "switch",
    help: "skip hyperparameters",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  prCurves: {
    form: "switch",
    help: "skip PR curves",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  meshes: {
    form: "switch",
    help: "skip meshes",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  embeddings: {
    form: "switch",
    help: "skip embeddings",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  customScalars: {
    form: "switch",
    help: "skip custom scalars",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  runTags: {
    form: "switch",
    help: "skip labels of runs",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  artifacts: {
    form: "switch",
    help: "skip logged files",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  metricInfo: {
    form: "switch",
    help: "skip types and metadata of metrics",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  tensors: {
    form: "switch",
    help: "skip tensors",
    hidden: true,
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  group: {
    form: "text",
    choices: ["run", "parent", "nested", "none"],
    value: "<how>",
    help: "what becomes one run: see below",
    default: "run",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  runName: {
    form: "text",
    value: "<template>",
    help: "what runs are called at the destination; {run} is a run's own name, {logdir} its logdir's",
    defaultText: "{run}",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  restarts: {
    form: "text",
    choices: ["explicit", "any", "keep"],
    value: "<policy>",
    help: "what is kept of a restarted run: see below",
    default: "explicit",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  nan: {
    form: "text",
    choices: ["keep", "skip"],
    value: "<what>",
    help: "how to handle NaN scalars",
    default: "keep",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  histogramMetrics: {
    form: "flag",
    help: "add metrics of each histogram: <tag>/p5 p25 p50 p75 p95 mean std",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  prMetrics: {
    form: "flag",
    help: "add a metric of each PR curve: <tag>/average_precision",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  best: {
    form: "globs",
    value: "<globs>",
    help: "add best/<metric> and its step for these metrics: the least loss, the greatest accuracy",
    default: [],
    defaultText: "none",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  rename: {
    form: "globs",
    value: "<old=new>",
    help: "send metrics under other names; a * in new is what the * in old has matched",
    default: [],
    defaultText: "none",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  derive: {
    form: "structure",
    type: {} as Readonly<Record<string, DerivedMetric>>,
    help: "metrics computed from others, by name",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  metricTypes: {
    form: "structure",
    type: {} as Readonly<Record<string, MetricTypeOption>>,
    help: "what metrics measure, by glob",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  transform: {
    form: "structure",
    type: {} as TransformFunction,
    help: "code that is given each scalar",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  includeRuns: {
    form: "globs",
    value: "<globs>",
    help: "send only these runs",
    default: [],
    defaultText: "all",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  excludeRuns: {
    form: "globs",
    value: "<globs>",
    help: "skip these runs",
    default: [],
    defaultText: "none",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  includeTags: {
    form: "globs",
    value: "<globs>",
    help: "send only these tags; * crosses /",
    default: [],
    defaultText: "all",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  excludeTags: {
    form: "globs",
    value: "<globs>",
    help: "skip these tags; * crosses /",
    default: [],
    defaultText: "none",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  every: {
    form: "count",
    value: "<n>",
    help: "keep every nth step of each media tag",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  maxSteps: {
    form: "count",
    value: "<n>",
    help: "keep the first n steps of each media tag",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  maxImageSize: {
    form: "bytes",
    value: "<size>",
    help: "skip images larger than this",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  maxAudioSize: {
    form: "bytes",
    value: "<size>",
    help: "skip audio clips larger than this",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  oversize: {
    form: "text",
    choices: ["skip", "downscale"],
    value: "<what>",
    help: "how to handle larger images; larger audio is always skipped",
    default: "skip",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  attachSource: {
    form: "flag",
    help: "also upload the event files themselves",
    group: "What is sent:",
    commands: ["sync", "watch", "verify"],
  },
  maxRecordSize: {
    form: "bytes",
    value: "<size>",
    help: "skip records larger than this",
    default: 268_435_456,
    defaultText: "256 MiB",
    group: "What is sent:",
    groupOf: { inspect: "Options:" },
    commands: ["sync", "watch", "verify", "inspect"],
  },
  untilIdle: {
    form: "duration",
    value: "<time>",
    help: "end when everything is sent and no file has grown for this long",
    group: "When it ends:",
    commands: ["watch"],
  },
  pid: {
    form: "count",
    value: "<id>",
    help: "end when this process has exited and everything is sent",
    group: "When it ends:",
    commands: ["watch"],
  },
  untilEof: {
    form: "flag",
    help: "end when standard input is at its end and everything is sent",
    group: "When it ends:",
    commands: ["watch"],
  },
  trackSystem: {
    form: "flag",
    help: "record how busy this machine is while a run grows: CPU, memory, disk, network, NVIDIA GPUs",
    group: "What is recorded beside:",
    commands: ["watch"],
  },
  metricsInterval: {
    form: "duration",
    unit: "s",
    value: "<time>",
    help: "with --track-system: take a sample this often",
    default: 10_000,
    defaultText: "10s",
    group: "What is recorded beside:",
    commands: ["watch"],
  },
  trackGit: {
    form: "flag",
    help: "record commit, branch, remote and uncommitted changes of the code's git repository when a run begins",
    group: "What is recorded beside:",
    commands: ["watch"],
  },
  trackEnv: {
    form: "text",
    value: "[python]",
    preset: "auto",
    help: "record the host, the version of Python and its packages when a run begins; without a path: of the command's interpreter, or of the one on PATH",
    group: "What is recorded beside:",
    commands: ["watch"],
  },
  flushInterval: {
    form: "duration",
    value: "<time>",
    help: "send new values after at most this long",
    default: 500,
    defaultText: "500ms",
    group: "How it follows:",
    commands: ["watch"],
  },
  poll: {
    form: "duration",
    value: "[interval]",
    preset: "1s",
    help: "check for growth this often instead of relying on file system events",
    group: "How it follows:",
    commands: ["watch"],
  },
  rescan: {
    form: "duration",
    value: "<time>",
    help: "look through everything for new runs this often",
    default: 120_000,
    defaultText: "2m",
    group: "How it follows:",
    commands: ["watch"],
  },
  idleTimeout: {
    form: "duration",
    value: "<time>",
    help: "consider a run finished after this long without growth",
    default: 1_800_000,
    defaultText: "30m",
    group: "How it follows:",
    commands: ["watch"],
  },
  patience: {
    form: "duration",
    value: "<time>",
    help: "keep rereading bytes that are not a record for this long",
    default: 30_000,
    defaultText: "30s",
    group: "How it follows:",
    commands: ["watch"],
  },
  trustState: {
    form: "flag",
    help: "trust the local state instead of asking the destination first",
    commands: ["sync", "watch"],
  },
  regroup: {
    form: "flag",
    help: "send runs that were sent with another --group again; the old ones stay",
    commands: ["sync", "watch"],
  },
  sourcePath: {
    form: "switch",
    help: "do not note on new runs which host and directory their files come from",
    commands: ["sync", "watch"],
  },
  stateDir: {
    form: "text",
    value: "<dir>",
    help: "where to remember what was sent",
    helpOf: { verify: "where what was recorded beside runs is kept" },
    default: (env: NodeJS.ProcessEnv): string => defaultStateDir(env),
    defaultText: "$XDG_STATE_HOME/tracelet, or ~/.local/state/tracelet",
    commands: ["sync", "watch", "verify", "status", "forget"],
  },
  concurrency: {
    form: "count",
    value: "<n>",
    help: "runs sent at the same time (default: 4; into a database 16)",
    helpOf: {
      watch: "runs sent at the same time (default: 4)",
      verify: "runs compared at the same time (default: 4)",
    },
    commands: ["sync", "watch", "verify"],
  },
  metricsPort: {
    form: "port",
    value: "<port>",
    help: "serve Prometheus metrics and /healthz on 127.0.0.1; 0: any free port",
    commands: ["watch"],
  },
  shutdownTimeout: {
    form: "duration",
    value: "<time>",
    help: "how long ending may take after Ctrl-C or SIGTERM",
    default: 10_000,
    defaultText: "10s",
    // What a timer of Node can wait for: 24 days.
    atMost: 2_147_483_647,
    commands: ["sync", "watch", "verify", "inspect"],
  },
  dryRun: { form: "flag", help: "show what would be sent; change nothing", commands: ["sync"] },
  json: {
    form: "flag",
    help: "print one JSON object on standard output at the end",
    helpOf: {
      watch: "print one JSON object per line on standard output",
      inspect: "print one JSON object",
      status: "print one JSON object",
      forget: "print one JSON object",
    },
    commands: ["sync", "watch", "verify", "inspect", "status", "forget"],
  },
  quiet: {
    form: "flag",
    short: "q",
    help: "print nothing unless something goes wrong",
    helpOf: { watch: "print only warnings and errors", verify: "print nothing unless something differs" },
    commands: ["sync", "watch", "verify"],
  },
  verbose: {
    form: "flag",
    short: "v",
    help: "print every run and every note",
    helpOf: { watch: "print everything that happens, on a terminal too" },
    commands: ["sync", "watch"],
  },
  logLevel: {
    form: "text",
    choices: ["info", "debug"],
    value: "<level>",
    help: "debug: print what happens to every record",
    default: "info",
    commands: ["sync", "watch"],
  },
} as const;

OPTIONS satisfies Readonly<Record<string, CommandOption>>;

type NamesFor<Command extends CommandName> = {
  [Name in keyof typeof OPTIONS]: Command extends (typeof OPTIONS)[Name]["commands"][number] ? Name : never;
}[keyof typeof OPTIONS];

/** What a command is given, backends' own options aside. */
export type CommandOptions<Command extends CommandName> = OptionsOf<Pick<typeof OPTIONS, NamesFor<Command>>>;
