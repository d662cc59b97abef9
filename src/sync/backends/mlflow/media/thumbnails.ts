/** Small pictures by `sharp`, which npm may have been unable to install. */
import { encoded, loadSharp, type OpenPicture } from "../../../pictures.ts";

/** Makes pictures of pictures; undefined where it cannot decode one. */
export interface Painter {
  /** WebP, its longer side at most `THUMBNAIL_SIDE`; of a moving picture the first frame. */
  thumbnail(bytes: Uint8Array): Promise<Uint8Array | undefined>;
  /** PNG of the first frame. */
  firstFrame(bytes: Uint8Array): Promise<Uint8Array | undefined>;
}

/** As MLflow's own `compress_image_size`. Source: mlflow/tracking/multimedia.py. */
export const THUMBNAIL_SIDE = 256;

/** Undefined if sharp is not there. */
export async function loadPainter(): Promise<Painter | undefined> {
  const open = await loadSharp();
  return open && painterOf(open);
}

function painterOf(open: OpenPicture): Painter {
  return {
    thumbnail: (bytes) => {
      const size = { width: THUMBNAIL_SIDE, height: THUMBNAIL_SIDE, fit: "inside", withoutEnlargement: true } as const;
      return encoded(() => open(bytes).autoOrient().resize(size).webp({ quality: 85 }));
    },
    firstFrame: (bytes) => encoded(() => open(bytes).png()),
  };
}
