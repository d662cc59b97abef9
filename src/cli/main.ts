#!/usr/bin/env node
import { CommanderError } from "commander";
import { TraceletError } from "../errors.ts";
import { takeSessionKey } from "../session-key.ts";
import { exitCodeOfError, printError } from "./failure.ts";
import { buildProgram, splitTraining } from "./program.ts";
import { surroundingsOf } from "./settings.ts";
import { outputTo } from "./terminal.ts";

/** Usage errors end with 2, as they do in most tools. */
const USAGE = 2;

async function main(all: readonly string[]): Promise<number> {
  takeSessionKey();
  const { argv, training } = splitTraining(all);
  const stderr = outputTo(process.stderr);
  let code = 0;
  try {
    const around = await surroundingsOf(argv, process.env);
    await buildProgram((result) => (code = result), training, undefined, around).parseAsync(argv);
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    printError(error, stderr, wantsDebug(argv));
    return error instanceof TraceletError ? exitCodeOfError(error) : 1;
  }
}

function wantsDebug(argv: readonly string[]): boolean {
  return process.env["TRACELET_LOG_LEVEL"] === "debug" || /--log-level[= ]debug/.test(argv.join(" "));
}

// A reader that goes away (`| head`) is no error of ours. A watch has its own way to deal with it.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});

// Nor is it a reason to stop sending (`2>&1 | head`).
process.stderr.on("error", () => {});

process.exitCode = await main(process.argv);
