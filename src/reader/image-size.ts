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

const [BMP, RIFF, WEBP] = [0x424d, 0x52494646, 0x57454250];

/** The size of a PNG, GIF, JPEG, BMP or WebP; of other formats TensorBoard shows the image all the same. */
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
    if (view.getUint16(0) === BMP) return bmpSize(view);
    if (view.getUint32(0) === RIFF && view.getUint32(8) === WEBP) return webpSize(view);
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

/** A negative height means that the rows go from top to bottom. @throws RangeError at the end of the bytes */
function bmpSize(view: DataView): Size {
  const isFirstVersion = view.getUint32(14, true) === 12;
  const [width, height] = isFirstVersion
    ? [view.getUint16(18, true), view.getUint16(20, true)]
    : [view.getInt32(18, true), view.getInt32(22, true)];
  return { width: Math.max(width, 0), height: Math.abs(height), channels: 3 };
}

/**
 * Source: RFC 9649, 2.5 to 2.7.
 *
 * @throws RangeError at the end of the bytes
 */
function webpSize(view: DataView): Size {
  const chunk = view.getUint32(12);
  if (chunk === 0x56503858) {
    const size = (at: number) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16) + 1;
    return { width: size(24), height: size(27), channels: view.getUint8(20) & 0x10 ? 4 : 3 };
  }
  if (chunk === 0x5650384c) {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: ((bits >> 14) & 0x3fff) + 1, channels: bits & (1 << 28) ? 4 : 3 };
  }
  return { width: view.getUint16(26, true) & 0x3fff, height: view.getUint16(28, true) & 0x3fff, channels: 3 };
}
