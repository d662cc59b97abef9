/**
 * The frame of every page: one HTML file that needs nothing else and can do nothing else.
 *
 * MLflow shows an HTML artifact as a blob in `<iframe sandbox="allow-scripts">`, so a page has no origin, no storage and
 * no server to ask. What comes out of an event file reaches it as JSON in a data block, or as HTML that this folder wrote;
 * the policy lets only our own scripts and styles run, by their digest, and forbids every request.
 */
import { createHash } from "node:crypto";
import { VERSION } from "../../version.ts";
import { FRAME_SCRIPT, FRAME_STYLE } from "./frame-client.ts";
import type { Library } from "./library.ts";

export interface Page {
  /** What the page shows, mostly the tag; shown as its heading. Any text. */
  readonly title: string;
  /** Client script, run after `FRAME_SCRIPT` and in its scope: it finds `data`, `app` and the helpers there. Left out: none runs. */
  readonly script?: string;
  /** What the script draws: JSON. */
  readonly data?: unknown;
  readonly style?: string;
  readonly libraries?: readonly Library[];
  /** False where other versions have to make the same page of the same content. Default true. */
  readonly isVersioned?: boolean;
  /** Content that needs no script. Trusted: whoever writes it has escaped what is not his. */
  readonly body?: string;
}

/** Longest heading; tags may be megabytes. */
const MAX_TITLE = 500;

export function renderPage({
  title,
  script,
  data,
  style = "",
  libraries = [],
  body = "",
  isVersioned = true,
}: Page): string {
  const heading = escapeHtml(shortened(title, MAX_TITLE));
  const styles = [...libraries.map(({ style }) => style), FRAME_STYLE, style].filter((text) => text !== "");
  const scripts = libraries.map(({ script }) => script);
  if (script !== undefined) scripts.push(`(() => {\n"use strict";\n${FRAME_SCRIPT}\n${script}\n})();`);
  const policy = [
    "default-src 'none'",
    `script-src ${scripts.length === 0 ? "'none'" : scripts.map(digestOf).join(" ")}`,
    `style-src ${styles.map(digestOf).join(" ")}`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return [
    "<!doctype html>",
    '<html lang="en">',
    "<head>",
    '<meta charset="utf-8">',
    `<meta http-equiv="Content-Security-Policy" content="${policy}">`,
    ...(isVersioned ? [`<meta name="generator" content="tracelet ${escapeHtml(VERSION)}">`] : []),
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    '<meta name="color-scheme" content="light dark">',
    '<meta name="referrer" content="no-referrer">',
    `<title>${heading}</title>`,
    ...libraries.map(({ notice }) => `<!-- ${notice} -->`),
    ...styles.map((text) => `<style>${text}</style>`),
    "</head>",
    "<body>",
    `<header><h1>${heading}</h1></header>`,
    `<main id="app">${body}</main>`,
    ...(script === undefined ? [] : [`<script type="application/json" id="data">${jsonOf(data)}</script>`]),
    ...scripts.map((text) => `<script>${text}</script>`),
    "</body>",
    "</html>",
    "",
  ].join("\n");
}

/** Text as HTML, good in content and in double or single quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

export function shortened(text: string, length: number): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

/** JSON that can neither end its script element nor begin another, whatever is in it. */
function jsonOf(data: unknown): string {
  return JSON.stringify(data).replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

function digestOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}
