/** How long ago a file was written, for as little of that as the clocks agree on. */

/**
 * A clock that was set, by hand or by the network, must not make files old that are being written. So the age is taken by
 * the clock as it is and by what it would be had nobody set it since this process began; the lesser counts.
 *
 * @param mtime ns since the Unix epoch
 * @returns ms; 0 for a time in the future
 */
export function ageOf(mtime: bigint): number {
  const unset = performance.timeOrigin + performance.now();
  return Math.max(0, Math.min(Date.now(), unset) - Number(mtime / 1_000_000n));
}
