/** What the command line says of files → a destination. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { FilesBackend } from "../backends/files/backend.ts";
import { CsvRuns, tallyOfTables } from "../backends/files/csv-runs.ts";
import { JsonlRuns } from "../backends/files/jsonl-runs.ts";
import { LinesBackend } from "../backends/files/lines-backend.ts";
import { OutputDirectory } from "../backends/files/output-directory.ts";
import { TraceletError } from "../errors.ts";
import type { Backend } from "../sync/backend.ts";
import { QuarantineFiles } from "../sync/state/quarantine.ts";
import type { Destination } from "./mlflow-options.ts";

export interface FileOptions {
  readonly backend: "jsonl" | "csv";
  /** `-`: standard output. */
  readonly output?: string;
  readonly stateDir: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** @throws TraceletError `usage` */
export function openFiles({ backend: format, output, stateDir, dryRun, json }: FileOptions): Destination {
  if (output === undefined || output === "")
    throw new TraceletError("usage", `--backend ${format} needs to be told where the files go`, {
      hint: "--output out/",
    });
  if (output === "-" && format === "csv")
    throw new TraceletError("usage", "--output - takes --backend jsonl alone: a run has several tables", {
      hint: "--output out/",
    });
  if (output === "-") return openStdout(dryRun, json);
  const directory = new OutputDirectory(path.resolve(output));
  const backend = dryRun ? dryRunOf(format) : open(format, directory);
  return destinationOf(backend, `${format} ${directory.root}`, stateDir);
}

function open(format: FileOptions["backend"], directory: OutputDirectory): Backend {
  if (format === "csv") return new FilesBackend(directory, new CsvRuns(directory));
  return new FilesBackend(directory, new JsonlRuns(directory));
}

function dryRunOf(format: FileOptions["backend"]): Backend {
  const nowhere = async () => {};
  return format === "csv" ? new LinesBackend(nowhere, tallyOfTables) : new LinesBackend(nowhere);
}

/** Nobody can tell what of it has arrived, so nothing is remembered: each command writes all there is. */
function openStdout(dryRun: boolean, json: boolean): Destination {
  if (json)
    throw new TraceletError("usage", "--json and --output - would both write to standard output", {
      hint: "leave one of them out",
    });
  const stateDir = mkdtempSync(path.join(os.tmpdir(), "tracelet-state-"));
  process.once("exit", () => rmSync(stateDir, { recursive: true, force: true }));
  return destinationOf(new LinesBackend(dryRun ? async () => {} : toStdout), "jsonl -", stateDir);
}

function destinationOf(backend: Backend, key: string, stateDir: string): Destination {
  return {
    backend,
    quarantine: new QuarantineFiles(stateDir, key),
    key,
    concurrency: 4,
    howToLook: undefined,
    retries: () => 0,
    stateDir,
  };
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
