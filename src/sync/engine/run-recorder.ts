/** Records what goes on beside the runs that are under way. */
import type { RunGroup } from "../source/run-group.ts";

export interface RunRecorder {
  /** Something was written to a run. */
  grew(group: RunGroup): void;

  /** A run is over: nothing more is recorded of it until something is written to it again. */
  ended(group: RunGroup): void;

  /**
   * @param onRecorded told a run as it was when it last grew, once there is more of its recording
   * @returns call it to be told no more
   */
  listen(onRecorded: (group: RunGroup) => void): () => void;
}
