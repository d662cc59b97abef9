/** Images and clips that are too large: what is left of them, read back by Pillow. */
import sharp from "sharp";
import { afterEach, describe, expect, test, vi } from "vitest";
import { encodeAudio } from "../../src/backends/mlflow/media/audio.ts";
import { encodeImages } from "../../src/backends/mlflow/media/images.ts";
import type { AudioDatum, Datum, ImagesDatum } from "../../src/reader/datum.ts";
import { imageFormat } from "../../src/reader/plugins/images.ts";
import type { Note } from "../../src/sync/report/note.ts";
import { Tally } from "../../src/sync/report/tally.ts";
import { type LimitOptions, Limits } from "../../src/sync/transform/limits.ts";
import { base, contextOf, fixtureData, hex, pathsOf } from "./media/support.ts";
import { askPython } from "./python.ts";

function imagesOf(tag: string, images: readonly Uint8Array[], step = 5n): ImagesDatum {
  const formatted = images.map((bytes) => ({ bytes, format: imageFormat(bytes) }));
  return { ...base(tag, step), kind: "images", width: 1, height: 1, images: formatted };
}

function audioOf(tag: string, ...sizes: readonly number[]): AudioDatum {
  const clip = (size: number) => ({ bytes: Buffer.alloc(size), contentType: "audio/wav", sampleRate: 8000, label: "" });
  return { ...base(tag), kind: "audio", clips: sizes.map(clip) };
}

/** What nothing makes small but fewer pixels. */
function noise(width: number, height: number, seed = 1) {
  const pixels = Buffer.alloc(width * height * 3);
  for (let i = 0, state = seed; i < pixels.length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    pixels[i] = state >>> 16;
  }
  return sharp(pixels, { raw: { width, height, channels: 3 } });
}

async function movingNoise(): Promise<Buffer> {
  const frames = await Promise.all([1, 2, 3].map((seed) => noise(120, 60, seed).png().toBuffer()));
  return sharp(frames, { join: { animated: true } })
    .gif({ delay: [50, 100, 150], loop: 2 })
    .toBuffer();
}

/** A PNG that claims 100,000 × 100,000 pixels. */
async function bomb(): Promise<Buffer> {
  const png = await noise(40, 40).png().toBuffer();
  png.writeUInt32BE(100_000, 16);
  png.writeUInt32BE(100_000, 20);
  return png;
}

async function limited(options: LimitOptions, ...data: Datum[]) {
  const batch = { data };
  const tally = new Tally();
  const notes: Note[] = [];
  const lines: string[] = [];
  await new Limits(options, (line) => lines.push(line)).apply(batch, tally, notes);
  const skipped = Object.fromEntries([...tally.kinds].map(([kind, each]) => [kind, Object.fromEntries(each.skipped)]));
  return { data: batch.data, skipped, notes, lines };
}

interface Seen {
  readonly format: string;
  readonly size: readonly [width: number, height: number];
  readonly frames: number;
  readonly ms: number;
}

/** The pictures as Pillow decodes them, to their last pixel. */
function seenByPillow(pictures: readonly Uint8Array[]): Seen[] {
  return askPython(
    `
import base64, io
from PIL import Image
answer = []
for data in data:
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    frames, ms = getattr(image, "n_frames", 1), 0
    for i in range(frames):
        image.seek(i)
        image.convert("RGB").load()
        ms += image.info.get("duration", 0)
    answer.append({"format": image.format, "size": image.size, "frames": frames, "ms": ms})
`,
    pictures.map((bytes) => Buffer.from(bytes).toString("base64")),
  ) as Seen[];
}

const bytesOf = (data: readonly Datum[]) =>
  data.flatMap((datum) => (datum.kind === "images" ? datum.images.flatMap((image) => image?.bytes ?? []) : []));

