/** One page a text tag: all its steps, newest first, Markdown as TensorBoard takes it. */
import MarkdownIt from "markdown-it";
import { escapeHtml, renderPage } from "./page.ts";
import { inOrder } from "./thin.ts";

export interface TextStep {
  readonly step: bigint;
  /** Seconds since the Unix epoch. */
  readonly wallTime: number;
  /** Of a table of strings of any rank, row-major; `[]` for a single one. */
  readonly shape: readonly number[];
  readonly strings: readonly string[];
}

/** Characters of text on one page; older steps are left out, and the page says so. */
const MAX_TEXT = 8_000_000;
/** Longest string that is taken as Markdown; a longer one is shown as it is. */
const MAX_MARKDOWN = 200_000;
/** The same for all cells of a table together. */
const MAX_TABLE_MARKDOWN = 2_000_000;
/** Cells of one table. */
const MAX_CELLS = 10_000;

/** @param all how many steps there are, where `series` has only the newest */
export function textPage(tag: string, series: readonly TextStep[], all: number = series.length): string {
  const newestFirst = inOrder(series).reverse();
  const parts: string[] = [];
  let length = 0;
  for (const step of newestFirst) {
    const html = stepHtml(step);
    if (length + html.length > MAX_TEXT && parts.length > 0) break;
    length += html.length;
    parts.push(html);
  }
  const left = all - parts.length;
  if (left > 0) parts.push(`<p class="note">${left} older steps are not shown: the page would be too large.</p>`);
  if (series.length === 0) parts.push('<p class="note">This tag has no text.</p>');
  return renderPage({ title: tag, script: "", style: TEXT_STYLE, data: null, body: `\n${parts.join("\n")}\n` });
}

/** One step's text by itself; the same page whichever version makes it, as long as neither frame nor style changes. */
export function textStepPage(tag: string, step: TextStep): string {
  return renderPage({ title: tag, style: TEXT_STYLE, body: `\n${stepHtml(step)}\n`, isVersioned: false });
}

/** Whether a page of one step shows all of its text. */
export function isShownWhole({ shape, strings }: Pick<TextStep, "shape" | "strings">): boolean {
  const length = strings.reduce((sum, text) => sum + text.length, 0);
  return length <= MAX_TEXT && (shape.length === 0 || strings.length <= MAX_CELLS);
}

/**
 * Raw HTML stays text. An address may be http, https or mailto; a link opens elsewhere and takes nothing along. Pictures
 * would have to be fetched: they become links.
 */
const markdown = new MarkdownIt({ html: false, linkify: false });
markdown.validateLink = (url) => /^(https?:|mailto:)/i.test(url);
markdown.renderer.rules["link_open"] = (tokens, index) => linkHtml(tokens[index]?.attrGet("href"));
markdown.renderer.rules["image"] = (tokens, index) => {
  const token = tokens[index];
  return `${linkHtml(token?.attrGet("src"))}${escapeHtml(`[image: ${token?.content ?? ""}]`)}</a>`;
};
// Its class would be a word of the text.
markdown.renderer.rules["fence"] = (tokens, index) =>
  `<pre><code>${escapeHtml(tokens[index]?.content ?? "")}</code></pre>`;

// The alignment of a column would be a style attribute, which the policy forbids.
for (const rule of ["th_open", "td_open"]) {
  markdown.renderer.rules[rule] = (tokens, index) => {
    const align = /(right|center)$/.exec(String(tokens[index]?.attrGet("style") ?? ""))?.[1] ?? "";
    return `<${rule.slice(0, 2)}${align === "" ? "" : ` class="${align}"`}>`;
  };
}

function linkHtml(address: string | number | null | undefined): string {
  const href = escapeHtml(String(address ?? ""));
  // An empty one would lead to the page itself.
  if (href === "") return "<a>";
  return `<a href="${href}" title="${href}" target="_blank" rel="noopener noreferrer nofollow">`;
}

function markdownHtml(text: string): string {
  if (text.length > MAX_TEXT)
    return `${plainHtml(text.slice(0, MAX_TEXT / 2))}<p class="note">The rest is not shown.</p>`;
  return text.length > MAX_MARKDOWN ? plainHtml(text) : markdown.render(text);
}

function plainHtml(text: string): string {
  return `<pre>${escapeHtml(text)}</pre>`;
}

