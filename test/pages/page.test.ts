/** The frame: nothing that comes from an event file becomes markup, and the scripts are sound. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { expect, test } from "vitest";
import { CUSTOM_SCALARS_SCRIPT } from "../../src/encode/pages/custom-scalars-client.ts";
import { FRAME_SCRIPT } from "../../src/encode/pages/frame-client.ts";
import { GRAPH_SCRIPT } from "../../src/encode/pages/graph-client.ts";
import { HISTOGRAM_SCRIPT } from "../../src/encode/pages/histogram-client.ts";
import { uplot } from "../../src/encode/pages/library.ts";
import { renderPage } from "../../src/encode/pages/page.ts";
import { PR_CURVE_SCRIPT } from "../../src/encode/pages/pr-curve-client.ts";
import { HOSTILE } from "./samples.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");

test("data comes back as it was, and ends no element", () => {
  const data = HOSTILE.map((text) => ({ [text]: text }));
  const html = renderPage({ title: "t", script: "", data });
  const block = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html)?.[1] as string;
  expect(JSON.parse(block)).toEqual(data);
  expect(block).not.toMatch(/[<>&\u2028\u2029]/);
});

test("a title stays text", () => {
  for (const text of HOSTILE) {
    const html = renderPage({ title: text, script: "", data: null });
    const heading = /<h1>(.*?)<\/h1>/s.exec(html)?.[1] as string;
    expect(heading).not.toMatch(/[<>"']/);
    expect(html.match(/<script/g)).toHaveLength(2);
  }
});

test("every script and style has its digest in the policy, which allows nothing else", () => {
  const html = renderPage({ title: "t", script: "// own", style: "b { color: red }", data: 1, libraries: [uplot()] });
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] as string;
  const digests = [...html.matchAll(/<(?:script|style)>(.*?)<\/(?:script|style)>/gs)].map(([, text]) => {
    return `'sha256-${createHash("sha256")
      .update(text as string)
      .digest("base64")}'`;
  });
  expect(digests).toHaveLength(5);
  expect([...policy.matchAll(/'sha256-[^']+'/g)].map(String).sort()).toEqual(digests.sort());
  expect(policy).toMatch(/^default-src 'none'; script-src '/);
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
});

test("client scripts use known names only, all that they declare, and no way to make markup or a request", () => {
  // The frame once, with each page's script in a block of its own: so what no page uses is found.
  const pages = [HISTOGRAM_SCRIPT, PR_CURVE_SCRIPT, GRAPH_SCRIPT, CUSTOM_SCALARS_SCRIPT].map(
    (script) => `{\n${script}\n}`,
  );
  const text = `(() => {\n"use strict";\n${[FRAME_SCRIPT, ...pages].join("\n")}\n})();`;
  expect(text).not.toMatch(
    /innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|fetch\(|XMLHttp|import\(|new Function/,
  );
  const rules = {
    "no-undef": "error",
    "no-eval": "error",
    eqeqeq: "error",
    "no-var": "error",
    "prefer-const": "error",
  };
  const globals = { uPlot: "readonly", dagre: "readonly" };
  const config = { env: { browser: true, es2024: true }, globals, rules, categories: { correctness: "error" } };
  const folder = mkdtempSync(path.join(os.tmpdir(), "tracelet-pages-"));
  try {
    writeFileSync(path.join(folder, "lint.json"), JSON.stringify(config));
    writeFileSync(path.join(folder, "pages.js"), text);
    const oxlint = path.join(ROOT, "node_modules/oxlint/bin/oxlint");
    const { stdout, status } = spawnSync(process.execPath, [oxlint, "-c", "lint.json", "pages.js"], {
      cwd: folder,
      encoding: "utf8",
    });
    expect([stdout, status]).toEqual([expect.stringContaining("Found 0 warnings and 0 errors"), 0]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
