/** How large an encoded image is, as its own header says. */

interface Size {
  /** Pixels; 0 where the header does not tell. */
  readonly width: number;
  readonly height: number;
  /** `colorspace` of `Summary.Image`: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. */
  readonly channels: number;
}

/** PNG's colour types; 3, a palette, is of RGB. */
const PNG_CHANNELS = [1, 0, 3, 3, 2, 0, 4];

/** The size of a PNG, GIF or JPEG; of other formats TensorBoard shows the image all the same. */
export function imageSize(bytes: Uint8Array): Size {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  try {
    if (view.getUint32(0) === 0x89504e47) {
      const channels = PNG_CHANNELS[view.getUint8(25)] ?? 3;
      return { width: view.getUint32(16), height: view.getUint32(20), channels };
    }
    if (view.getUint32(0) === 0x47494638) {
      return { width: view.getUint16(6, true), height: view.getUint16(8, true), channels: 3 };
    }
    if (view.getUint16(0) === 0xffd8) return jpegSize(view);
  } catch (error) {
    // Shorter than a header: the image is damaged, and who shows it will say so.
    if (!(error instanceof RangeError)) throw error;
  }
  return { width: 0, height: 0, channels: 3 };
}

/** From the frame's header, which stands behind other segments. @throws RangeError at the end of the bytes */
function jpegSize(view: DataView): Size {
  for (let at = 2; ; at += 2 + view.getUint16(at + 2)) {
    // Any number of fill bytes may stand before a marker.
    while (view.getUint8(at + 1) === 0xff) at++;
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) {
      return { height: view.getUint16(at + 5), width: view.getUint16(at + 7), channels: view.getUint8(at + 9) };
    }
  }
}
