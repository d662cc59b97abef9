/** What the server says no to. The wordings and statuses that have been seen of W&B's are its own. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}
