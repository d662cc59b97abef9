/**
 * Every option that is not a backend's own: one entry each, from which the flag, the environment variable, the help and the
 * type derive. The help shows them in this order.
 */
import os from "node:os";
import path from "node:path";
import type { CommandName, OptionsOf } from "../sync/option.ts";
import type { CommandOption } from "./command-option.ts";
import { CONTENT_OPTIONS } from "./content-options.ts";
import { FOLLOWING_OPTIONS } from "./following-options.ts";

/** Where checkpoints are kept unless told otherwise: the XDG state home. */
export function defaultStateDir(env: NodeJS.ProcessEnv): string {
  return path.join(env["XDG_STATE_HOME"] || path.join(os.homedir(), ".local", "state"), "tracelet");
}

const DESTINATION_OPTIONS = {
  backend: {
    form: "names",
    value: "<names>",
    path: "plug-in",
    defaultText: "mlflow",
    help: "where to send it: mlflow (default), wandb, jsonl, csv, parquet, or a plug-in: ./my-backend.mjs, or <name> for tracelet-backend-<name>; several with commas between",
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
} as const;

const COMMON_OPTIONS = {
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
  config: {
    form: "text",
    value: "<file>",
    help: "configuration file; else tracelet.config.* of this directory or of one above it in the repository",
    group: "Options:",
    commands: ["sync", "watch", "verify", "inspect", "status", "forget", "config"],
  },
  stateDir: {
    form: "text",
    value: "<dir>",
    path: "file",
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

export const OPTIONS: typeof DESTINATION_OPTIONS &
  typeof CONTENT_OPTIONS &
  typeof FOLLOWING_OPTIONS &
  typeof COMMON_OPTIONS = { ...DESTINATION_OPTIONS, ...CONTENT_OPTIONS, ...FOLLOWING_OPTIONS, ...COMMON_OPTIONS };

OPTIONS satisfies Readonly<Record<string, CommandOption>>;

type NamesFor<Command extends CommandName> = {
  [Name in keyof typeof OPTIONS]: Command extends (typeof OPTIONS)[Name]["commands"][number] ? Name : never;
}[keyof typeof OPTIONS];

/** What a command is given, backends' own options aside. */
export type CommandOptions<Command extends CommandName> = OptionsOf<Pick<typeof OPTIONS, NamesFor<Command>>>;
