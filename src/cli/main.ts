#!/usr/bin/env node
import { CommanderError } from "commander";
import { registered } from "../config/registry.ts";
import { TraceletError } from "../errors.ts";
import { buildProgram, namedPlugins, splitTraining } from "./program.ts";
import { oneLine, outputTo, paint, printable } from "./terminal.ts";

/** Usage errors end with 2, as they do in most tools. */
const USAGE = 2;

async function main(all: readonly string[]): Promise<number> {
  const { argv, training } = splitTraining(all);
  const stderr = outputTo(process.stderr);
  let code = 0;
  try {
    const plugins = await Promise.all(namedPlugins(argv).map(registered));
    await buildProgram((result) => (code = result), training, undefined, plugins).parseAsync(argv);
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE;
    if (error instanceof TraceletError) {
      stderr.write(`${paint(stderr, "red", "error:")} ${oneLine(error.message)}\n`);
      if (error.hint !== undefined) stderr.write(`  ${oneLine(error.hint)}\n`);
      if (wantsDebug(argv) && error.cause instanceof Error) stderr.write(`${printable(String(error.cause.stack))}\n`);
      return error.code === "usage" ? USAGE : 1;
    }
    const { message, stack } = error as Error;
    stderr.write(`${paint(stderr, "red", "error:")} ${oneLine(message)}\n`);
    stderr.write(
      wantsDebug(argv)
        ? `${printable(String(stack))}\n`
        : "  this is a bug in tracelet; --log-level debug shows where\n",
    );
    return 1;
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
