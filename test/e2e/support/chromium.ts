/** Debian's Chromium, which the tests look at pages with. */
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

const CHROMIUM = process.env["TRACELET_TEST_CHROMIUM"] ?? "/usr/bin/chromium";
/** It asks nobody for anything, so that every request is one of the page's. */
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export const HOW_TO_GET_CHROMIUM: string = `no Chromium at ${CHROMIUM}: apt-get install chromium, or set TRACELET_TEST_CHROMIUM`;
export const chromiumIsMissing: boolean = !existsSync(CHROMIUM);

export function launchChromium(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: ARGS });
}
