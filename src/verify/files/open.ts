/** What `verify` needs of files that a backend has written. Nothing is made, and nothing locked. */
import { FilesBackend } from "../../backends/files/backend.ts";
import { CsvRuns } from "../../backends/files/csv-runs.ts";
import { JsonlRuns } from "../../backends/files/jsonl-runs.ts";
import type { OpenRun, RunsOnDisk } from "../../backends/files/runs-on-disk.ts";
import { OutputDirectory, outputOf } from "../../backends/output-directory.ts";
import { TraceletError } from "../../errors.ts";
import type { Contents } from "./contents.ts";
import { CsvContents } from "./csv.ts";
import { JsonlContents } from "./jsonl.ts";

export interface FilesToVerify {
  readonly directory: OutputDirectory;
  readonly files: FilesBackend<OpenRun>;
  readonly contents: Contents;
}

/**
 * @param format as `--backend` calls it
 * @param isShared whether files of another format go to the same `--output`
 * @throws TraceletError `usage`
 */
export async function openFilesToVerify(
  format: string,
  output: string | undefined,
  isShared: boolean,
): Promise<FilesToVerify> {
  if (output === undefined || output === "" || output === "-")
    throw new TraceletError("usage", "verify needs to be told where the files are", { hint: "--output out/" });
  const directory = new OutputDirectory(outputOf(output, format, isShared));
  const of = (runs: RunsOnDisk, contents: Contents) => ({
    directory,
    files: new FilesBackend(directory, runs),
    contents,
  });
  switch (format) {
    case "jsonl":
      return of(new JsonlRuns(directory) as RunsOnDisk, new JsonlContents(directory));
    case "csv":
      return of(new CsvRuns(directory) as RunsOnDisk, new CsvContents(directory));
    case "parquet": {
      const { ParquetRuns } = await import("../../backends/files/parquet-runs.ts");
      const { ParquetContents } = await import("./parquet.ts");
      return of(new ParquetRuns(directory) as RunsOnDisk, new ParquetContents(directory));
    }
    default:
      throw new TraceletError("usage", `verify cannot compare what --backend ${format} has written`, {
        hint: "--backend mlflow, jsonl, csv or parquet",
      });
  }
}
