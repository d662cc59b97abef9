/**
 * The page of a run in MLflow's own web interface, as a user sees it. All that hangs on how MLflow 3.17 builds its page is
 * here: addresses, test ids and classes, found in its bundle (mlflow/server/js/build) and tried in a browser.
 */
import type { Browser, BrowserContext, ElementHandle, Frame, Locator, Page } from "playwright-core";
import { expect } from "vitest";

/** For everything that MLflow loads; much more than it takes, as CI machines are slow. */
export const PATIENCE = 120_000;

/** A picture as it is shown: its size in the file, and mean colours as `read_images.py` has them. */
export interface Picture {
  readonly size: readonly [width: number, height: number];
  readonly cells: readonly (readonly number[])[];
}

/** What an element looks like on the screen. */
export interface Look {
  readonly colors: number;
  /** The share of its pixels that differ from the most frequent one, 0 to 1. */
  readonly drawn: number;
}

/** One tab of a browser, at one run's page at a time. */
export class MlflowPage {
  readonly #trouble: string[] = [];
  /** What the server last failed to answer, by URL. */
  readonly #failed = new Map<string, string>();
  readonly #context: BrowserContext;
  readonly #page: Page;
  readonly #uri: string;
  #run = "";

  private constructor(context: BrowserContext, page: Page, uri: string) {
    this.#context = context;
    this.#page = page;
    this.#uri = uri;
  }

