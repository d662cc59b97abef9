/** A file of a run that is sent by lines: each line has a number, and a line sent again replaces what was there. */
export class LineFile {
  /** Lines sent again with the text that was there. */
  repeated = 0;
  /** Lines sent again with another text. */
  changed = 0;
  readonly #lines: (string | undefined)[] = [];

  /** One more than the last line's number, as W&B counts. */
  get count(): number {
    return this.#lines.length;
  }

  /** Numbers of lines that were never sent, below one that was. */
  get gaps(): number[] {
    return Array.from(this.#lines, (line, number) => (line === undefined ? number : -1)).filter((n) => n >= 0);
  }

  /** In order, without the gaps. */
  get lines(): string[] {
    return this.#lines.filter((line) => line !== undefined);
  }

  get last(): string | undefined {
    return this.#lines.at(-1);
  }

  write(offset: number, lines: readonly string[]): void {
    while (this.#lines.length < offset) this.#lines.push(undefined);
    for (const [index, line] of lines.entries()) {
      const before = this.#lines[offset + index];
      if (before === line) this.repeated++;
      else if (before !== undefined) this.changed++;
      this.#lines[offset + index] = line;
    }
  }
}
