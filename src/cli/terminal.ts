/** What is printed, made fit for a terminal. */
import { styleText } from "node:util";

/** Control characters, and those that reorder text: a tag or path may hold any, and none may reach a terminal raw. */
const UNSAFE = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text with everything that a terminal would obey written as an escape; line breaks stay. */
export function printable(text: string): string {
  return text.replace(UNSAFE, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** The same on one line. */
export function oneLine(text: string): string {
  return printable(text).replaceAll("\n", "\\n");
}

/** Where output goes, and whether it may be coloured. */
export interface Output {
  write(text: string): void;
  readonly colour: boolean;
}

/** @param stream standard output or error */
export function outputTo(stream: NodeJS.WriteStream): Output {
  const { NO_COLOR, FORCE_COLOR } = process.env;
  const colour = !NO_COLOR && (Boolean(FORCE_COLOR) || stream.isTTY);
  return { write: (text) => void stream.write(text), colour };
}

/** One object, on standard output. */
export function printJson(value: object): void {
  process.stdout.write(`${printable(JSON.stringify(value))}\n`);
}

/** Whether what was written can be drawn again. In a terminal of no columns, as ones without a window are, ora never ends. */
export function canRedraw(stream: NodeJS.WriteStream): boolean {
  return stream.isTTY && stream.columns > 0;
}

/** `text` in a colour, where the output has colours. */
export function paint(output: Output, colour: "red" | "yellow" | "green" | "dim" | "bold", text: string): string {
  return output.colour ? styleText(colour, text, { validateStream: false }) : text;
}

/** A whole number with separators. */
export function count(n: number): string {
  return n.toLocaleString("en-US");
}

/** A number and its noun, in the right number: `1 run`, `2 runs`. */
export function plural(n: number, noun: string): string {
  return `${count(n)} ${noun}${n === 1 ? "" : "s"}`;
}

/** Bytes in the largest unit that keeps them above 1. */
export function bytes(n: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  const power = n < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3));
  const value = n / 1000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

/** Milliseconds as people say them. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const minutes = Math.floor(ms / 60_000);
  return `${minutes} min ${Math.round((ms % 60_000) / 1000)} s`;
}

/** Rows with their columns aligned: the first to the left, the others to the right. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number))).join("  ");
  return rows.map((row) => `${line(row).trimEnd()}\n`).join("");
}
