/** Tables of comma-separated values. */
import { existsSync, statSync } from "node:fs";
import path from "node:path";
import { csvRows, fieldsOf } from "../../backends/files/csv-rows.ts";
import { hparamsOf } from "../../backends/files/csv-runs.ts";
import type { OutputDirectory } from "../../backends/output-directory.ts";
import { pythonText } from "../../reader/python-text.ts";
import type { Batch } from "../../sync/backend.ts";
import { digestWords } from "../items.ts";
import { pointWords } from "../point-words.ts";
import type { TakeItem } from "../series-sums.ts";
import { type Contents, nameOf, takeScalars } from "./contents.ts";

export class CsvContents implements Contents {
  readonly #directory: OutputDirectory;

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
  }

  expected(_run: string, batch: Batch, take: TakeItem): void {
    takeScalars(batch, take);
    for (const [name, value] of hparamsOf(batch))
      take("lines", nameOf("hparams", name), digestWords(pythonText(value)));
  }

  async stored(id: string, take: TakeItem): Promise<undefined> {
    const folder = path.dirname(this.#directory.path(id));
    for (const [, tag = "", step = "", wallTime, value] of rowsOf(path.join(folder, "scalars.csv"))) {
      const isPoint = /^-?\d+$/.test(step) && value !== undefined;
      if (isPoint) take("points", tag, pointWords(BigInt(step), Number(wallTime), Number(value)));
      else take("lines", "unreadable", digestWords([tag, step, wallTime, value].join()));
    }
    for (const [, name = "", value = ""] of rowsOf(path.join(folder, "hparams.csv")))
      take("lines", nameOf("hparams", name), digestWords(value));
  }
}

function* rowsOf(file: string): Iterable<string[]> {
  if (!existsSync(file)) return;
  let isFirst = true;
  for (const row of csvRows(file, statSync(file).size)) {
    if (!isFirst) yield fieldsOf(row);
    isFirst = false;
  }
}
