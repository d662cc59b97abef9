/** Options → files as a destination. */
import { TraceletError } from "../../errors.ts";
import type { Backend } from "../../sync/backend.ts";
import type { OpenedBackend, Surroundings } from "../../sync/backend-plugin.ts";
import type { OptionsOf } from "../../sync/option.ts";
import { DryRunBackend } from "../dry-run.ts";
import { OutputDirectory, outputOf } from "../output-directory.ts";
import { FilesBackend, skipFiles } from "./backend.ts";
import { CsvRuns, tallyOfTables } from "./csv-runs.ts";
import { tallyOf } from "./json-lines.ts";
import { JsonlRuns } from "./jsonl-runs.ts";
import { LinesBackend } from "./lines-backend.ts";
import type { FILE_OPTIONS } from "./options.ts";

const FORMATS = ["jsonl", "csv", "parquet"] as const;
type Format = (typeof FORMATS)[number];

type Options = OptionsOf<typeof FILE_OPTIONS>;

/** @throws TraceletError `usage` */
export function check({ output }: Options, { stdoutUser }: Surroundings, format: string): void {
  if (output === undefined || output === "")
    throw new TraceletError("usage", `--backend ${format} needs to be told where the files go`, {
      hint: "--output out/",
    });
  if (output !== "-") return;
  if (format !== "jsonl")
    throw new TraceletError("usage", "--output - takes --backend jsonl only: the others write several files a run", {
      hint: "--output out/",
    });
  if (stdoutUser !== undefined)
    throw new TraceletError("usage", `${stdoutUser} and --output - would both write to standard output`, {
      hint: "leave one of them out",
    });
}

/** @throws TraceletError `usage` */
export async function open(options: Options, surroundings: Surroundings, format: string): Promise<OpenedBackend> {
  check(options, surroundings, format);
  if (!isFormat(format)) throw new Error(`there is no format ${format}`);
  const { output = "" } = options;
  const { dryRun, sharesOptions } = surroundings;
  if (output === "-") return openStdout(dryRun);
  const directory = new OutputDirectory(outputOf(output, format, sharesOptions));
  return { backend: dryRun ? dryRunOf(format) : await backendOf(format, directory), address: directory.root };
}

function isFormat(name: string): name is Format {
  return FORMATS.some((format) => format === name);
}

async function backendOf(format: Format, directory: OutputDirectory): Promise<Backend> {
  if (format === "parquet") {
    // Its libraries are of no use to the others.
    const { ParquetRuns } = await import("./parquet-runs.ts");
    return new FilesBackend(directory, new ParquetRuns(directory));
  }
  if (format === "csv") return new FilesBackend(directory, new CsvRuns(directory));
  return new FilesBackend(directory, new JsonlRuns(directory));
}

function dryRunOf(format: Format): Backend {
  return new DryRunBackend(format === "csv" ? tallyOfTables : tallyOf, skipFiles);
}

/** Nobody can tell what of it has arrived, so nothing is remembered: each command writes all there is. */
function openStdout(dryRun: boolean): OpenedBackend {
  return { backend: dryRun ? dryRunOf("jsonl") : new LinesBackend(toStdout), address: "-", isForgotten: true };
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
