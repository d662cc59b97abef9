/** What the command line and the environment say of MLflow → a destination. */
import os from "node:os";
import { MlflowBackend } from "../backends/mlflow/backend.ts";
import { DryRunStore } from "../backends/mlflow/dry-run-store.ts";
import type { MlflowStore } from "../backends/mlflow/store.ts";
import { resolveTrackingUri, type TrackingUri } from "../backends/mlflow/tracking-uri.ts";
import type { Backend } from "../sync/backend.ts";
import { type Quarantine } from "../sync/backend.ts";
import { QuarantineFiles } from "../sync/state/quarantine.ts";
import { VERSION } from "../version.ts";

export interface MlflowOptions {
  readonly trackingUri?: string;
  readonly experiment?: string;
  /** ms. */
  readonly giveUpAfter: number;
  /** Bytes. */
  readonly maxArtifactSize?: number;
  /** How long ending may take once it is told to, ms. */
  readonly shutdownTimeout: number;
  readonly stateDir: string;
  readonly dryRun: boolean;
  readonly resendDeleted: boolean;
  readonly verbose: boolean;
}

/** What a destination needs beside the engine. */
export interface Destination {
  readonly backend: Backend;
  /** Keeps what it refuses. */
  readonly quarantine: Quarantine;
  /** Names it in the state, without credentials. */
  readonly key: string;
  /** How many runs it is best sent at the same time. */
  readonly concurrency: number;
  /** How to look at the result where it has no address. */
  readonly howToLook: string | undefined;
  /** Requests that were sent again so far. */
  readonly retries: () => number;
  /** Where what was sent is remembered. */
  readonly stateDir: string;
}

export interface Surroundings {
  readonly signal: AbortSignal;
  /** Whether what fails is told at once, to one that goes on looking: see `RestStoreOptions`. */
  readonly live: boolean;
  readonly say: (line: string) => void;
}

/** @throws TraceletError `usage` or `unsupported` */
export async function openMlflow(options: MlflowOptions, surroundings: Surroundings): Promise<Destination> {
  const { uri, experiment } = resolve(options);
  let retries = 0;
  const onRetry = ({ reason, delayMs }: { reason: string; delayMs: number }) => {
    retries++;
    if (options.verbose || retries === 1) surroundings.say(`${reason}; sent again in ${(delayMs / 1000).toFixed(1)} s`);
  };
  const { giveUpAfter: giveUpAfterMs } = options;
  const how = { ...surroundings, giveUpAfterMs, stopGraceMs: graceOf(options), onRetry };
  const store = options.dryRun ? new DryRunStore() : await openStore(uri, how);
  const key = `mlflow ${uri.destinationKey} ${experiment}`;
  return {
    backend: new MlflowBackend({
      store,
      experiment,
      version: VERSION,
      keepsMarks: !options.dryRun,
      giveUpAfterMs,
      maxArtifactBytes: options.maxArtifactSize,
      resendsDeleted: options.resendDeleted,
    }),
    quarantine: new QuarantineFiles(options.stateDir, key),
    key,
    // A server is slower with more; in a database several small runs are one commit.
    concurrency: uri.scheme === "sqlite" ? 16 : 4,
    howToLook:
      uri.scheme === "sqlite" && !options.dryRun
        ? `Look at it with: mlflow ui --backend-store-uri ${uri.redacted}`
        : undefined,
    retries: () => retries,
    stateDir: options.stateDir,
  };
}

/** An MLflow that is only read. @throws TraceletError `usage`, `unsupported`; `rejected` if there is no such database */
export async function openMlflowToRead(
  options: Pick<MlflowOptions, "trackingUri" | "experiment" | "giveUpAfter" | "shutdownTimeout">,
  surroundings: Omit<Surroundings, "live">,
): Promise<{ readonly store: MlflowStore; readonly experiment: string }> {
  const { uri, experiment } = resolve(options);
  const onRetry = ({ reason, delayMs }: { reason: string; delayMs: number }) =>
    surroundings.say(`${reason}; asked again in ${(delayMs / 1000).toFixed(1)} s`);
  const how = {
    giveUpAfterMs: options.giveUpAfter,
    stopGraceMs: graceOf(options),
    live: false,
    onRetry,
    readOnly: true,
  };
  return { store: await openStore(uri, { ...surroundings, ...how }), experiment };
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

/** Some of the time is left for what has to be done then. */
function graceOf({ shutdownTimeout }: Pick<MlflowOptions, "shutdownTimeout">): number {
  return shutdownTimeout * GRACE_SHARE;
}

const GRACE_SHARE = 0.4;

interface StoreOptions extends Surroundings {
  readonly giveUpAfterMs: number;
  /** How long a request that is under way when it is told to end may still take, ms. */
  readonly stopGraceMs: number;
  readonly onRetry: (retry: { reason: string; delayMs: number }) => void;
  readonly readOnly?: boolean;
}

async function openStore(uri: TrackingUri, options: StoreOptions): Promise<MlflowStore> {
  const { signal, live, say, giveUpAfterMs, stopGraceMs, onRetry, readOnly = false } = options;
  if (uri.scheme === "sqlite") {
    const { SqliteStore } = await import("../backends/mlflow/sqlite-store.ts");
    return SqliteStore.openWhenFree(uri.path, { readOnly, signal, stopGraceMs });
  }
  const { RestStore } = await import("../backends/mlflow/rest-store.ts");
  const { readCredentials } = await import("../backends/mlflow/credentials.ts");
  const credentials = readCredentials(uri.login, process.env, os.homedir());
  for (const warning of credentials.warnings) say(warning);
  return new RestStore({ uri, credentials, giveUpAfterMs, stopGraceMs, live, onRetry, signal });
}
