/** What has become of a run's values, and what there is to say of it, since it was last asked for. */
import type { FileProblem } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import { Tally } from "../report/tally.ts";

export class RunNews {
  tally: Tally = new Tally();
  /** The same as far as the destination has acknowledged everything; what is beyond that is read again after an error. */
  settled: Tally = new Tally();
  /** How many bytes were read beyond that. */
  unsettledBytes = 0;
  /** How many values the destination has refused, which are in the quarantine. */
  refused = 0;
  readonly notes: Note[] = [];
  readonly problems: FileProblem[] = [];

  settle(): void {
    this.settled = this.tally.copy();
    this.unsettledBytes = 0;
  }

  take(): Pick<RunNews, "tally" | "refused" | "notes" | "problems"> {
    const { tally, refused } = this;
    const news = { tally, refused, notes: [...this.notes], problems: [...this.problems] };
    this.tally = new Tally();
    this.settled = new Tally();
    this.refused = 0;
    this.notes.length = 0;
    this.problems.length = 0;
    return news;
  }
}