  /** @param uri of the server */
  static async open(browser: Browser, uri: string): Promise<MlflowPage> {
    // Charts are drawn when they come into view, so the window is as high as all of them.
    const context = await browser.newContext({ viewport: { width: 1400, height: 3000 }, locale: "en-US" });
    context.setDefaultTimeout(PATIENCE);
    // At its first visit a panel of MLflow's assistant opens over a third of the page. Frames without an origin have no
    // storage, and throw.
    // And what fades in or out keeps a machine without a graphics card busy.
    await context.addInitScript(`if (self.origin !== "null") {
      localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
      localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
      globalThis.reader = ${READER};
      addEventListener("DOMContentLoaded", () => {
        const still = document.createElement("style");
        still.textContent = "* { animation-duration: 0s !important; transition-duration: 0s !important; }";
        document.head.append(still);
      });
    }`);
    const page = await context.newPage();
    const shown = new MlflowPage(context, page, uri);
    page.on("console", (message) => {
      // MLflow asks who is logged in, which only a server with authentication answers, and its charts measure themselves
      // while they grow.
      const { url } = message.location();
      const isMlflows = url.endsWith("/users/current") || /ResizeObserver loop/.test(message.text());
      // Told with what the server says, below.
      const isAnswer = /status of 5\d\d/.test(message.text());
      if (message.type() !== "error" || isMlflows || isAnswer) return;
      shown.#trouble.push(`console: ${message.text()} ${url}`);
    });
    // A busy server of MLflow's fails once in thousands of requests; what it answers the next time it can do.
    page.on("response", async (response) => {
      const url = response.url();
      if (response.ok()) shown.#failed.delete(url);
      if (response.status() < 500) return;
      const text = await response.text().catch(() => "");
      shown.#failed.set(url, `${response.status()} ${url}: ${text.slice(0, 500)}`);
    });
    page.on("pageerror", (error) => shown.#trouble.push(`error: ${error.message}`));
    page.on("request", (request) => {
      const { protocol, origin } = new URL(request.url());
      if (protocol !== "data:" && origin !== uri) shown.#trouble.push(`request: ${request.url().slice(0, 200)}`);
    });
    return shown;
  }

  /** Whatever the page did since the last call that it should not: errors, and requests to another host. */
  takeTrouble(): string[] {
    const failed = [...this.#failed.values()];
    this.#failed.clear();
    return [...this.#trouble.splice(0), ...failed];
  }

  /**
   * The hash is a route that names the run and the tab. A change of the hash alone would leave the page as it is, with
   * another run's data in its store, so it is always loaded anew.
   */
  async goto(
    experimentId: string,
    runId: string,
    tab: "" | "/model-metrics" | "/system-metrics" | "/artifacts",
  ): Promise<void> {
    await this.#page.goto("about:blank");
    this.#run = `${experimentId}/runs/${runId}`;
    await this.#page.goto(`${this.#uri}/#/experiments/${this.#run}${tab}`);
    await this.#page.getByTestId("runs-header").waitFor();
  }

  /** The overview's table of which the first column is called so, as text; a metric's key is a link, a param's is not. */
  async table(head: "Metric" | "Parameter"): Promise<{ [key: string]: string }> {
    const table = this.#page.getByRole("table").filter({
      has: this.#page.getByRole("columnheader").filter({ hasText: new RegExp(`^${head}$`) }),
    });
    const rows = await table
      .getByRole("row")
      .filter({ has: this.#page.getByRole("cell") })
      .all();
    const texts = await Promise.all(rows.map((row) => row.getByRole("cell").allInnerTexts()));
    return Object.fromEntries(texts.map(([key = "", value = ""]) => [key, value]));
  }

  /** The names of all charts on the tab of metrics: sections of their own for each first part of a name. */
  async charts(): Promise<string[]> {
    const titles = this.#page.getByTestId("experiment-view-compare-runs-card").getByRole("heading", { level: 4 });
    return await titles.allInnerTexts();
  }

  /** The chart of one image key. */
  image(key: string): ImageCard {
    const title = this.#page.getByRole("heading", { level: 4, name: key, exact: true });
    return new ImageCard(
      this.#page,
      this.#page.getByTestId("experiment-view-compare-runs-card").filter({ has: title }),
    );
  }

  /**
   * Selects a file in the tree on the tab of artifacts, a click a folder, as a user does: by its address a file is not
   * found where the path holds a space, which MLflow encodes twice.
   *
   * @returns what shows the file
   */
  async select(file: string): Promise<Locator> {
    let level: Locator = this.#page.locator("ul:not(ul ul)", { has: this.#page.getByTestId("artifact-tree-node") });
    const parts = file.split("/");
    for (const [depth, part] of parts.entries()) {
      // Names come again in other folders, so each is looked for in its parent's list alone.
      const node = level.locator(`> li > div > [data-testid="artifact-tree-node"][aria-label=${JSON.stringify(part)}]`);
      await node.waitFor();
      level = node.locator("xpath=../..").locator("> div > ul");
      // A folder that is open would be closed.
      if (depth === parts.length - 1 || (await level.count()) === 0) await node.click();
    }
    const viewer = this.#page.locator(".mlflow-artifact-right");
    await viewer.locator(`[title=${JSON.stringify(file)}]`).waitFor();
    return viewer;
  }

  /** The document of an HTML file that is selected. */
  async html(viewer: Locator): Promise<{ readonly frame: Frame; readonly sandbox: string | null }> {
    const element = viewer.locator("iframe");
    const sandbox = await element.getAttribute("sandbox");
    const frame = await ((await element.elementHandle()) as ElementHandle).contentFrame();
    if (frame === null) throw new Error("the frame has no document");
    await frame.locator("main").waitFor();
    return { frame, sandbox };
  }

  async look(element: Locator): Promise<Look> {
    const png = await element.screenshot();
    return await this.#page.evaluate(
      (base64) => (globalThis as unknown as { reader: Reader }).reader.lookOf(base64),
      png.toString("base64"),
    );
  }

  /** A picture of the whole page, for whoever wonders why a test failed. */
  async screenshot(file: string): Promise<void> {
    await this.#page.screenshot({ path: file });
  }

  async close(): Promise<void> {
    await this.#context.close();
  }
}

/** One chart of the image grid: a thumbnail, and a slider that goes from one step that has an image to the next. */
export class ImageCard {
  readonly #page: Page;
  readonly #card: Locator;

  constructor(page: Page, card: Locator) {
    this.#page = page;
    this.#card = card;
  }

  /** The step that is shown: of a single one the slider cannot be moved, but its field tells. */
  async step(): Promise<number> {
    return Number(await this.#card.locator("input[type=number]").inputValue());
  }

  /**
   * Moves the slider by its keys, which go from one step that has an image to the next. When an original is closed, the
   * focus goes back to where it was, at some time: a key that was pressed before that is lost.
   */
  async moveTo(step: number): Promise<void> {
    const move = async () => {
      const shown = await this.step();
      if (shown !== step) await this.#card.getByRole("slider").press(shown < step ? "ArrowRight" : "ArrowLeft");
      return shown;
    };
    await expect.poll(move, { timeout: PATIENCE, interval: 200 }).toBe(step);
  }

  /** The thumbnail; undefined while it is loaded. */
  async thumbnail(): Promise<Picture | undefined> {
    const image = this.#card.locator("img.rc-image-img");
    return (await image.count()) === 1 ? await pictureOf(image) : undefined;
  }

  /** The image that a click on the thumbnail opens, and the SHA-256 of its file. */
  async original(): Promise<Picture & { readonly sha256: string }> {
    await this.#card.locator("img.rc-image-img").click();
    // One that was shown before stays in the document.
    const image = this.#page.locator("img.rc-image-preview-img").filter({ visible: true });
    await image.waitFor();
    await expect.poll(() => pictureOf(image), { timeout: PATIENCE }).toBeDefined();
    const picture = (await pictureOf(image)) as Picture;
    const sha256 = await digestOf(image);
    // The first of its buttons closes it; Escape does so only once the dialog has been clicked into.
    await this.#page.locator(".rc-image-preview-operations-operation").filter({ visible: true }).first().click();
    await image.waitFor({ state: "hidden" });
    return { ...picture, sha256 };
  }
}

/** What is done in the browser, where there are pixels. */
interface Reader {
  /** The picture of an `img` on white, whatever its file's format. */
  pictureOf(img: unknown): Promise<Picture | undefined>;
  /** The SHA-256 of the file that an element shows or plays. */
  digestOf(element: unknown): Promise<string>;
  /** @param png in base64 */
  lookOf(png: string): Promise<Look>;
}

const READER = `{
  pictureOf: async (img) => {
    if (!img.complete || img.naturalWidth === 0) return undefined;
    await img.decode();
    const { naturalWidth: width, naturalHeight: height } = img;
    const context = new OffscreenCanvas(width, height).getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    context.drawImage(img, 0, 0);
    const halves = (size) => size > 1 ? [[0, size >> 1], [size >> 1, size]] : [[0, 1]];
    const cells = halves(height).flatMap(([top, bottom]) => halves(width).map(([left, right]) => {
      const { data } = context.getImageData(left, top, right - left, bottom - top);
      const sums = [0, 0, 0];
      for (let i = 0; i < data.length; i++) if (i % 4 < 3) sums[i % 4] += data[i];
      return sums.map((sum) => (sum * 4) / data.length);
    }));
    return { size: [width, height], cells };
  },
  digestOf: async (element) => {
    const bytes = await (await fetch(element.src)).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },
  lookOf: async (png) => {
    const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
    const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
    context.drawImage(image, 0, 0);
    const counts = new Map();
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    return { colors: counts.size, drawn: 1 - Math.max(...counts.values()) / pixels.length };
  },
}`;

/** The picture that an `img` shows; undefined while it is loaded. */
export function pictureOf(image: Locator): Promise<Picture | undefined> {
  return image.evaluate((img) => (globalThis as unknown as { reader: Reader }).reader.pictureOf(img));
}

/** The SHA-256 of the file that an `img` shows, or an `audio` plays. */
export function digestOf(element: Locator): Promise<string> {
  return element.evaluate((node) => (globalThis as unknown as { reader: Reader }).reader.digestOf(node));
}