describe("skip", () => {
  const [small, large] = [Buffer.alloc(10), Buffer.alloc(11)];

  test("leaves out what is larger, not what is as large; the others keep their places", async () => {
    const datum = imagesOf("t", [small, large, small]);
    const { data, skipped, notes, lines } = await limited({ maxImageBytes: 10 }, datum);
    expect(skipped).toEqual({});
    expect((data[0] as ImagesDatum).images).toEqual([datum.images[0], undefined, datum.images[2]]);
    expect(pathsOf(await encodeImages(data[0] as ImagesDatum, contextOf()))).toEqual([
      "media/t/5-0.bin",
      "media/t/5-2.bin",
    ]);
    expect(notes).toEqual([
      { code: "oversize", message: expect.stringMatching(/"t".*--max-image-size.*step 5, 11 b/) },
    ]);
    expect(lines).toEqual(["@100 images t step 5: number 1 skipped (11 bytes)"]);
  });

  test("the grid's names do not depend on what is left out", async () => {
    const png = await noise(8, 8).png().toBuffer();
    const more = await noise(40, 40).png().toBuffer();
    const all = pathsOf(await encodeImages(imagesOf("t", [more, png]), contextOf()));
    const { data } = await limited({ maxImageBytes: png.length }, imagesOf("t", [more, png]));
    expect(pathsOf(await encodeImages(data[0] as ImagesDatum, contextOf()))).toEqual(all.slice(2));
  });

  test("counts a value of which nothing is left, and says it once a tag", async () => {
    const large = Buffer.alloc(11);
    const data = [imagesOf("a", [large, large]), imagesOf("a", [large], 6n), imagesOf("b", [large]), imagesOf("c", [])];
    const result = await limited({ maxImageBytes: 10 }, ...data);
    expect(result.data).toEqual([data[3]]);
    expect(result.skipped).toEqual({ images: { "max-image-size": 3 } });
    expect(result.notes).toHaveLength(2);
    expect(result.lines).toHaveLength(4);
  });

  test("clips have a limit of their own", async () => {
    const data = [audioOf("a", 5, 20), audioOf("b", 20), imagesOf("i", [Buffer.alloc(20)])];
    const result = await limited({ maxAudioBytes: 10, oversize: "downscale" }, ...data);
    expect(result.data).toHaveLength(2);
    expect(pathsOf(encodeAudio(result.data[0] as AudioDatum, contextOf()))).toEqual(["audio/a/5-0.wav"]);
    expect(result.skipped).toEqual({ audio: { "max-audio-size": 1 } });
    expect(result.notes.map(({ message }) => message)).toEqual([
      expect.stringContaining('audio "a"'),
      expect.stringContaining('audio "b"'),
    ]);
    const images = await limited({ maxImageBytes: 10 }, ...data);
    expect(images.data).toEqual(data.slice(0, 2));
  });

  test("without a limit nothing is looked at", async () => {
    const data = [imagesOf("a", [Buffer.alloc(1000)]), audioOf("a", 1000)];
    expect(await limited({ oversize: "downscale" }, ...data)).toEqual({ data, skipped: {}, notes: [], lines: [] });
  });
});

