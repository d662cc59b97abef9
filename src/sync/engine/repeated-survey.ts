/** A watch's surveys of its destination: one before anything counts as sent, then one per interval. */
import { TraceletError } from "../../errors.ts";
import type { StoredRun } from "../state/stored-run.ts";
import type { Gate } from "./gate.ts";
import { confirm, type Surveying, survey } from "./survey.ts";

export interface RepeatedSurveyOptions extends Surveying {
  readonly gate: Gate;
  readonly intervalMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Told the runs that have changed at the destination, if there are any. */
  readonly onChanged: (runs: ReadonlySet<StoredRun>) => void;
  /** Told of errors that waiting cannot cure. */
  readonly onFailure: (error: unknown) => void;
}

export class RepeatedSurvey {
  readonly #options: RepeatedSurveyOptions;
  #isAsking = false;
  /** Whether it was a survey that found the destination away. What keeps runs from being written may not keep it from reading. */
  #hasFailed = false;
  /** ms of `performance.now()`. */
  #askedAt = 0;

  constructor(options: RepeatedSurveyOptions) {
    this.#options = options;
  }

  /** Resolves once the destination has answered, or the signal is aborted. */
  async first(): Promise<void> {
    while (!this.#options.signal.aborted && !(await this.#ask()));
  }

  /** Ask again if it is due. */
  tick(): void {
    const { intervalMs, signal } = this.#options;
    if (signal.aborted || performance.now() - this.#askedAt < intervalMs) return;
    void this.#ask();
  }

  /** @returns false if it could not be asked; the gate has reported it, and decides when to try again */
  async #ask(): Promise<boolean> {
    if (this.#isAsking) return false;
    this.#isAsking = true;
    const { gate, onChanged, onFailure } = this.#options;
    try {
      const changed = await gate.pass(async () => {
        const { epoch } = gate;
        const runs = await survey(this.#options);
        if (this.#hasFailed) gate.reached(epoch);
        this.#hasFailed = false;
        return runs;
      });
      if (changed.size > 0) {
        // Sessions start over from what their runs have now.
        gate.suspect();
        onChanged(changed);
      } else await confirm(this.#options);
      return true;
    } catch (error) {
      if (error instanceof TraceletError && error.code !== "state") {
        this.#hasFailed = error.endsAll;
        return !error.endsAll;
      }
      onFailure(error);
      return true;
    } finally {
      this.#isAsking = false;
      this.#askedAt = performance.now();
    }
  }
}
