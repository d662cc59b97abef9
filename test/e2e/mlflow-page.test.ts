/**
 * What a user sees in MLflow's own web page, in headless Chromium, of what real writers logged: through a server, and
 * through a database that tracelet wrote and `mlflow server` was then started on.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { cases, type ExpectedRun, type Json } from "../support/expected.ts";
import { chromiumIsMissing, HOW_TO_GET_CHROMIUM, launchChromium } from "./support/chromium.ts";
import { digestOf, type ImageCard, MlflowPage, PATIENCE, type Picture, pictureOf } from "./support/mlflow-page.ts";
import { MlflowServer } from "./support/mlflow-server.ts";
import {
  type ImagesTruth,
  type ImageTruth,
  type Point,
  readImages,
  readTensorBoard,
  writeImages,
} from "./support/python.ts";
import { sync } from "./support/tracelet.ts";

const CASES = ["torch", "tensorboardx", "tf2", "lightning"] as const;
const PLACES = ["a server", "a database"] as const;
const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
/** Of mean colours, 0 to 255: what a thumbnail may be off. */
const TOLERANCE = 20;
/** Pixels; of noise in fewer a lossy thumbnail keeps no more than what it is nearest to. */
const TINY = 32;
/** What is looked at in a database too: the files are made by the same code, only their place is another. */
const IN_DATABASE: ReadonlySet<string> = new Set([
  "torch/scalars",
  "torch/plugins",
  "tensorboardx/all",
  "tf2/media",
  "tf2/hparams/trial-0",
  "lightning/lightning_logs/version_0",
  "pictures/pictures",
]);

test("Chromium is there", ({ skip }) => {
  if (chromiumIsMissing && process.env["CI"] !== "true") skip(HOW_TO_GET_CHROMIUM);
  expect(chromiumIsMissing, HOW_TO_GET_CHROMIUM).toBe(false);
});

