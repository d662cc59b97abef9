/**
 * Which points were sent more than once: without any, a test of what is sent again has tested nothing.
 *
 * One step is kept for each run and key, so each has to be sent with growing steps.
 */
export class Resent {
  /** How many points were in all batches together. */
  sent = 0;
  /** How many of them had been sent before. */
  again = 0;
  readonly #highest = new Map<string, number>();

  /** How many points were sent for the first time. */
  get fresh(): number {
    return this.sent - this.again;
  }

  /** To be given to `FaultProxy.onRequest`. */
  readonly see = (_method: string, path: string, body: Buffer): void => {
    if (!path.endsWith("log-batch")) return;
    const batch = JSON.parse(body.toString()) as { run_id: string; metrics?: { key: string; step: number }[] };
    for (const { key, step } of batch.metrics ?? []) {
      const series = `${batch.run_id} ${key}`;
      const highest = this.#highest.get(series) ?? Number.NEGATIVE_INFINITY;
      this.sent++;
      if (step <= highest) this.again++;
      else this.#highest.set(series, step);
    }
  };
}
