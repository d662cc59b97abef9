/** What a run is given beside its values, now and then and at its end: what appeared in its damage, and its pages. */
import { NOTHING_OBSOLETE } from "../../reader/restarts.ts";
import type { RunHandle } from "../backend.ts";
import { Tally } from "../report/tally.ts";
import { SeriesCounts } from "../transform/series-counts.ts";
import { Transform } from "../transform/transform.ts";
import { whileGoingOn } from "./interruption.ts";
import type { Pump } from "./pump.ts";
import { derivationOf, rewritingOf } from "./run-metrics.ts";
import type { ReadAgain } from "./run-pages.ts";
import { type RunWork, WHOLE } from "./run-work.ts";
import type { Segments } from "./segments.ts";

/** Send what has appeared in the damage that was passed over: blocks may arrive in another order than they were written. */
export async function fillHoles(work: RunWork, pump: Pump, segments: Segments): Promise<void> {
  if (work.files.every(({ holes }) => holes.length === 0)) return;
  const transform = new Transform(work.context.transform, work.context.restarts, NOTHING_OBSOLETE, work.trace);
  // What is computed of scalars is computed of those before them, which were sent without these.
  const metrics = rewritingOf(work.choices.now, work.files);
  const batch = pump.newBatch();
  for (const [index, file] of work.files.entries()) {
    for (const hole of [...file.holes]) {
      try {
        const open = await file.open(work.metadata(file.member), hole.start, hole.end);
        try {
          for (let more = true; more; ) {
            more = await pump.read(open, index, batch, transform, metrics?.of(file));
            await pump.flush(batch, false, (lines) => segments.filled(file, lines, file.start));
            work.requireGoingOn();
          }
          const { losses, tail } = open.reader.records;
          const rest = tail === undefined || tail.state === "clean" ? [] : [{ ...tail, reason: hole.reason }];
          await file.filled(open.source, hole, [...losses, ...rest]);
        } finally {
          await open.close();
        }
      } catch (error) {
        work.isProblemOf(file, error);
      }
    }
  }
  // What was filled may be part of what the destination knows a file by.
  await pump.flush(batch, true);
}

/** Draw the pages anew if there is more to be seen on them. */
export async function attachPages(work: RunWork, handle: RunHandle): Promise<void> {
  if (!work.stored.pagesDue) return;
  const obsolete = await work.findObsolete(() => 0);
  const readAgain: ReadAgain = async (take) => {
    const transform = new Transform(work.context.transform, work.context.restarts, obsolete);
    const metrics = derivationOf(work.choices.now, work.files);
    for (const [index, file] of work.files.entries()) {
      if (file.barren !== undefined) continue;
      try {
        const metadata = new Map(work.metadata(file.member));
        const counts = new SeriesCounts();
        await file.readAgain(metadata, { start: 0, end: file.entry.size }, (batch) => {
          work.requireGoingOn();
          transform.apply(batch, { file: index, ...WHOLE, counts, metrics: metrics?.of(file) }, new Tally());
          work.tags?.apply(batch, WHOLE, file.member);
          take(batch);
        });
      } catch (error) {
        work.isProblemOf(file, error);
      }
    }
  };
  // Loaded for those runs only that have something to draw.
  const { makePages } = await import("./run-pages.ts");
  const pages = whileGoingOn(makePages(readAgain), work.context.signal);
  work.news.notes.push(...(await work.context.backend.attach(handle, pages)));
  work.context.onReached?.();
  work.stored.pagesDue = false;
}
