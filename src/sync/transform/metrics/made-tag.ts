/**
 * Metrics that no event file holds under that name: derived or renamed ones. Until they are sent they are called by their
 * name and by what they are made of, so that two of one name are never taken for the same, nor for a tag of a file.
 */

const MARK = "\0";
/** The hash of what it is made of. */
const ID_LENGTH = 8;

/** @param id eight characters, the same for what is made in the same way of the same */
export function madeTag(id: string, name: string): string {
  return `${MARK}${id}${MARK}${name}`;
}

/** The name of a made metric; undefined for a tag of a file. */
export function madeName(tag: string): string | undefined {
  const isMade = tag.startsWith(MARK) && tag[ID_LENGTH + 1] === MARK;
  return isMade ? tag.slice(ID_LENGTH + 2) : undefined;
}

/** What a metric is called, made or not. */
export function shownTag(tag: string): string {
  return madeName(tag) ?? tag;
}