describe.skipIf(chromiumIsMissing && process.env["CI"] !== "true")("MLflow's page", () => {
  let workspace: string;
  let browser: Browser;
  /** What TensorBoard's loader reads of each case. */
  const scalars = new Map<string, Awaited<ReturnType<typeof readTensorBoard>>>();
  const images = new Map<string, ImagesTruth>();
  const servers = new Map<string, MlflowServer>();
  /** `<place>/<case>/<run>` → where its page is. */
  const runs = new Map<string, readonly [experimentId: string, runId: string]>();

  const logdirOf = (name: string) =>
    name === "pictures" ? path.join(workspace, "pictures") : path.join(FIXTURES, name, "runs");

  async function prepare(place: string): Promise<void> {
    const folder = path.join(workspace, place.replace("a ", ""));
    const database = path.join(folder, "mlflow.db");
    const embedded = place === "a database";
    const start = async () =>
      void servers.set(place, await MlflowServer.start(database, embedded ? { artifacts: null } : {}));
    if (!embedded) await start();
    const uri = embedded ? `sqlite:///${database}` : (servers.get(place) as MlflowServer).uri;
    const ids = new Map<string, string>();
    for (const name of [...CASES, "pictures"]) {
      const options = [
        "--tracking-uri",
        uri,
        "--experiment",
        name,
        "--restarts",
        "keep",
        "--state-dir",
        path.join(folder, "state"),
      ];
      for (const { name: run, remoteId } of (await sync([logdirOf(name), ...options])).runs)
        if (remoteId !== null) ids.set(`${name}/${run}`, remoteId);
    }
    if (embedded) await start();
    const server = servers.get(place) as MlflowServer;
    for (const [key, id] of ids) {
      const answer = await fetch(`${server.uri}/api/2.0/mlflow/runs/get?run_id=${id}`);
      const { run } = (await answer.json()) as { run: { info: { experiment_id: string } } };
      runs.set(`${place}/${key}`, [run.info.experiment_id, id]);
    }
  }

  beforeAll(async () => {
    workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-page-"));
    await writeImages(logdirOf("pictures"));
    await Promise.all([
      launchChromium().then((launched) => (browser = launched)),
      ...PLACES.map(prepare),
      ...CASES.map(async (name) => scalars.set(name, await readTensorBoard(logdirOf(name)))),
      ...[...CASES, "pictures"].map(async (name) => images.set(name, await readImages(logdirOf(name)))),
    ]);
  });

  afterAll(async () => {
    await browser?.close();
    await Promise.all([...servers.values()].map((server) => server.stop()));
    rmSync(workspace, { recursive: true, force: true });
  });

  describe.each(PLACES)("through %s", (place) => {
    let page: MlflowPage;

    // One for all tests: MLflow's scripts are large.
    beforeAll(async () => {
      page = await MlflowPage.open(browser, (servers.get(place) as MlflowServer).uri);
    });

    afterAll(async () => await page?.close());

    afterEach(() => {
      expect(page.takeTrouble()).toEqual([]);
    });

    const here = <T extends readonly [name: string, run: string, ...rest: unknown[]]>(rows: readonly T[]): T[] =>
      rows.filter(([name, run]) => place === "a server" || IN_DATABASE.has(`${name}/${run}`));

    async function goto(name: string, run: string, tab: "" | "/model-metrics" | "/artifacts"): Promise<void> {
      const [experimentId, runId] = runs.get(`${place}/${name}/${run}`) ?? [];
      if (experimentId === undefined || runId === undefined) throw new Error(`${name}/${run} was not sent`);
      await page.goto(experimentId, runId, tab);
    }

    const overviews = [
      ["torch", "scalars"],
      ["torch", "hparams/by time/1700000010.0"],
      ["torch", "hparams/same directory"],
      ["tensorboardx", "all"],
      ["tensorboardx", "hparams/trial"],
      ["tf2", "scalars"],
      ["tf2", "keras/train"],
      ["tf2", "hparams/trial-0"],
      ["lightning", "lightning_logs/version_0"],
    ] as const;

    test.each(here(overviews))("overview of %s/%s: metrics and params", async (name, run) => {
      await goto(name, run, "");
      const metrics = latest(withParts(scalars.get(name) ?? {}, run));
      expect(Object.keys(metrics).length).toBeGreaterThan(0);
      const shown = async () =>
        Object.fromEntries(Object.entries(await page.table("Metric")).map(([key, value]) => [key, Number(value)]));
      await expect.poll(shown, { timeout: PATIENCE }).toEqual(metrics);
      expect(await page.table("Parameter")).toEqual(paramsOf(name, run));
    });

    const grids = [
      ["torch", "media"],
      ["tensorboardx", "all"],
      ["tf2", "media"],
      ["tf2", "keras/train"],
      ["pictures", "pictures"],
    ] as const;

    test.each(here(grids))("image grid of %s/%s: the right picture at each step", async (name, run) => {
      await goto(name, run, "/model-metrics");
      const expected = byKey(images.get(name)?.[run] ?? {});
      expect(expected.size).toBeGreaterThan(0);
      const keys = async () => (await page.charts()).filter((chart) => expected.has(chart)).sort();
      await expect.poll(keys, { timeout: PATIENCE }).toEqual([...expected.keys()].sort());
      for (const [key, steps] of expected) await expectImages(page.image(key), steps);
    });

    test("audio has a player", async () => {
      for (const [name, run, file] of [
        ["torch", "media", "audio/tone/1-0.wav"],
        ["tensorboardx", "all", "audio/stereo/0-0.wav"],
        ["tf2", "media", "audio/audio/stereo/0-0.wav"],
      ] as const) {
        await goto(name, run, "/artifacts");
        const player = (await page.select(file)).locator("audio");
        const state = () =>
          player.evaluate(({ duration, readyState, controls, error }: Player) => ({
            loaded: readyState >= 2 && error === null,
            lasts: duration > 0,
            controls,
          }));
        await expect.poll(state, { timeout: PATIENCE }).toEqual({ loaded: true, lasts: true, controls: true });
        expect(digests(name, run, "audio")).toContain(await digestOf(player));
      }
    });

    test("a moving GIF plays as an image", async () => {
      for (const [name, run, file, tag] of [
        ["torch", "media", "videos/video/by hand/1-0.gif", "video/by hand"],
        ["tensorboardx", "all", "videos/video/0-0.gif", "video"],
        ["pictures", "pictures", "videos/val/moving/300-0.gif", "val/moving"],
      ] as const) {
        await goto(name, run, "/artifacts");
        // A second one is hidden: it is there while the first is loaded.
        const image = (await page.select(file)).locator("img").filter({ visible: true });
        await expect.poll(() => pictureOf(image), { timeout: PATIENCE }).toBeDefined();
        const source = images.get(name)?.[run]?.[tag]?.at(-1)?.[1][0] as ImageTruth;
        expect((await pictureOf(image))?.size).toEqual(source.size);
        expect(await digestOf(image)).toBe(source.sha256);
      }
    });

    test("text is rendered", async () => {
      await goto("torch", "media", "/artifacts");
      let viewer = await page.select("text/note/text_summary/10.md");
      await viewer.getByRole("heading", { name: "Step 10" }).waitFor();
      await viewer.getByRole("listitem").filter({ hasText: "ünïcode ✓" }).waitFor();
      await goto("tensorboardx", "all", "/artifacts");
      viewer = await page.select("text/note/text_summary/0.md");
      await viewer.getByText("tensorboardX", { exact: true }).waitFor();
      await goto("tf2", "media", "/artifacts");
      viewer = await page.select("text/text/scalar/0.md");
      await viewer.getByRole("heading", { name: "one" }).waitFor();
      viewer = await page.select("text/text/table/0.md");
      for (const cell of ["name", "value", "lr", "0.1"]) await viewer.getByText(cell, { exact: true }).waitFor();
    });

    const everyPage: readonly (readonly [name: string, run: string, kinds: readonly string[]])[] = [
      ["torch", "histograms", ["histograms"]],
      ["torch", "plugins", ["pr_curves", "graphs", "custom_scalars"]],
      ["torch", "media", ["text"]],
      ["tensorboardx", "all", ["histograms", "pr_curves", "graphs", "custom_scalars", "text"]],
      ["tf2", "media", ["histograms", "text"]],
      ["tf2", "plugins", ["pr_curves", "custom_scalars"]],
      ["tf2", "graphs", ["graphs"]],
      ["tf2", "keras/train", ["histograms"]],
      ["lightning", "lightning_logs/version_0", ["graphs"]],
    ];

    test.each(here(everyPage))("pages of %s/%s draw in the artifact viewer: %s", async (name, run, kinds) => {
      await goto(name, run, "/artifacts");
      for (const kind of kinds) {
        const tags = Object.entries(expectedRun(name, run).tags).filter(([, { plugin }]) => plugin === kind);
        expect(tags.length).toBeGreaterThan(0);
        for (const [tag] of tags) {
          const viewer = await page.select(`${kind === "graphs" ? "graph" : kind}/${tag}.html`);
          const { frame, sandbox } = await page.html(viewer);
          expect(sandbox).toBe("allow-scripts");
          await frame.getByRole("heading", { name: tag, exact: true }).first().waitFor();
          const drawing = frame.locator(DRAWINGS[kind] as string).first();
          await drawing.waitFor();
          // The charts are drawn a frame or two after they are there.
          const look = async () => await page.look(drawing);
          await expect.poll(async () => (await look()).colors, { timeout: PATIENCE }).toBeGreaterThan(5);
          expect((await look()).drawn).toBeGreaterThan(0.001);
        }
      }
    });
  });

  /** Each step's thumbnail and original, from the first step to the last by the slider. */
  async function expectImages(card: ImageCard, steps: ReadonlyMap<number, ImageTruth>): Promise<void> {
    const inOrder = [...steps].sort(([a], [b]) => a - b);
    for (const [i, [step, truth]] of inOrder.entries()) {
      await card.moveTo(step);
      // The image of the step before stays until this one is loaded.
      const nearest = async () => {
        const thumbnail = await card.thumbnail();
        if (thumbnail === undefined) return undefined;
        const distances = inOrder.map(([, other]) => distance(thumbnail, other));
        return distances.indexOf(Math.min(...distances));
      };
      await expect.poll(nearest, { timeout: PATIENCE }).toBe(i);
      if (Math.min(...truth.size) >= TINY)
        expect(distance((await card.thumbnail()) as Picture, truth)).toBeLessThan(TOLERANCE);
      const original = await card.original();
      expect(original.size).toEqual(truth.size);
      expect(distance(original, truth)).toBeLessThan(2);
      // Of a moving GIF the grid has the first frame.
      if (!truth.moving) expect(original.sha256).toBe(truth.sha256);
    }
  }
});

