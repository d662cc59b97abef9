/** What has become of a run's values, and what there is to say of it, since it was last asked for. */
import type { FileProblem } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import { Tally } from "../report/tally.ts";

export class RunNews {
  tally: Tally = new Tally();
  /** How many values the destination has refused, which are in the quarantine. */
  refused = 0;
  readonly notes: Note[] = [];
  readonly problems: FileProblem[] = [];

  take(): Pick<RunNews, "tally" | "refused" | "notes" | "problems"> {
    const { tally, refused } = this;
    const news = { tally, refused, notes: [...this.notes], problems: [...this.problems] };
    this.tally = new Tally();
    this.refused = 0;
    this.notes.length = 0;
    this.problems.length = 0;
    return news;
  }
}