describe("downscale", () => {
  test("makes images smaller in their own format, the same each time", async () => {
    const picture = noise(300, 150);
    const pictures = [
      await picture.clone().png().toBuffer(),
      await picture.clone().jpeg().toBuffer(),
      await picture.clone().webp().toBuffer(),
      await movingNoise(),
      // Lying on its side: 150 × 300 for whoever looks at it.
      await picture.clone().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
    ];
    const limit = 6000;
    expect(pictures.every(({ length }) => length > limit)).toBe(true);
    const options = { maxImageBytes: limit, oversize: "downscale" } as const;
    const result = await limited(options, imagesOf("t", pictures));
    expect(result.skipped).toEqual({});
    expect(result.notes).toEqual([{ code: "oversize", message: expect.stringContaining("made smaller") }]);
    const made = bytesOf(result.data);
    for (const { length } of made) {
      expect(length).toBeLessThanOrEqual(limit);
      // Not much smaller than it has to be.
      expect(length).toBeGreaterThan(limit / 4);
    }
    const seen = seenByPillow(made);
    expect(seen.map(({ format, frames, ms }) => [format, frames, ms])).toEqual([
      ["PNG", 1, 0],
      ["JPEG", 1, 0],
      ["WEBP", 1, 0],
      ["GIF", 3, 300],
      ["JPEG", 1, 0],
    ]);
    const ratios = seen.map(({ size: [width, height] }) => Math.round((4 * width) / height) / 4);
    expect(ratios).toEqual([2, 2, 2, 2, 0.5]);
    const again = bytesOf((await limited(options, imagesOf("t", pictures))).data);
    expect(again.map(hex)).toEqual(made.map(hex));
  });

  test("leaves what fits as it is, and leaves out what cannot be made to fit", async () => {
    const png = await noise(20, 20).png().toBuffer();
    const gif = await movingNoise();
    const large = (text: string) => Buffer.from(text.padEnd(3000, " "));
    const bmp = Buffer.alloc(3000);
    bmp.write("BM");
    const hopeless = [await bomb(), large("<svg xmlns='http://www.w3.org/2000/svg'/>"), bmp, large("text")];
    const cut = (await noise(60, 60).png().toBuffer()).subarray(0, 3000);
    const { data, skipped, notes } = await limited(
      { maxImageBytes: png.length, oversize: "downscale" },
      imagesOf("fits", [png]),
      ...hopeless.map((bytes, i) => imagesOf(`no ${i}`, [bytes])),
      imagesOf("cut", [cut]),
    );
    expect(data.map(({ tag }) => tag)).toEqual(["fits", "cut"]);
    expect((data[0] as ImagesDatum).images[0]?.bytes).toBe(png);
    expect(skipped).toEqual({ images: { "max-image-size": 4 } });
    expect(notes.filter(({ message }) => message.includes("cannot be made smaller"))).toHaveLength(4);
    // No picture of three frames takes 50 bytes.
    const tiny = await limited({ maxImageBytes: 50, oversize: "downscale" }, imagesOf("gif", [gif, png]));
    expect([tiny.data, tiny.skipped]).toEqual([[], { images: { "max-image-size": 1 } }]);
  });

  test("of what real writers wrote, all that is left is small and a picture", async () => {
    const limit = 150;
    const fixtures = await fixtureData("images");
    const { data, skipped } = await limited({ maxImageBytes: limit, oversize: "downscale" }, ...fixtures);
    const before = bytesOf(fixtures);
    const made = bytesOf(data).filter((bytes) => !before.includes(bytes));
    expect(made.length).toBeGreaterThan(3);
    for (const bytes of bytesOf(data)) expect(bytes.length).toBeLessThanOrEqual(limit);
    expect(seenByPillow(made)).toHaveLength(made.length);
    const out = skipped["images"]?.["max-image-size"] ?? 0;
    expect(data.length + out).toBe(fixtures.length);
  });

  describe("without sharp", () => {
    afterEach(() => {
      vi.doUnmock("sharp");
      vi.resetModules();
    });

    test("leaves images out, and says why", async () => {
      const png = await noise(20, 20).png().toBuffer();
      vi.resetModules();
      vi.doMock("sharp", () => {
        throw new Error("not installed");
      });
      const { Limits } = await import("../../src/sync/transform/limits.ts");
      const notes: Note[] = [];
      const batch: { data: Datum[] } = { data: [imagesOf("t", [png])] };
      await new Limits({ maxImageBytes: 10, oversize: "downscale" }).apply(batch, new Tally(), notes);
      expect(batch.data).toEqual([]);
      expect(notes).toEqual([{ code: "oversize", message: expect.stringContaining("sharp") }]);
    });
  });
});