/** What MLflow's viewer has for a player, as far as tests look at it. */
interface Player {
  readonly duration: number;
  readonly readyState: number;
  readonly controls: boolean;
  readonly error: unknown;
}

/** What is to be seen on each kind of page; where there is nothing to draw, the sentence that says so. */
const DRAWINGS: { readonly [kind: string]: string } = {
  histograms: "main :is(.picture canvas, .note)",
  pr_curves: ".picture",
  text: "article",
  graphs: "svg",
  custom_scalars: "main :is(.card, .note)",
};

/** The greatest difference of any mean colour, 0 to 255. */
function distance(a: Pick<Picture, "cells">, b: Pick<Picture, "cells">): number {
  expect(a.cells.length).toBe(b.cells.length);
  return Math.max(
    ...a.cells.flatMap((cell, i) => cell.map((value, k) => Math.abs(value - (b.cells[i]?.[k] ?? Number.NaN)))),
  );
}

/** Images by what MLflow calls them: `tag`, or `tag/<i>` where a step has several. */
function byKey(tags: ImagesTruth[string]): Map<string, Map<number, ImageTruth>> {
  const keys = new Map<string, Map<number, ImageTruth>>();
  for (const [tag, steps] of Object.entries(tags)) {
    for (const [step, pictures] of steps) {
      for (const [i, picture] of pictures.entries()) {
        const key = pictures.length > 1 ? `${tag}/${i}` : tag;
        keys.set(key, (keys.get(key) ?? new Map<number, ImageTruth>()).set(step, picture));
      }
    }
  }
  return keys;
}

