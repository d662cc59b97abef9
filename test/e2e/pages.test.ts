/**
 * The pages in a real browser, in the frame that MLflow puts them into: a blob in an iframe that may run scripts and
 * nothing else.
 */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { type Browser, type BrowserContextOptions, type Frame, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { customScalarsPage } from "../../src/encode/pages/custom-scalars-page.ts";
import { type GraphNode, graphPage } from "../../src/encode/pages/graph-page.ts";
import { histogramPage } from "../../src/encode/pages/histogram-page.ts";
import { prCurvePage } from "../../src/encode/pages/pr-curve-page.ts";
import { textPage } from "../../src/encode/pages/text-page.ts";
import { bells, curves, HOSTILE, layout, network, oddHistograms, scalars, texts } from "../pages/samples.ts";
import { childrensCpuTime } from "../support/cpu-time.ts";
import { chromiumIsMissing, HOW_TO_GET_CHROMIUM, launchChromium } from "./support/chromium.ts";

test("Chromium is there", ({ skip }) => {
  if (chromiumIsMissing && process.env["CI"] !== "true") skip(HOW_TO_GET_CHROMIUM);
  expect(chromiumIsMissing, HOW_TO_GET_CHROMIUM).toBe(false);
});

/** A page as MLflow shows it, and all it did that it should not. */
interface Shown {
  readonly page: Page;
  readonly frame: Frame;
  readonly trouble: string[];
  /** How many colours the picture of an element has. */
  colors(selector: string): Promise<number>;
  close(): Promise<void>;
}

describe.skipIf(chromiumIsMissing)("in a sandboxed frame", () => {
  let browser: Browser;
  let server: Server;
  let origin: string;
  const pages = new Map<string, string>();

  beforeAll(async () => {
    browser = await launchChromium();
    server = createServer((request, response) => {
      const inner = pages.get(request.url ?? "");
      response.setHeader(
        "content-type",
        inner === undefined ? "text/html; charset=utf-8" : "text/plain; charset=utf-8",
      );
      response.end(inner ?? OUTER);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  async function show(content: string, options: BrowserContextOptions = {}): Promise<Shown> {
    const inner = `/inner/${pages.size}`;
    pages.set(inner, content);
    const context = await browser.newContext({ viewport: { width: 1000, height: 800 }, ...options });
    const page = await context.newPage();
    const trouble: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") trouble.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => trouble.push(`error: ${error.message}`));
    page.on("dialog", (dialog) => {
      trouble.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("popup", (popup) => trouble.push(`popup: ${popup.url()}`));
    page.on("request", (request) => {
      const url = request.url();
      if (
        url !== `${origin}/#${inner}` &&
        url !== `${origin}/` &&
        url !== `${origin}${inner}` &&
        !url.startsWith("blob:")
      )
        trouble.push(`request: ${url.slice(0, 100)}`);
    });
    await page.goto(`${origin}/#${inner}`);
    await page.waitForFunction("document.querySelector('iframe')?.dataset.loaded === 'yes'");
    const frame = page.frames()[1] as Frame;
    await settled(frame);
    return {
      page,
      frame,
      trouble,
      colors: async (selector) => {
        const png = await frame.locator(selector).first().screenshot();
        return (await page.evaluate(`${COUNT_COLORS}("${png.toString("base64")}")`)) as number;
      },
      close: () => context.close(),
    };
  }

  /** Shows a page, hands it to the script, and expects that it did nothing wrong. */
  async function using(
    content: string,
    script: (shown: Shown) => Promise<void>,
    options?: BrowserContextOptions,
  ): Promise<void> {
    const shown = await show(content, options);
    try {
      await script(shown);
      expect(shown.trouble).toEqual([]);
      expect(await shown.frame.evaluate("window.pwned === undefined && location.protocol === 'blob:'")).toBe(true);
      expect(await shown.page.evaluate("window.pwned === undefined")).toBe(true);
    } finally {
      await shown.close();
    }
  }

  const picture = (frame: Frame, selector: string) => frame.locator(selector).first().screenshot();

  test("the frame has no origin", () =>
    using(textPage("t", texts()), async ({ frame }) => {
      expect(await frame.evaluate("self.origin")).toBe("null");
    }));

  describe("histograms", () => {
    test("offset, overlay and distribution are pictures, and not the same", () =>
      using(histogramPage("layer/kernel", bells(40)), async ({ frame, colors }) => {
        expect(await colors(".picture")).toBeGreaterThan(30);
        const offset = await picture(frame, ".picture");
        await frame.getByRole("radio", { name: "Overlay" }).check();
        await settled(frame);
        expect(await colors(".picture")).toBeGreaterThan(30);
        expect(offset.equals(await picture(frame, ".picture"))).toBe(false);
        await frame.getByRole("radio", { name: "Distribution" }).check();
        await settled(frame);
        expect(await frame.locator(".picture").isVisible()).toBe(false);
        expect(await colors(".plot canvas")).toBeGreaterThan(10);
      }));

    test("each axis is another picture", () => {
      const uneven = bells(20).map((step, i) => ({ ...step, wallTime: 1.7e9 + i ** 3 }));
      return using(histogramPage("t", uneven), async ({ frame }) => {
        const seen = new Set<string>();
        for (const view of ["Histogram", "Distribution"]) {
          await frame.getByRole("radio", { name: view }).check();
          for (const axis of ["Step", "Relative", "Wall"]) {
            await frame.getByRole("radio", { name: axis }).check();
            await settled(frame);
            seen.add((await picture(frame, "main")).toString("base64"));
          }
        }
        expect(seen.size).toBe(6);
      });
    });

    test("mouse and keys show a bin", () =>
      using(histogramPage("t", bells(40)), async ({ frame }) => {
        const tip = frame.locator(".tip");
        await frame.locator(".picture canvas").hover({ position: { x: 400, y: 300 } });
        expect(await tip.innerText()).toMatch(
          /step\s+\d+\s+time\s+2023-11-14 [\d:.]+ UTC\s+left\s+\S+\s+right\s+\S+\s+count\s+\S+/,
        );
        await frame.locator(".picture canvas").focus();
        await frame.page().keyboard.press("ArrowUp");
        const before = await tip.innerText();
        await frame.page().keyboard.press("ArrowUp");
        expect(await tip.innerText()).not.toBe(before);
      }));

    test("survive anything", async () => {
      const constant = [{ step: 1n, wallTime: 1, buckets: Float64Array.of(7, 7, 3) }];
      const wide = [{ step: 1n, wallTime: 1, buckets: Float64Array.of(-1e300, 0, 3, 0, 1e300, 3) }, ...bells(2)];
      for (const series of [[], oddHistograms(), constant, wide, oddHistograms().slice(0, 1)]) {
        await using(histogramPage("odd", series), async ({ frame }) => {
          if ((await frame.getByRole("radio").count()) === 0) {
            expect(await frame.locator("main").innerText()).toContain("no values");
            return;
          }
          await frame.getByRole("radio", { name: "Distribution" }).check();
          await settled(frame);
          await frame.getByRole("radio", { name: "Wall" }).check();
          await settled(frame);
        });
      }
    });
  });

  test("precision-recall: the slider changes the curve, the mouse shows a threshold", () =>
    using(prCurvePage("pr", curves(8)), async ({ frame, colors }) => {
      expect(await colors(".picture")).toBeGreaterThan(10);
      const last = await picture(frame, ".picture");
      const slider = frame.getByRole("slider", { name: "Step" });
      expect(await frame.locator("output").innerText()).toMatch(/^70/);
      await slider.fill("0");
      await settled(frame);
      expect(await frame.locator("output").innerText()).toMatch(/^0/);
      expect(last.equals(await picture(frame, ".picture"))).toBe(false);
      await slider.press("ArrowRight");
      expect(await frame.locator("output").innerText()).toMatch(/^10/);
      await frame.locator(".picture canvas").hover({ position: { x: 400, y: 100 } });
      const tip = await frame.locator(".tip").innerText();
      for (const word of ["threshold", "precision", "recall", "TP", "FP", "TN", "FN"]) expect(tip).toContain(word);
    }));

  test("text: Markdown and tables", () =>
    using(textPage("notes", texts()), async ({ frame }) => {
      expect(await frame.locator("article").count()).toBe(4);
      expect(await frame.locator("table").count()).toBe(5);
      expect(await frame.locator("strong").innerText()).toBe("AdamW");
    }));

  describe("graph", () => {
    const boxes = (frame: Frame) => frame.locator("svg .item").count();

    test("unfolds and folds, by mouse and by key", () =>
      using(graphPage("g", network(6)), async ({ frame, colors }) => {
        expect(await colors("svg")).toBeGreaterThan(10);
        expect(await boxes(frame)).toBe(7);
        await frame.getByRole("button", { name: "net, scope" }).click();
        expect(await boxes(frame)).toBe(13);
        await frame.getByRole("button", { name: "layer_2, scope" }).focus();
        await frame.page().keyboard.press("Enter");
        expect(await boxes(frame)).toBe(16);
        await frame.page().keyboard.press("Enter");
        expect(await boxes(frame)).toBe(13);
        await frame.getByRole("button", { name: "Fold all" }).click();
        expect(await boxes(frame)).toBe(7);
      }));

    test("is moved, zoomed and searched", () =>
      using(graphPage("g", network(6)), async ({ page, frame }) => {
        const transform = () => frame.locator("svg > g").getAttribute("transform");
        const seen = [await transform()];
        await frame.locator("svg").hover();
        await page.mouse.wheel(0, -200);
        seen.push(await transform());
        await page.mouse.down();
        await page.mouse.move(100, 100, { steps: 3 });
        await page.mouse.up();
        seen.push(await transform());
        await frame.getByRole("button", { name: "Fit" }).click();
        expect(await transform()).toBe(seen[0]);
        expect(new Set(seen).size).toBe(3);
        await frame.getByRole("searchbox").fill("layer_4/dense/matmul");
        await frame.getByRole("searchbox").press("Enter");
        expect(await frame.locator(".panel h2").innerText()).toBe("net/layer_4/dense/MatMul");
        await frame.locator(".panel .link").filter({ hasText: "net/layer_4/dense/weight" }).click();
        expect(await frame.locator(".panel h2").innerText()).toBe("net/layer_4/dense/weight");
      }));

    test.each([
      ["in scopes", network(1000)],
      ["without scopes", flat(5000)],
      ["in one scope", flat(5000).map((node) => ({ ...node, name: `one/${node.name}` }))],
      ["all linked to all", dense(5000)],
      [
        "of one stem",
        flat(5000).map((node, i) => ({ ...node, name: `op_${i}`, inputs: i > 0 ? [`op_${i - 1}`] : [] })),
      ],
    ] as const)("of 5000 nodes %s is there at once, and each step too", async (_, nodes) => {
      const drawn = childrensCpuTime();
      await using(graphPage("g", nodes), async ({ frame }) => {
        expect(drawn()).toBeLessThan(10_000);
        for (let i = 0; i < 3; i++) {
          const folded = frame.locator('svg .item[aria-expanded="false"]').first();
          if ((await folded.count()) === 0) break;
          const before = await boxes(frame);
          const unfolded = childrensCpuTime();
          await folded.focus();
          await frame.page().keyboard.press("Enter");
          expect(await boxes(frame)).toBeGreaterThan(before);

          expect(unfolded()).toBeLessThan(5000);
        }
        const last = nodes[4999]?.name as string;
        await frame.getByRole("searchbox").fill(last);
        await frame.getByRole("searchbox").press("Enter");
        expect(await frame.locator(".panel h2").innerText()).toBe(last);
      });
    });

    test("names that are scopes too, doubled, empty, or end in a slash", () => {
      const names = [
        "a/b/c",
        "a/b",
        "a",
        "a/b/c/d",
        "",
        "",
        "/",
        "//",
        "x",
        "x",
        "x/",
        "a/",
        "/a",
        "y".repeat(5000),
        "s/".repeat(500),
      ];
      const nodes = names.map((name, i) => ({
        name,
        op: "Op",
        inputs: [names[(i + 1) % names.length] as string, name],
        device: "",
      }));
      return using(graphPage("g", nodes), async ({ frame }) => {
        for (let i = 0; i < 60; i++) {
          const folded = frame.locator('svg .item[aria-expanded="false"]').first();
          if ((await folded.count()) === 0) break;
          await folded.focus();
          await frame.page().keyboard.press("Enter");
        }
        expect(await frame.locator("svg .item:not([aria-expanded])").count()).toBe(names.length);
      });
    });
  });

  test("custom scalars: charts of the open categories, the others on demand", () =>
    using(customScalarsPage("layout", layout(), scalars()), async ({ frame, colors }) => {
      expect(await frame.locator(".uplot").count()).toBe(2);
      expect(await colors(".uplot canvas")).toBeGreaterThan(10);
      await frame.locator("summary").filter({ hasText: "Accuracy" }).click();
      await settled(frame);
      expect(await frame.locator(".uplot").count()).toBe(3);
    }));

  const ordinary: readonly (readonly [string, () => string, string])[] = [
    ["histogram", () => histogramPage("t", bells(20)), ".picture"],
    ["precision-recall", () => prCurvePage("t", curves(4)), ".picture"],
    ["text", () => textPage("t", texts()), "article"],
    ["graph", () => graphPage("t", network(6)), "svg"],
    ["custom scalars", () => customScalarsPage("t", layout(), scalars()), ".card"],
  ];

  test.each(ordinary)("%s: dark is another picture, also when it becomes dark later", async (_, make, selector) => {
    const pictures: Buffer[] = [];
    await using(make(), async ({ page, frame }) => {
      pictures.push(await picture(frame, selector));
      await page.emulateMedia({ colorScheme: "dark" });
      await settled(frame);
      pictures.push(await picture(frame, selector));
    });
    await using(make(), async ({ frame }) => void pictures.push(await picture(frame, selector)), {
      colorScheme: "dark",
    });
    expect(pictures[0]?.equals(pictures[1] as Buffer)).toBe(false);
    expect(pictures[1]?.equals(pictures[2] as Buffer)).toBe(true);
  });

  test.each(ordinary)("%s: nothing sticks out at 600 px", (_, make) =>
    using(
      make(),
      async ({ frame }) => {
        expect(await frame.evaluate("document.documentElement.scrollWidth")).toBeLessThanOrEqual(600);
      },
      { viewport: { width: 600, height: 700 } },
    ),
  );

  test.each(HOSTILE.map((text) => [text]))("a hostile tag or text runs nothing: %.24j", (tag) =>
    using(textPage(tag, [{ step: 1n, wallTime: 1, shape: [], strings: [tag] }]), async () => {}),
  );

  test("hostile texts cut and mixed at random run nothing", async () => {
    const pieces = HOSTILE.flatMap((text) => [text, text.slice(0, text.length / 2), text.slice(text.length / 2)]);
    const glue = [
      "",
      " ",
      "\n",
      "\n\n",
      "`",
      "```\n",
      "|",
      "](",
      ")",
      "<",
      ">",
      "&lt;",
      '"',
      "'",
      "\\",
      "\0",
      "\u2028",
      "- ",
    ];
    const anyText = fc
      .array(fc.oneof(fc.constantFrom(...pieces), fc.constantFrom(...glue), fc.string({ maxLength: 3 })), {
        maxLength: 9,
      })
      .map((parts) => parts.join(""));
    const texts = fc.sample(anyText, { numRuns: 2000, seed: 4242 });
    const one = texts.map((text, i) => ({ step: BigInt(i), wallTime: 1, shape: [], strings: [text] }));
    const table = { step: -1n, wallTime: 1, shape: [texts.length], strings: texts };
    const nodes = texts.slice(0, 300).map((name) => ({ name, op: name, inputs: texts.slice(0, 20), device: name }));
    const series = texts.slice(0, 40).map((tag) => ({ tag, steps: [1, 2], values: [1, 2] }));
    const charts = texts.slice(0, 40).map((text) => ({ title: text, tags: [text], margins: [] }));
    for (const html of [
      textPage(texts.join(""), [...one, table]),
      graphPage(texts.join(""), nodes),
      customScalarsPage(texts.join(""), [{ title: texts.join(""), closed: false, charts }], series),
    ]) {
      await using(html, async ({ frame }) => {
        expect(await frame.locator("main :is(script, img, iframe, form, object, embed)").count()).toBe(0);
      });
    }
  });

  test("hostile texts, graphs and layouts run nothing, whatever is clicked", async () => {
    const strings = [...HOSTILE];
    await using(textPage("t", [{ step: 1n, wallTime: 1, shape: [strings.length], strings }]), async ({ frame }) => {
      const protocols = (await frame.evaluate(
        "[...document.querySelectorAll('a')].map((a) => a.protocol)",
      )) as string[];
      expect(protocols).not.toEqual([]);
      for (const protocol of protocols) expect(protocol).toMatch(/^(https?|mailto):$/);
      expect(await frame.locator("main :is(script, style, img, svg, iframe, form, meta, base, [style])").count()).toBe(
        0,
      );
    });
    const nodes = HOSTILE.map((name) => ({
      name,
      op: name,
      inputs: [...HOSTILE],
      device: name,
      attrs: [[name, name] as const],
    }));
    await using(graphPage("g", nodes), async ({ frame }) => {
      for (let i = 0; i < 40; i++) {
        const folded = frame.locator('svg .item[aria-expanded="false"]').first();
        if ((await folded.count()) === 0) break;
        await folded.focus();
        await frame.page().keyboard.press("Enter");
      }
      for (const item of await frame.locator("svg .item").all()) await item.focus();
      expect(await frame.locator("main :is(script, img, iframe)").count()).toBe(0);
    });
    const series = HOSTILE.map((tag) => ({ tag, steps: [1, 2], values: [1, 2] }));
    const charts = [
      { title: HOSTILE.join(" "), tags: ["."], margins: [] },
      ...HOSTILE.map((text) => ({ title: text, tags: [text], margins: [{ value: text, lower: text, upper: text }] })),
    ];
    const categories = [{ title: HOSTILE.join(" "), closed: false, charts }];
    await using(customScalarsPage("c", categories, series), async ({ frame }) => {
      expect(await frame.locator("main :is(script, img, iframe)").count()).toBe(0);
    });
  });

  test("the policy holds if markup gets through all the same", async () => {
    const evil =
      '<img src=x onerror="window.pwned = 1"><script>window.pwned = 1</script><a id=j href="javascript:window.pwned=1">x</a>';
    const shown = await show(textPage("t", texts()).replace("<main", `${evil}<main`));
    try {
      await shown.frame.locator("#j").click();
      expect(await shown.frame.evaluate("window.pwned === undefined")).toBe(true);
      expect(shown.trouble.filter((text) => /Content Security Policy/.test(text)).length).toBeGreaterThanOrEqual(3);
    } finally {
      await shown.close();
    }
  });
});

/** What MLflow does with an HTML artifact: read it, make a blob of it, show it in a frame that may run scripts. */
const OUTER = `<!doctype html><link rel="icon" href="data:,"><style>body { margin: 0 } iframe { border: 0; width: 100vw; height: 100vh; display: block }</style>
<body><script>
fetch(location.hash.slice(1)).then((response) => response.text()).then((text) => {
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", "allow-scripts");
  frame.onload = () => { frame.dataset.loaded = "yes"; };
  frame.src = URL.createObjectURL(new Blob([text], { type: "text/html" }));
  document.body.append(frame);
});
</script>`;

const COUNT_COLORS = `(async (png) => {
  const bytes = Uint8Array.from(atob(png), (character) => character.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  return new Set(new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer)).size;
})`;

/** A few frames drawn: sizes are observed in one, pictures made in the next. */
async function settled(frame: Frame): Promise<void> {
  await frame.evaluate(`new Promise((resolve) => {
    let frames = 0;
    const next = () => (++frames === 5 ? resolve() : requestAnimationFrame(next));
    next();
  })`);
}

function flat(count: number): GraphNode[] {
  const name = (i: number) => `${["conv", "relu", "pool", "add"][i % 4]}${i}${i % 7 === 0 ? "x" : ""}`;
  return Array.from({ length: count }, (_, i) => {
    const inputs = i > 0 ? [name(i - 1), name(Math.floor(i / 2))] : [];
    return { name: name(i), op: "Op", inputs, device: "" };
  });
}

function dense(count: number): GraphNode[] {
  const name = (i: number) => `s${i % 71}/t${i % 37}/n${i}`;
  return Array.from({ length: count }, (_, i) => {
    const inputs = Array.from({ length: Math.min(i, 15) }, (_, k) => name((i * 31 + k * 977) % i));
    return { name: name(i), op: "Op", inputs, device: "" };
  });
}
