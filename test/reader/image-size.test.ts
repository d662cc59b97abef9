import sharp, { type Sharp } from "sharp";
import { expect, test } from "vitest";
import { imageSize } from "../../src/reader/image-size.ts";

const [WIDTH, HEIGHT] = [313, 71];

const picture = (channels: 3 | 4) =>
  sharp({ create: { width: WIDTH, height: HEIGHT, channels, background: { r: 9, g: 99, b: 199, alpha: 0.5 } } });

test.each<readonly [string, Sharp]>([
  ["PNG", picture(4).png()],
  ["JPEG", picture(3).jpeg()],
  ["GIF", picture(3).gif()],
  ["WebP", picture(3).webp()],
  ["WebP with alpha", picture(4).webp()],
  ["lossless WebP", picture(3).webp({ lossless: true })],
  ["WebP with a profile", picture(3).withMetadata().webp()],
])("of a %s is what libvips wrote", async (_name, image) => {
  expect(imageSize(await image.toBuffer())).toMatchObject({ width: WIDTH, height: HEIGHT });
});

test("of a BMP is in its header, whose rows may go from top to bottom", () => {
  const bmp = (header: number) => {
    const bytes = Buffer.alloc(54);
    bytes.write("BM");
    bytes.writeUInt32LE(header, 14);
    return bytes;
  };
  const first = bmp(12);
  first.writeUInt16LE(WIDTH, 18);
  first.writeUInt16LE(HEIGHT, 20);
  const later = bmp(40);
  later.writeInt32LE(WIDTH, 18);
  later.writeInt32LE(-HEIGHT, 22);
  for (const bytes of [first, later]) expect(imageSize(bytes)).toMatchObject({ width: WIDTH, height: HEIGHT });
});

test("is 0 where the header is cut or none that is known", () => {
  for (const bytes of [Buffer.from("BM"), Buffer.from("RIFF\0\0\0\0WEBPVP8 "), Buffer.from("?")])
    expect(imageSize(bytes)).toMatchObject({ width: 0, height: 0 });
});
