/** How old a file is while somebody sets the clock. */
import { expect, onTestFinished, test, vi } from "vitest";
import { ageOf } from "../../src/reader/file-age.ts";

const HOUR_MS = 3_600_000;
const realNow = Date.now;

/** ns of a time so many ms ago, by the clock as it really is. */
const written = (msAgo: number) => BigInt(Math.round(realNow() - msAgo)) * 1_000_000n;

function setClock(ms: number): void {
  const clock = vi.spyOn(Date, "now").mockImplementation(() => realNow() + ms);
  onTestFinished(() => void clock.mockRestore());
}

const isAbout = (ms: number) => (age: number) => age >= ms && age < ms + 10_000;

test.each([
  ["that nobody sets: as old as it is", 0, 0],
  ["set forwards: files from before are not older for it", 72 * HOUR_MS, 0],
  ["set forwards: files from after it are as old as they are", 72 * HOUR_MS, 72 * HOUR_MS],
  ["set backwards: files from before are not older for it", -5 * HOUR_MS, 0],
  ["set backwards: files from after it are not older for it", -5 * HOUR_MS, -5 * HOUR_MS],
])("a clock %s", (_, clock, stamped) => {
  setClock(clock);
  const age = ageOf(written(30_000 - stamped));
  expect(age).toBeGreaterThanOrEqual(0);
  expect(age).toBeLessThan(40_000);
  if (clock === 0) expect(age).toSatisfy(isAbout(30_000));
});

test("a file that has lain there since before the process began is old", () => {
  expect(ageOf(written(72 * HOUR_MS))).toSatisfy(isAbout(72 * HOUR_MS));
});
