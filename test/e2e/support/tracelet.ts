/** The built command, run as a user runs it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";

const MAIN = path.resolve(import.meta.dirname, "../../../dist/cli/main.js");

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** What `--json` prints, as far as tests look at it. */
export interface SyncJson {
  readonly earlierFiles: number;
  readonly outcome: string;
  readonly retries: number;
  readonly kinds: {
    readonly [kind: string]: {
      readonly read: number;
      readonly sent: number;
      readonly skipped: { readonly [reason: string]: number };
    };
  };
  readonly runs: readonly {
    readonly name: string;
    readonly outcome: string;
    readonly remoteId: string | null;
    readonly error: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
    readonly notes: readonly { readonly code: string; readonly message: string }[];
  }[];
}

/**
 * @param killAfter ms after which it is ended with SIGKILL, if it still runs
 * @param kill its abort does so, too
 */
export async function tracelet(
  args: readonly string[],
  options: { killAfter?: number; kill?: AbortSignal; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const { MLFLOW_TRACKING_URI: _uri, MLFLOW_EXPERIMENT_NAME: _experiment, ...inherited } = process.env;
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...inherited, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => (stdout += String(text)));
  child.stderr.on("data", (text) => (stderr += String(text)));
  const timer =
    options.killAfter === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), options.killAfter);
  options.kill?.addEventListener("abort", () => child.kill("SIGKILL"));
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { code, signal, stdout, stderr };
}

/** `tracelet sync … --json`, which has to succeed. */
export async function sync(
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<SyncJson & { readonly code: number | null }> {
  const ended = await tracelet(["sync", "--json", ...args], { env });
  if (ended.stdout === "") throw new Error(`tracelet sync ended with ${ended.code}:\n${ended.stderr}`);
  return { ...(JSON.parse(ended.stdout) as SyncJson), code: ended.code };
}
