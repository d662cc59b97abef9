/** Names of files that are names on every disk, however long what they are made of is. */

/** Names of devices on Windows. */
const RESERVED = /^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(?:\.|$)/i;

/** The part of a path, which Windows takes for no device. */
export function unreserved(part: string): string {
  return RESERVED.test(part) ? `_${part}` : part;
}

/**
 * The beginning of a safe part, itself safe.
 *
 * @param bytes how long it may be
 * @param ownEnding what a part must not end in; becomes `_`
 */
export function trimmed(part: string, bytes: number, ownEnding: RegExp): string {
  if (Buffer.byteLength(part) <= bytes) return part;
  let kept = "";
  let room = bytes;
  for (const character of part) {
    room -= Buffer.byteLength(character);
    if (room < 0) break;
    kept += character;
  }
  return kept.replace(/[. ]+$/, "").replace(ownEnding, "_");
}

/** As many parts of a path, the last one perhaps cut, as there is room for. @param ownEnding as for `trimmed` */
export function within(parts: readonly string[], bytes: number, ownEnding: RegExp): string[] {
  const kept: string[] = [];
  let room = bytes;
  for (const part of parts) {
    const cut = trimmed(part, room, ownEnding);
    if (cut === "") break;
    kept.push(cut);
    room -= Buffer.byteLength(cut) + 1;
    if (cut !== part || room <= 0) break;
  }
  return kept;
}
