// Loaded by tracelet before itself: a wall clock that is set while it runs, to what it really is and the ms that the file
// holds that TEST_CLOCK names. The monotonic clock is left alone, as the system leaves it.
import { readFileSync } from "node:fs";

const RealDate = Date;
const now = () => RealDate.now() + Number(readFileSync(process.env.TEST_CLOCK, "utf8"));

globalThis.Date = class Date extends RealDate {
  constructor(...args) {
    super(...(args.length === 0 ? [now()] : args));
  }

  static now() {
    return now();
  }
};
