/** Small pictures by `sharp`, which npm may have been unable to install. */
import { encoded, loadSharp, type OpenPicture } from "../../../encode/pictures.ts";

/** Makes pictures of pictures; undefined where it cannot decode one. */
export interface Painter {
  /** WebP, its longer side at most `THUMBNAIL_SIDE`; of a moving picture the first frame. */
  thumbnail(bytes: Uint8Array): Promise<Uint8Array | undefined>;
  /** PNG of the first frame. */
  firstFrame(bytes: Uint8Array): Promise<Uint8Array | undefined>;
}

/** As MLflow's own `compress_image_size`. Source: mlflow/tracking/multimedia.py. */
export const THUMBNAIL_SIDE = 256;
/** A thumbnail that is no larger than this without any loss is one without. */
const SMALL_BYTES = 4096;

/** Undefined if sharp is not there. */
export async function loadPainter(): Promise<Painter | undefined> {
  const open = await loadSharp();
  return open && painterOf(open);
}

function painterOf(open: OpenPicture): Painter {
  return {
    thumbnail: async (bytes) => {
      const size = { width: THUMBNAIL_SIDE, height: THUMBNAIL_SIDE, fit: "inside", withoutEnlargement: true } as const;
      const lossy = await encoded(() => open(bytes).autoOrient().resize(size).webp({ quality: 85 }));
      if (lossy === undefined || lossy.length > SMALL_BYTES) return lossy;
      // Of a few pixels, such as a kernel's weights, lossy colours say nothing.
      const lossless = await encoded(() => open(bytes).autoOrient().resize(size).webp({ lossless: true }));
      return lossless !== undefined && lossless.length <= SMALL_BYTES ? lossless : lossy;
    },
    firstFrame: (bytes) => encoded(() => open(bytes).png()),
  };
}
