/** Images: names that MLflow's page can parse, originals untouched, thumbnails that decode. */

import sharp from "sharp";
import { describe, expect, test } from "vitest";
import type { Artifact } from "../../../src/backends/artifacts/artifact.ts";
import { encodeImages } from "../../../src/backends/mlflow/media/images.ts";
import type { ImageFormat, ImagesDatum } from "../../../src/reader/datum.ts";
import { imageFormat } from "../../../src/reader/plugins/images.ts";
import { askPython } from "../python.ts";
import { base, contextOf, fixtureData, hex, pathsOf } from "./support.ts";

/** `imagesByRunUuid` of MLflow 3.17's page, as far as it reads names. */
function parsedByPage(path: string) {
  const name = path.slice("images/".length);
  const extension = name.split(".").pop() as string;
  const stem = name.slice(0, -(extension.length + 1));
  const separator = ["%", "+"].find((candidate) => stem.includes(candidate));
  if (separator === undefined) throw new Error(`incorrect filename format: ${path}`);
  const [key = "", step, at, timestamp, ms] = stem.split(separator);
  if (step !== "step" || timestamp !== "timestamp") throw new Error(`failed to parse: ${path}`);
  const isCompressed = stem.endsWith("compressed");
  return {
    key: key.replace(/[~#]/g, "/"),
    step: Number.parseInt(at as string, 10),
    timestamp: Number.parseInt(ms as string, 10),
    fileKey: isCompressed ? stem.slice(0, -11) : stem,
    extension,
    isCompressed,
  };
}

/** What the grid would show; throws where the real one would hide everything. */
function gridOf(artifacts: readonly Artifact[]) {
  const cells = new Map<string, { key: string; step: number; timestamp: number; full?: Artifact; small?: Artifact }>();
  for (const artifact of artifacts.filter(({ path }) => path.startsWith("images/"))) {
    const { fileKey, isCompressed, extension, ...shown } = parsedByPage(artifact.path);
    expect(["png", "webp"]).toContain(extension);
    cells.set(fileKey, { ...shown, ...cells.get(fileKey), [isCompressed ? "small" : "full"]: artifact });
  }
  for (const cell of cells.values()) expect(cell).toMatchObject({ full: {}, small: {} });
  return [...cells.values()];
}

function imagesOf(tag: string, images: readonly Uint8Array[], step = 5n): ImagesDatum {
  const formatted = images.map((bytes) => ({ bytes, format: imageFormat(bytes) }));
  return { ...base(tag, step), kind: "images", width: 1, height: 1, images: formatted };
}

function picture(width: number, height: number, background = "red") {
  return sharp({ create: { width, height, channels: 3, background } });
}

async function movingGif(): Promise<Buffer> {
  const frames = await Promise.all(["red", "lime", "blue"].map((color) => picture(20, 10, color).png().toBuffer()));
  return sharp(frames, { join: { animated: true } })
    .gif()
    .toBuffer();
}

describe("images", () => {
  test("two files each, in the grid under the tag", async () => {
    const png = await picture(600, 300).png().toBuffer();
    const artifacts = await encodeImages(imagesOf("Val/input", [png]), contextOf());
    expect(pathsOf(artifacts)).toEqual([
      expect.stringMatching(
        /^images\/Val~input\+step\+5\+timestamp\+1700000000250\+[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.png$/,
      ),
      expect.stringMatching(/\+compressed\.webp$/),
    ]);
    const [cell] = gridOf(artifacts);
    expect(cell).toMatchObject({ key: "Val/input", step: 5, timestamp: 1_700_000_000_250 });
    expect(cell?.full?.bytes).toBe(artifacts[0]?.bytes);
    expect(hex(artifacts[0]?.bytes as Uint8Array)).toBe(hex(png));
  });

  test("the same again has the same names; anything else has others", async () => {
    const png = await picture(4, 4).png().toBuffer();
    const names = async (tag: string, step: bigint, source: string) =>
      pathsOf(await encodeImages(imagesOf(tag, [png, png], step), contextOf(source)));
    expect(await names("a", 1n, "x")).toEqual(await names("a", 1n, "x"));
    const uuids = (
      await Promise.all([names("a", 1n, "x"), names("a", 2n, "x"), names("b", 1n, "x"), names("a", 1n, "y")])
    )
      .flat()
      .map((path) => /\+([0-9a-f-]{36})/.exec(path)?.[1]);
    expect(new Set(uuids).size).toBe(8);
  });

  test("several of a step have a key each; steps may be negative or huge", async () => {
    const png = await picture(4, 4).png().toBuffer();
    const grid = gridOf(await encodeImages(imagesOf("t", [png, png, png], -(2n ** 63n)), contextOf()));
    expect(grid.map(({ key }) => key)).toEqual(["t/0", "t/1", "t/2"]);
    expect(grid[0]?.step).toBe(-(2 ** 63));
  });

  test("every format, with sharp and without", async () => {
    const image = picture(300, 20);
    const bmp = Buffer.alloc(54 + 4);
    bmp.write("BM");
    bmp.writeUInt32LE(bmp.length, 2);
    for (const [value, at] of [
      [54, 10],
      [40, 14],
      [1, 18],
      [1, 22],
    ] as const)
      bmp.writeUInt32LE(value, at);
    bmp.writeUInt16LE(1, 26);
    bmp.writeUInt16LE(24, 28);
    const png = await image.clone().png().toBuffer();
    const bytes: Readonly<Record<string, Uint8Array>> = {
      png,
      jpeg: await image.clone().jpeg().toBuffer(),
      webp: await image.clone().webp().toBuffer(),
      gif: await image.clone().gif().toBuffer(),
      moving: await movingGif(),
      bmp,
      svg: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="3" height="3"/>'),
      empty: new Uint8Array(),
      text: Buffer.from("no image"),
      cut: png.subarray(0, png.length - 20),
      "only a head": png.subarray(0, 20),
      "a bomb": bombOf(png),
    };
    const endings = async (painter: null | undefined) => {
      const result: Record<string, string[]> = {};
      for (const [name, data] of Object.entries(bytes)) {
        const artifacts = await encodeImages(imagesOf("t", [data]), contextOf(), painter);
        gridOf(artifacts);
        result[name] = pathsOf(artifacts).map((path) => path.replace(/\/.*?(?=(\+compressed)?\.[a-z]+$)/, "/"));
        // The original is there, whatever becomes of it.
        expect(artifacts.some((artifact) => hex(artifact.bytes) === hex(data))).toBe(true);
      }
      return result;
    };
    const inGrid = ["images/.png", "images/+compressed.webp"];
    expect(await endings(undefined)).toEqual({
      png: inGrid,
      jpeg: inGrid,
      webp: ["images/.webp", "images/+compressed.webp"],
      gif: inGrid,
      moving: [...inGrid, "videos/.gif"],
      bmp: ["images/.png", "images/+compressed.png"],
      svg: ["media/.svg"],
      empty: ["media/.bin"],
      text: ["media/.bin"],
      cut: inGrid,
      "only a head": ["media/.png"],
      "a bomb": ["media/.png"],
    });
    expect(await endings(null)).toEqual({
      png: ["images/.png", "images/+compressed.png"],
      jpeg: ["media/.jpg"],
      webp: ["media/.webp"],
      gif: ["media/.gif"],
      moving: ["videos/.gif"],
      bmp: ["images/.png", "images/+compressed.png"],
      svg: ["media/.svg"],
      empty: ["media/.bin"],
      text: ["media/.bin"],
      cut: ["media/.png"],
      "only a head": ["media/.png"],
      "a bomb": ["media/.png"],
    });
  });

  test("thumbnails decode elsewhere, and are small", async () => {
    const sizes = [
      [600, 300],
      [10, 2000],
      [256, 256],
      [3, 5],
    ] as const;
    const artifacts: Artifact[] = [];
    for (const [width, height] of sizes) {
      const png = await picture(width, height).png().toBuffer();
      artifacts.push(...(await encodeImages(imagesOf("t", [png]), contextOf())));
    }
    const thumbnails = artifacts.filter(({ path }) => path.endsWith(".webp"));
    const seen = askPython(
      `
import base64, io
from PIL import Image
answer = []
for data in data:
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    answer.append([image.format, image.width, image.height, image.convert("RGB").getpixel((0, 0))[0] > 240])
`,
      thumbnails.map(({ bytes }) => Buffer.from(bytes).toString("base64")),
    );
    expect(seen).toEqual([
      ["WEBP", 256, 128, true],
      ["WEBP", 1, 256, true],
      ["WEBP", 256, 256, true],
      ["WEBP", 3, 5, true],
    ]);
  });

  test("a moving GIF is its first frame in the grid", async () => {
    const artifacts = await encodeImages(imagesOf("v", [await movingGif()]), contextOf());
    const still = await sharp(artifacts[0]?.bytes).raw().toBuffer({ resolveWithObject: true });
    expect([still.info.width, still.info.height, still.data[0], still.data[1]]).toEqual([20, 10, 255, 0]);
  });

  test("all of the fixtures", async () => {
    const context = contextOf();
    const artifacts: Artifact[] = [];
    const formats = new Set<ImageFormat>();
    for (const datum of await fixtureData("images")) {
      artifacts.push(...(await encodeImages(datum, context)));
      for (const image of datum.images) if (image !== undefined) formats.add(image.format);
    }
    expect(gridOf(artifacts).length).toBeGreaterThan(10);
    expect(formats.size).toBeGreaterThan(2);
    expect(pathsOf(artifacts).filter((path) => path.startsWith("videos/")).length).toBeGreaterThan(0);
  });
});

/** A PNG that claims 100,000 × 100,000 pixels. */
function bombOf(png: Buffer): Buffer {
  const bomb = Buffer.from(png);
  bomb.writeUInt32BE(100_000, 16);
  bomb.writeUInt32BE(100_000, 20);
  return bomb;
}
