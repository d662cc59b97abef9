/** What a file is that has an event file's name and holds none of its records, told by its first bytes. */

/** How many of a file's first bytes are looked at. */
export const FORMAT_BYTES = 64;

const FORMATS: readonly (readonly [RegExp, string])[] = [
  [/^\x1f\x8b/, "gzip-compressed"],
  [/^\x28\xb5\x2f\xfd/, "zstd-compressed"],
  [/^\xfd7zXZ\0/, "xz-compressed"],
  [/^BZh[1-9]/, "bzip2-compressed"],
  [/^PK\x03\x04/, "a ZIP archive"],
  [/^\0\x05\x16[\0\x07]/, "what macOS keeps beside a file (AppleDouble)"],
  [/^version https:\/\/git-lfs/, "a Git LFS pointer; git lfs pull brings the file"],
  [/^b0VIM/, "a swap file of vim"],
  [/^(\xef\xbb\xbf)?\s*<(!doctype html|html|\?xml)/i, "a page of HTML or XML"],
];

/** @param head the file's first `FORMAT_BYTES` bytes, or all */
export function formatOf(head: Uint8Array): string | undefined {
  const text = String.fromCharCode(...head.subarray(0, FORMAT_BYTES));
  return FORMATS.find(([beginning]) => beginning.test(text))?.[1];
}
