/** Options → files as a destination. */
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import type { Backend } from "../../sync/backend.ts";
import type { OpenedBackend, Surroundings } from "../../sync/backend-plugin.ts";
import type { OptionsOf } from "../../sync/option.ts";
import { FilesBackend } from "./backend.ts";
import { CsvRuns, tallyOfTables } from "./csv-runs.ts";
import { JsonlRuns } from "./jsonl-runs.ts";
import { LinesBackend } from "./lines-backend.ts";
import type { FILE_OPTIONS } from "./options.ts";
import { OutputDirectory } from "./output-directory.ts";

type Format = "jsonl" | "csv";

/** @throws TraceletError `usage` */
export function open(
  { output }: OptionsOf<typeof FILE_OPTIONS>,
  { dryRun, stdoutUser }: Surroundings,
  format: string,
): OpenedBackend {
  if (!isFormat(format)) throw new Error(`there is no format ${format}`);
  if (output === undefined || output === "")
    throw new TraceletError("usage", `--backend ${format} needs to be told where the files go`, {
      hint: "--output out/",
    });
  if (output === "-" && format === "csv")
    throw new TraceletError("usage", "--output - takes --backend jsonl alone: a run has several tables", {
      hint: "--output out/",
    });
  if (output === "-") return openStdout(dryRun, stdoutUser);
  const directory = new OutputDirectory(path.resolve(output));
  return { backend: dryRun ? dryRunOf(format) : backendOf(format, directory), address: directory.root };
}

function isFormat(name: string): name is Format {
  return name === "jsonl" || name === "csv";
}

function backendOf(format: Format, directory: OutputDirectory): Backend {
  if (format === "csv") return new FilesBackend(directory, new CsvRuns(directory));
  return new FilesBackend(directory, new JsonlRuns(directory));
}

function dryRunOf(format: Format): Backend {
  const nowhere = async () => {};
  return format === "csv" ? new LinesBackend(nowhere, tallyOfTables) : new LinesBackend(nowhere);
}

/** Nobody can tell what of it has arrived, so nothing is remembered: each command writes all there is. */
function openStdout(dryRun: boolean, stdoutUser: string | undefined): OpenedBackend {
  if (stdoutUser !== undefined)
    throw new TraceletError("usage", `${stdoutUser} and --output - would both write to standard output`, {
      hint: "leave one of them out",
    });
  return { backend: new LinesBackend(dryRun ? async () => {} : toStdout), address: "-", isForgotten: true };
}

/** No faster than it is read. */
function toStdout(lines: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(lines, (error) => {
      if (!error) resolve();
      else
        reject(
          new TraceletError("rejected", `cannot write to standard output: ${error.message}`, {
            endsAll: true,
            cause: error,
          }),
        );
    });
  });
}
