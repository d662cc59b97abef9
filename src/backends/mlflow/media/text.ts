/**
 * Text → `text/<tag>/<step>.md`, which the artifact viewer renders: a single string as it is, a table of strings as the
 * table that TensorBoard makes of it. What a Markdown table cannot hold is kept in a `.json` beside it.
 *
 * TensorBoard renders the Markdown in a table's cells, which MLflow's viewer does not. torch and tensorboardX write every
 * text as a vector of one string, so such a vector is a single string here: as a cell its headings and lists would be lost.
 *
 * Source: `text_array_to_html` of tensorboard/plugins/text/text_plugin.py.
 */

import { readableJson } from "../../../encode/json.ts";
import type { TextDatum } from "../../../reader/datum.ts";
import type { Artifact } from "../../artifacts/artifact.ts";
import type { MediaContext } from "../../artifacts/context.ts";

/** The files of one step's text. */
export function encodeText(datum: TextDatum, { paths }: MediaContext): Artifact[] {
  const { shape, strings } = datum;
  const stem = `${paths.directory("text", datum.tag)}/${datum.step}`;
  const markdown = { path: `${stem}.md`, bytes: Buffer.from(markdownOf(datum)) };
  const whole = isSingle(datum) || (shape.length <= 2 && !strings.some((string) => /[\r\n]/.test(string)));
  return whole ? [markdown] : [markdown, { path: `${stem}.json`, bytes: readableJson({ shape, strings }) }];
}

/** One step's text as Markdown; of more than two dimensions the first table, which is what TensorBoard shows. */
export function markdownOf(datum: Pick<TextDatum, "shape" | "strings">): string {
  const { shape, strings } = datum;
  if (isSingle(datum)) return strings[0] ?? "";
  const warning = shape.length > 2 ? `${warningOf(shape.length)}\n\n` : "";
  if (strings.length === 0) return `${warning}*An empty table, of shape [${shape.join(", ")}].*\n`;
  // A vector stands upright, one string a row.
  const [rows, columns] = shape.length > 1 ? shape.slice(-2) : [shape[0], 1];
  const width = columns as number;
  // Markdown has no table without a head.
  let table = line(Array.from({ length: width }, () => " ")) + line(Array.from({ length: width }, () => "---"));
  for (let row = 0; row < (rows as number); row++) {
    table += line(strings.slice(row * width, (row + 1) * width).map(cell));
  }
  return warning + table;
}

function isSingle({ shape, strings }: Pick<TextDatum, "shape" | "strings">): boolean {
  return shape.length === 0 || (shape.length === 1 && strings.length === 1);
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |\n`;
}

function warningOf(rank: number): string {
  return `**Warning:** This text summary contained data of dimensionality ${rank}, but only 2d tables are supported. Showing a 2d slice of the data instead.`;
}

/**
 * A cell is one line, and it ends at the first bar. MLflow's page shows `<br>` as those four characters; a single line
 * feed is a space to Markdown anyway.
 */
function cell(text: string): string {
  const flat = text
    .trim()
    .replace(/\r\n?/g, "\n")
    .replace(/(?<![ \t])[ \t]*\n[ \t]*\n\s*/g, " ¶ ")
    .replaceAll("\n", " ");
  // One that is escaped already stays so; two backslashes are an escaped backslash.
  return flat.replace(/(?<!\\)(\\*)\|/g, (bar, slashes: string) => (slashes.length % 2 === 1 ? bar : `${slashes}\\|`));
}
