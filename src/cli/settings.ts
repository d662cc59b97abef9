/** The configuration file that a command goes by, and the plug-ins that the file, the arguments or the environment name. */
import { BACKENDS, backendNames, type RegisteredBackend } from "../config/backends.ts";
import { foundDocument, namedDocument } from "../config/file/search.ts";
import type { Settings } from "../config/file/settings.ts";
import { OPTIONS } from "../config/options.ts";
import { registered } from "../config/registry.ts";

export interface Surroundings {
  /** What is run: only that needs its options; left out: any. */
  readonly command?: string;
  readonly settings: Settings | undefined;
  readonly plugins: readonly RegisteredBackend[];
}

const NAMES_PLUGINS = ["sync", "watch", "verify", "config"];
const READS_FILE = [...NAMES_PLUGINS, "inspect", "status", "forget"];

/**
 * Both are needed before the options are known: a plug-in brings some of its own.
 *
 * @param argv as `process.argv`
 * @throws TraceletError `usage`
 */
export async function surroundingsOf(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<Surroundings> {
  const [command = "", ...args] = argv.slice(2);
  const isHelp = args.includes("--help") || args.includes("-h");
  const document = isHelp || !READS_FILE.includes(command) ? undefined : await documentFor(args, env);
  const asked = NAMES_PLUGINS.includes(command) ? pluginsIn(args, env) : [];
  // `help sync` shows those of another.
  const run = command === "help" ? {} : { command };
  if (document === undefined) return { ...run, settings: undefined, plugins: await Promise.all(asked.map(registered)) };
  const { fileTable, namedBackends, settingsOf } = await import("../config/file/settings.ts");
  const names = new Set([...asked, ...namedBackends(document).filter(isForeign)]);
  const plugins = await Promise.all([...names].map(registered));
  const table = fileTable([OPTIONS, ...[...BACKENDS, ...plugins].map(({ options }) => options)]);
  return { ...run, settings: await settingsOf(document, table), plugins };
}

/** The file that `--config` or `TRACELET_CONFIG` names, else the nearest; none with `--no-config`. */
async function documentFor(args: readonly string[], env: NodeJS.ProcessEnv) {
  const last = args.findLastIndex((arg) => arg === "--no-config" || arg === "--config" || arg.startsWith("--config="));
  const flag = args[last];
  if (flag === "--no-config") return undefined;
  if (flag !== undefined)
    return namedDocument(flag === "--config" ? (args[last + 1] ?? "") : flag.slice("--config=".length));
  const { TRACELET_NO_CONFIG: none = "", TRACELET_CONFIG: named } = env;
  if (none !== "" && !/^(0|false|no|off)$/i.test(none)) return undefined;
  return named ? namedDocument(named) : foundDocument(process.cwd());
}

function pluginsIn(args: readonly string[], env: NodeJS.ProcessEnv): string[] {
  const named = args.flatMap((arg, i) =>
    arg === "--backend" ? [args[i + 1] ?? ""] : arg.startsWith("--backend=") ? [arg.slice("--backend=".length)] : [],
  );
  const names = (named.length > 0 ? named.join(",") : (env["TRACELET_BACKEND"] ?? "")).split(",");
  return names.map((name) => name.trim()).filter((name) => name !== "" && isForeign(name));
}

function isForeign(name: string): boolean {
  return !backendNames().includes(name);
}