/** The value of each tag's last point, by step and time. MLflow's page has no line for a metric that ends in NaN. */
function latest(tags: { readonly [tag: string]: readonly Point[] }): { [tag: string]: number } {
  const values = Object.entries(tags).map(([tag, points]): [string, number] => {
    const [last] = points.toSorted((a, b) => Number(b[0]) - Number(a[0]) || Number(b[1]) - Number(a[1]));
    return [tag, Number(last?.[2])];
  });
  return Object.fromEntries(values.filter(([, value]) => !Number.isNaN(value)));
}

function expectedRun(name: string, run: string): ExpectedRun {
  return cases().find((entry) => entry.name === name)?.runs[run] as ExpectedRun;
}

function digests(name: string, run: string, plugin: string): string[] {
  const tags = Object.values(expectedRun(name, run).tags).filter((tag) => tag.plugin === plugin);
  const items = tags.flatMap(({ points }) =>
    points.flatMap(([, , value]) => (value as { items: { sha256: string }[] }).items),
  );
  return items.map(({ sha256 }) => sha256);
}

/** Lightning's stand in its `hparams.yaml`, which keeps types; else what the plugin has, as Python prints it. */
function paramsOf(name: string, run: string): object {
  if (name === "lightning")
    return JSON.parse(readFileSync(path.join(import.meta.dirname, "lightning-params.json"), "utf8")) as object;
  const [session] = expectedRun(name, run).hparams?.["session_start"] ?? [];
  const { hparams = {} } = (session ?? {}) as { hparams?: { [key: string]: Json } };
  return Object.fromEntries(Object.entries(hparams).map(([key, value]) => [key, python(value)]));
}

function python(value: Json): string {
  if (typeof value === "boolean") return value ? "True" : "False";
  if (value === "Infinity") return "inf";
  if (typeof value === "string") return value;
  return Number.isInteger(value) ? `${Number(value)}.0` : JSON.stringify(value);
}

/** A run's points with those of the curves that `add_scalars` keeps in sub-directories: torch's are named `tag_sub`, tensorboardX's `tag/sub`. */
function withParts<T>(
  runs: { readonly [run: string]: { readonly [tag: string]: T } },
  run: string,
): { [tag: string]: T } {
  const all: { [tag: string]: T } = { ...runs[run] };
  for (const [part, tags] of Object.entries(runs)) {
    const [, sub] = new RegExp(`^${run}/losses[_/](.+)$`).exec(part) ?? [];
    if (sub !== undefined) all[`losses/${sub}`] = tags["losses"] as T;
  }
  return all;
}
