/** What a destination has, compared with the logdirs: one way a backend. */
import { openToRead } from "../backends/mlflow/open.ts";
import { type BackendOptions, backendNames } from "../config/backends.ts";
import { sharesOptions } from "../config/destinations.ts";
import type { CommandOptions } from "../config/options.ts";
import { TraceletError } from "../errors.ts";
import type { SyncOptions } from "../sync/engine/once.ts";
import { Checkpoints } from "../sync/state/checkpoints.ts";
import { verify } from "../verify/mlflow/verify.ts";
import type { VerifyResult } from "../verify/result.ts";
import { VERSION } from "../version.ts";

export type VerifyCommandOptions = CommandOptions<"verify"> & BackendOptions;

/** What is the same for every destination. */
export type VerifyChoice = Omit<SyncOptions, "backend" | "checkpoints" | "quarantine" | "signal" | "onRun"> & {
  readonly signal: AbortSignal;
};

export interface Verified {
  /** Names the destination in full. */
  readonly key: string;
  readonly result: VerifyResult;
}

/** What a verifier is told beside what it compares. */
export interface VerifierSurroundings {
  /** What `--backend` calls it. */
  readonly name: string;
  /** Of all destinations. */
  readonly names: readonly string[];
  /** Prints a line for the user. */
  readonly say: (line: string) => void;
}

type Verifier = (
  choice: VerifyChoice,
  options: VerifyCommandOptions,
  surroundings: VerifierSurroundings,
) => Promise<Verified>;

/** The one for a backend. @throws TraceletError `usage` for a plug-in */
export function verifierOf(name: string): Verifier {
  if (name === "mlflow") return verifyMlflow;
  if (name === "wandb") return verifyRuns;
  if (backendNames().includes(name)) return verifyOutput;
  throw new TraceletError("usage", `verify cannot read what the plug-in ${name} has written`, {
    hint: `it reads ${backendNames().join(", ")}`,
  });
}

async function verifyMlflow(
  choice: VerifyChoice,
  options: VerifyCommandOptions,
  { say }: VerifierSurroundings,
): Promise<Verified> {
  const { giveUpAfter: giveUpAfterMs, shutdownTimeout: shutdownTimeoutMs, maxArtifactSize } = options;
  const { signal } = choice;
  const { store, experiment, address } = await openToRead(options, { signal, giveUpAfterMs, shutdownTimeoutMs, say });
  try {
    const what = { store, experiment, version: VERSION, maxArtifactBytes: maxArtifactSize };
    return { key: `mlflow ${address}`, result: await verify({ ...choice, ...what }) };
  } finally {
    await store.close();
  }
}

async function verifyRuns(
  choice: VerifyChoice,
  options: VerifyCommandOptions,
  { say }: VerifierSurroundings,
): Promise<Verified> {
  const { openToRead } = await import("../backends/wandb/open.ts");
  const { uploadText, waitingFor } = await import("../backends/wandb/offline/uploads.ts");
  const { verifyWandb } = await import("../verify/wandb/verify.ts");
  const { giveUpAfter: giveUpAfterMs, shutdownTimeout: shutdownTimeoutMs, maxArtifactSize } = options;
  const { store, ...what } = openToRead(options, { signal: choice.signal, giveUpAfterMs, shutdownTimeoutMs, say });
  try {
    const uploadOf = (ids: readonly string[]) => {
      const waiting = waitingFor(what.place, Checkpoints.destinations(options.stateDir), ids);
      return waiting.length === 0 ? undefined : uploadText(waiting);
    };
    const result = await verifyWandb({ ...choice, store, ...what, uploadOf, maxArtifactBytes: maxArtifactSize });
    return { key: `wandb ${what.address}`, result };
  } finally {
    await store.close();
  }
}

async function verifyOutput(
  choice: VerifyChoice,
  { output }: VerifyCommandOptions,
  { name, names }: VerifierSurroundings,
): Promise<Verified> {
  const { openFilesToVerify } = await import("../verify/files/open.ts");
  const { verifyFiles } = await import("../verify/files/verify.ts");
  const files = await openFilesToVerify(name, output, sharesOptions(name, names));
  return { key: `${name} ${files.directory.root}`, result: await verifyFiles({ ...choice, ...files }) };
}
