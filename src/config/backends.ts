/** The backends that come with tracelet. Their code is loaded when they are opened, their options at once. */
import { FILE_OPTIONS } from "../backends/files/options.ts";
import { MLFLOW_OPTIONS } from "../backends/mlflow/options.ts";
import { WANDB_OPTIONS } from "../backends/wandb/options.ts";
import type { CheckOptions, OpenBackend, OptionSection } from "../sync/backend-plugin.ts";
import type { OptionsOf } from "../sync/option.ts";

export interface RegisteredBackend extends OptionSection {
  /** What `--backend` calls it; several where they share their options. */
  readonly names: readonly string[];
  readonly load: () => Promise<{ readonly open: OpenBackend<never>; readonly check?: CheckOptions<never> }>;
}

export const BACKENDS: readonly RegisteredBackend[] = [
  { names: ["mlflow"], title: "MLflow", options: MLFLOW_OPTIONS, load: () => import("../backends/mlflow/open.ts") },
  {
    names: ["wandb"],
    title: "Weights & Biases",
    options: WANDB_OPTIONS,
    load: () => import("../backends/wandb/open.ts"),
  },
  {
    names: ["jsonl", "csv", "parquet"],
    title: "files",
    options: FILE_OPTIONS,
    load: () => import("../backends/files/open.ts"),
  },
];

/** The options of all of them. */
export type BackendOptions = OptionsOf<typeof MLFLOW_OPTIONS> &
  OptionsOf<typeof WANDB_OPTIONS> &
  OptionsOf<typeof FILE_OPTIONS>;

export function backendNames(): string[] {
  return BACKENDS.flatMap(({ names }) => names);
}

/** Whether `--backend` means a file by it. */
export function isPath(name: string): boolean {
  return /[\\/]/.test(name) || /\.[cm]?[jt]s$/.test(name);
}
