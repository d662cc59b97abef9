/** Options and environment → an MLflow. */
import os from "node:os";
import type { OpenedBackend, Surroundings } from "../../sync/backend-plugin.ts";
import type { OptionsOf } from "../../sync/option.ts";
import { VERSION } from "../../version.ts";
import { MlflowBackend } from "./backend.ts";
import { DryRunStore } from "./dry-run-store.ts";
import type { MLFLOW_OPTIONS } from "./options.ts";
import type { MlflowStore } from "./store.ts";
import { resolveTrackingUri, type TrackingUri } from "./tracking-uri.ts";

export type MlflowOptions = OptionsOf<typeof MLFLOW_OPTIONS>;

/** @throws TraceletError `usage` */
export function check(options: MlflowOptions): void {
  resolve(options);
}

/** @throws TraceletError `usage` or `unsupported` */
export async function open(options: MlflowOptions, surroundings: Surroundings): Promise<OpenedBackend> {
  const { uri, experiment } = resolve(options);
  const { dryRun, verbose, giveUpAfterMs } = surroundings;
  let retries = 0;
  const onRetry = ({ reason, delayMs }: { reason: string; delayMs: number }) => {
    retries++;
    if (verbose || retries === 1) surroundings.say(`${reason}; sent again in ${(delayMs / 1000).toFixed(1)} s`);
  };
  const how = { ...surroundings, stopGraceMs: graceOf(surroundings), onRetry };
  const store = dryRun ? new DryRunStore() : await openStore(uri, how);
  return {
    backend: new MlflowBackend({
      store,
      experiment,
      version: VERSION,
      keepsMarks: !dryRun,
      giveUpAfterMs,
      maxArtifactBytes: options.maxArtifactSize,
      resendsDeleted: options.resendDeleted,
    }),
    address: addressOf(uri, experiment),
    // A server is slower with more; in a database several small runs are one commit.
    concurrency: uri.scheme === "sqlite" ? 16 : 4,
    howToLook:
      uri.scheme === "sqlite" && !dryRun ? `View results: mlflow ui --backend-store-uri ${uri.redacted}` : undefined,
    retries: () => retries,
  };
}

/** An MLflow that is only read. @throws TraceletError `usage`, `unsupported`; `rejected` if there is no such database */
export async function openToRead(
  options: Pick<MlflowOptions, "trackingUri" | "experiment">,
  surroundings: Pick<Surroundings, "signal" | "giveUpAfterMs" | "shutdownTimeoutMs" | "say">,
): Promise<{ readonly store: MlflowStore; readonly experiment: string; readonly address: string }> {
  const { uri, experiment } = resolve(options);
  const onRetry = ({ reason, delayMs }: { reason: string; delayMs: number }) =>
    surroundings.say(`${reason}; asked again in ${(delayMs / 1000).toFixed(1)} s`);
  const how = { stopGraceMs: graceOf(surroundings), live: false, onRetry, readOnly: true };
  const store = await openStore(uri, { ...surroundings, ...how });
  return { store, experiment, address: addressOf(uri, experiment) };
}

function resolve({ trackingUri, experiment }: Pick<MlflowOptions, "trackingUri" | "experiment">): {
  readonly uri: TrackingUri;
  readonly experiment: string;
} {
  const { env } = process;
  return {
    uri: resolveTrackingUri(trackingUri, env, process.cwd()),
    experiment: experiment ?? (env["MLFLOW_EXPERIMENT_NAME"] || env["TRACELET_PROJECT"] || "Default"),
  };
}

function addressOf(uri: TrackingUri, experiment: string): string {
  return `${uri.destinationKey} ${experiment}`;
}

/** Some of the time is left for what has to be done then. */
function graceOf({ shutdownTimeoutMs }: Pick<Surroundings, "shutdownTimeoutMs">): number {
  return shutdownTimeoutMs * GRACE_SHARE;
}

const GRACE_SHARE = 0.4;

interface StoreOptions extends Pick<Surroundings, "signal" | "live" | "giveUpAfterMs" | "say"> {
  /** How long a request that is under way when it is told to end may still take, ms. */
  readonly stopGraceMs: number;
  readonly onRetry: (retry: { reason: string; delayMs: number }) => void;
  readonly readOnly?: boolean;
}

async function openStore(uri: TrackingUri, options: StoreOptions): Promise<MlflowStore> {
  const { signal, live, say, giveUpAfterMs, stopGraceMs, onRetry, readOnly = false } = options;
  if (uri.scheme === "sqlite") {
    const { SqliteStore } = await import("./sqlite-store.ts");
    return SqliteStore.openWhenFree(uri.path, { readOnly, signal, stopGraceMs });
  }
  const { RestStore } = await import("./rest-store.ts");
  const { readCredentials } = await import("./credentials.ts");
  const credentials = readCredentials(uri.login, process.env, os.homedir());
  for (const warning of credentials.warnings) say(warning);
  return new RestStore({ uri, credentials, giveUpAfterMs, stopGraceMs, live, onRetry, signal });
}
