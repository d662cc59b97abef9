/** `tracelet/backends/mlflow`: MLflow as a destination. */
import { type Surroundings, surroundingsOf } from "../../sync/backend-plugin.ts";
import { type MlflowOptions, open } from "./open.ts";

export { MlflowBackend, type MlflowBackendOptions } from "./backend.ts";
export type { MlflowOptions } from "./open.ts";
export type { MlflowStore } from "./store.ts";

/**
 * An MLflow server or database, for `sync` and `watch`; `backend.close()` closes it.
 *
 * @throws TraceletError `usage` or `unsupported`
 */
export async function openMlflow(
  options: Partial<MlflowOptions> = {},
  surroundings: Partial<Surroundings> = {},
): Promise<{ readonly name: "mlflow" } & Awaited<ReturnType<typeof open>>> {
  const opened = await open({ resendDeleted: false, ...options }, surroundingsOf(surroundings));
  return { name: "mlflow", ...opened };
}