function stepHtml({ step, wallTime, shape, strings }: TextStep): string {
  const time = timeOf(wallTime);
  const content = shape.length === 0 ? markdownHtml(strings[0] ?? "") : tablesHtml(shape, strings);
  const clock = time === "" ? "" : `<time datetime="${time}">${time.replace("T", " ").replace("Z", " UTC")}</time>`;
  return `<article><h2>Step <b>${step}</b>${clock}</h2>\n<div class="text">${content}</div></article>`;
}

/** A row of strings is a table of one column, as in TensorBoard; beyond two dimensions there is a table a slice. */
function tablesHtml(shape: readonly number[], strings: readonly string[]): string {
  if (strings.length === 0) return '<p class="note">An empty table.</p>';
  const columns = shape.length === 1 ? 1 : (shape.at(-1) as number);
  const rows = shape.length === 1 ? (shape[0] as number) : (shape.at(-2) as number);
  const outer = shape.slice(0, -2);
  const shown = Math.min(strings.length, MAX_CELLS);
  const parts: string[] = [];
  let markdownLeft = MAX_TABLE_MARKDOWN;
  let textLeft = MAX_TEXT;
  const cellHtml = (cell: string) => {
    const text = cell.slice(0, textLeft);
    textLeft -= text.length;
    markdownLeft -= text.length;
    return `<td>${markdownLeft >= 0 ? markdownHtml(text) : plainHtml(text)}</td>`;
  };
  for (let start = 0; start < shown; start += rows * columns) {
    const lines: string[] = [];
    for (let from = start; from < Math.min(shown, start + rows * columns); from += columns) {
      const cells = strings.slice(from, Math.min(shown, from + columns));
      lines.push(`<tr>${cells.map(cellHtml).join("")}</tr>`);
    }
    const caption =
      outer.length > 0 ? `<caption>[${indexOf(start / (rows * columns), outer).join(", ")}, :, :]</caption>` : "";
    parts.push(`<table>${caption}<tbody>${lines.join("\n")}</tbody></table>`);
  }
  if (shown < strings.length) parts.push(`<p class="note">${shown} of ${strings.length} cells shown.</p>`);
  if (textLeft <= 0) parts.push('<p class="note">The rest of the text is not shown.</p>');
  return parts.join("\n");
}

/** Row-major position `at` in a table of that shape. */
function indexOf(at: number, shape: readonly number[]): number[] {
  let rest = at;
  return shape
    .toReversed()
    .map((size) => {
      const index = rest % size;
      rest = Math.floor(rest / size);
      return index;
    })
    .toReversed();
}

/** ISO 8601, empty for what is no time. */
function timeOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString().replace(/\.\d+Z$/, "Z");
}

const TEXT_STYLE = `
article { margin: 0 0 14px; border: 1px solid var(--line); border-radius: 6px; overflow: hidden; }
h2 { display: flex; flex-wrap: wrap; gap: 2px 16px; align-items: baseline; margin: 0; padding: 6px 14px; font-size: 13px;
  font-weight: 400; color: var(--muted); background: var(--raised); border-bottom: 1px solid var(--line); }
h2 b { color: var(--front); font-weight: 600; margin-right: auto; font-variant-numeric: tabular-nums; }
h2 time { font-size: 12px; font-variant-numeric: tabular-nums; }
.text { padding: 10px 14px; overflow-x: auto; overflow-wrap: anywhere; max-height: 70vh; overflow-y: auto; }
.text > :first-child, td > :first-child { margin-top: 0; }
.text > :last-child, td > :last-child { margin-bottom: 0; }
.text h1 { font-size: 20px; max-height: none; margin: 0.8em 0 0.4em; }
.text h2 { display: block; font-size: 17px; font-weight: 600; color: var(--front); background: none; border: 0; padding: 0; margin: 0.8em 0 0.4em; }
.text h3, .text h4, .text h5, .text h6 { font-size: 14px; margin: 0.8em 0 0.4em; }
p, ul, ol, pre, blockquote, table { margin: 0 0 0.7em; }
code, pre { font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: var(--code); border-radius: 4px; }
code { padding: 1px 4px; }
pre { padding: 8px 10px; white-space: pre-wrap; }
pre code { padding: 0; }
blockquote { padding: 0 0 0 12px; border-left: 3px solid var(--edge); color: var(--muted); margin-left: 0; }
table { border-collapse: collapse; }
caption { text-align: left; color: var(--muted); font-size: 12px; padding: 2px 0; }
th, td { border: 1px solid var(--edge); padding: 4px 10px; text-align: left; vertical-align: top; }
.right { text-align: right; } .center { text-align: center; }
th { background: var(--raised); font-weight: 600; }
hr { border: 0; border-top: 1px solid var(--edge); }
`;
