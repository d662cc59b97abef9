/**
 * Whether a GIF holds more than one picture.
 *
 * Source: https://www.w3.org/Graphics/GIF/spec-gif89a.txt
 */
export function hasFrames(bytes: Uint8Array): boolean {
  const table = (flags: number) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  let at = 13 + table(bytes[10] ?? 0);
  for (let frames = 0; at < bytes.length; ) {
    const block = bytes[at];
    if (block === 0x21) at += 2;
    else if (block === 0x2c) {
      if (++frames > 1) return true;
      at += 11 + table(bytes[at + 9] ?? 0);
    } else return false;
    for (let length = bytes[at++] ?? 0; length > 0; length = bytes[at++] ?? 0) at += length;
  }
  return false;
}
