/** `sharp`, which npm may have been unable to install, within bounds. */
import type { Sharp, SharpOptions } from "sharp";

/** An image of more pixels is not decoded: 1 MB of PNG can stand for any number of them. */
export const MAX_PIXELS = 100_000_000;
const MAX_SECONDS = 30;

/** @param options `animated`: all frames of a moving picture, which else is its first one */
export type OpenPicture = (bytes: Uint8Array, options?: { readonly animated?: boolean }) => Sharp;

let opener: Promise<OpenPicture | undefined> | undefined;

/** Undefined if sharp is not there. */
export function loadSharp(): Promise<OpenPicture | undefined> {
  opener ??= import("sharp").then(
    ({ default: sharp }: { readonly default: SharpModule }) => {
      // No image is decoded twice.
      sharp.cache(false);
      // What is cut or has a wrong checksum is shown as far as it goes, as browsers do.
      return (bytes, options) => sharp(bytes, { ...options, limitInputPixels: MAX_PIXELS, failOn: "none" });
    },
    () => undefined,
  );
  return opener;
}

interface SharpModule {
  (bytes: Uint8Array, options: SharpOptions): Sharp;
  cache(options: boolean): unknown;
}

/** The picture's bytes; undefined if it cannot be made, be it too large or damaged or no picture at all. */
export async function encoded(picture: () => Sharp): Promise<Uint8Array | undefined> {
  try {
    return await picture().timeout({ seconds: MAX_SECONDS }).toBuffer();
  } catch {
    // sharp has one kind of error for all.
    return undefined;
  }
}
