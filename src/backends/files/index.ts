/** `tracelet/backends/files`: files as a destination. */
import { type OpenedBackend, type Surroundings, surroundingsOf } from "../../sync/backend-plugin.ts";
import { open } from "./open.ts";

export type FileFormat = "jsonl" | "csv" | "parquet";

/**
 * A directory of files, for `sync` and `watch`; `backend.close()` closes it.
 *
 * @throws TraceletError `usage`
 */
export async function openFiles(
  format: FileFormat,
  options: { readonly output: string },
  surroundings: Partial<Surroundings> = {},
): Promise<{ readonly name: FileFormat } & OpenedBackend> {
  return { name: format, ...(await open(options, surroundingsOf(surroundings), format)) };
}
