/** What `--backend` names, opened. */
import { TraceletError } from "../errors.ts";
import type { Destination, MlflowOptions, Surroundings } from "./mlflow-options.ts";

/** What `--backend` takes. */
export type BackendName = "mlflow" | "jsonl" | "csv";

export interface DestinationOptions extends MlflowOptions {
  readonly backend: BackendName;
  /** Of files: the directory, or `-`. */
  readonly output?: string;
  readonly json: boolean;
}

/** @throws TraceletError `usage` or `unsupported` */
export async function openDestination(options: DestinationOptions, surroundings: Surroundings): Promise<Destination> {
  requireOwn(options);
  // Each brings what the others have no use for.
  if (options.backend === "mlflow") return (await import("./mlflow-options.ts")).openMlflow(options, surroundings);
  return (await import("./file-options.ts")).openFiles({ ...options, backend: options.backend });
}

/** Whether the options are those of the backend. @throws TraceletError `usage` */
function requireOwn({ backend, trackingUri, experiment, output }: DestinationOptions): void {
  const refuse = (option: string, of: string, hint: string) => {
    throw new TraceletError("usage", `${option} is an option of ${of}, and this is --backend ${backend}`, { hint });
  };
  if (backend === "mlflow") {
    if (output !== undefined) refuse("--output", "files", "add --backend jsonl, or leave --output out");
    return;
  }
  const hint = "leave it out, or --backend; files go to --output";
  if (trackingUri !== undefined) refuse("--tracking-uri", "MLflow", hint);
  if (experiment !== undefined) refuse("--experiment", "MLflow", hint);
}
