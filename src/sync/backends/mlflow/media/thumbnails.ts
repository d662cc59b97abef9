/** Small pictures by `sharp`, which npm may have been unable to install. */
import type { Sharp, SharpOptions } from "sharp";

/** Makes pictures of pictures; undefined where it cannot decode one. */
export interface Painter {
  /** WebP, its longer side at most `THUMBNAIL_SIDE`; of a moving picture the first frame. */
  thumbnail(bytes: Uint8Array): Promise<Uint8Array | undefined>;
  /** PNG of the first frame. */
  firstFrame(bytes: Uint8Array): Promise<Uint8Array | undefined>;
}

/** As MLflow's own `compress_image_size`. Source: mlflow/tracking/multimedia.py. */
export const THUMBNAIL_SIDE = 256;
/** An image of more pixels is not decoded: 1 MB of PNG can stand for any number of them. */
export const MAX_PIXELS = 100_000_000;
const MAX_SECONDS = 30;

let painter: Promise<Painter | undefined> | undefined;

/** Undefined if sharp is not there. */
export function loadPainter(): Promise<Painter | undefined> {
  painter ??= import("sharp").then(
    ({ default: sharp }) => {
      // No image is decoded twice.
      sharp.cache(false);
      return painterOf(sharp);
    },
    () => undefined,
  );
  return painter;
}

function painterOf(sharp: (bytes: Uint8Array, options: SharpOptions) => Sharp): Painter {
  // What is cut or has a wrong checksum is shown as far as it goes, as browsers do.
  const open = (bytes: Uint8Array) => sharp(bytes, { limitInputPixels: MAX_PIXELS, failOn: "none" });
  return {
    thumbnail: (bytes) => {
      const size = { width: THUMBNAIL_SIDE, height: THUMBNAIL_SIDE, fit: "inside", withoutEnlargement: true } as const;
      return encoded(() => open(bytes).autoOrient().resize(size).webp({ quality: 85 }));
    },
    firstFrame: (bytes) => encoded(() => open(bytes).png()),
  };
}

async function encoded(image: () => Sharp): Promise<Uint8Array | undefined> {
  try {
    return await image().timeout({ seconds: MAX_SECONDS }).toBuffer();
  } catch {
    // sharp has one kind of error for all; whatever it is, there is no thumbnail.
    return undefined;
  }
}
