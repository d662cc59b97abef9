/** What went wrong, as it is shown: a `TraceletError` says what to do, all else is a bug. */
import { TraceletError } from "../errors.ts";
import { type Output, oneLine, paint, printable } from "./terminal.ts";

const BUG = "this is a bug in tracelet; --log-level debug shows where";

/** @param debug whether to show where in the code it happened */
export function printError(error: unknown, output: Output, debug: boolean): void {
  const { message, stack } = error as Error;
  output.write(`${paint(output, "red", "error:")} ${oneLine(message)}\n`);
  if (!(error instanceof TraceletError)) {
    output.write(debug ? `${printable(String(stack))}\n` : `  ${BUG}\n`);
    return;
  }
  if (error.hint !== undefined) output.write(`  ${oneLine(error.hint)}\n`);
  if (debug && error.cause instanceof Error) output.write(`${printable(String(error.cause.stack))}\n`);
}

/** 2 for what no other try can change, as in most tools; 1 for all else. */
export function exitCodeOfError(error: TraceletError): 1 | 2 {
  return error.code === "usage" ? 2 : 1;
}
