/** What has become of a run's values, and what there is to say of it, since it was last asked for. */
import type { FileProblem } from "../report/file-problem.ts";
import type { Note } from "../report/note.ts";
import { Tally } from "../report/tally.ts";

export class RunNews {
  tally: Tally = new Tally();
  readonly notes: Note[] = [];
  readonly problems: FileProblem[] = [];

  take(): { readonly tally: Tally; readonly notes: Note[]; readonly problems: FileProblem[] } {
    const news = { tally: this.tally, notes: [...this.notes], problems: [...this.problems] };
    this.tally = new Tally();
    this.notes.length = 0;
    this.problems.length = 0;
    return news;
  }
}
