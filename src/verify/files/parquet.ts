/** Parquet: every part that is in a run's directories, and the lines beside them. */
import { existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { type HistogramRow, histogramsOf, rowOf } from "../../backends/files/parquet/histogram-part.ts";
import { decodedPart } from "../../backends/files/parquet/part-files.ts";
import { textOfHistogram } from "../../backends/files/parquet/run-rows.ts";
import { scalarsOf } from "../../backends/files/parquet/scalar-part.ts";
import { type ParquetRuns, tableFolder } from "../../backends/files/parquet-runs.ts";
import type { OutputDirectory } from "../../backends/output-directory.ts";
import type { Batch } from "../../sync/backend.ts";
import { digestWords } from "../items.ts";
import { pointWords } from "../point-words.ts";
import type { TakeItem } from "../series-sums.ts";
import { type Contents, nameOf, type TakeMedium, takeScalars } from "./contents.ts";
import { storedLines, takeLines } from "./jsonl.ts";

export class ParquetContents implements Contents {
  readonly #directory: OutputDirectory;

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
  }

  expected(_run: string, batch: Batch, take: TakeItem, takeMedium: TakeMedium): void {
    takeScalars(batch, take);
    for (const datum of batch.data) if (datum.kind === "histograms") takeHistogram(rowOf(datum), take);
    takeLines(batch, take, takeMedium, ({ kind }) => kind !== "histograms");
  }

  async stored(id: ReturnType<ParquetRuns["idOf"]>, take: TakeItem): Promise<undefined> {
    for (const file of this.#parts(tableFolder(id, "scalars"))) {
      const { length, tags, tag, step, wallTime, value } = await decodedPart(file, scalarsOf);
      for (let i = 0; i < length; i++) {
        const words = pointWords(step[i] as bigint, wallTime[i] as number, value[i] as number);
        take("points", tags[tag[i] as number] as string, words);
      }
    }
    for (const file of this.#parts(tableFolder(id, "histograms")))
      for (const row of await decodedPart(file, histogramsOf)) takeHistogram(row, take);
    storedLines(path.join(path.dirname(this.#directory.path(id)), "values.jsonl"), take);
  }

  *#parts(folder: string): Iterable<string> {
    const place = this.#directory.path(folder);
    if (!existsSync(place)) return;
    for (const entry of readdirSync(place, { withFileTypes: true })) {
      // Others are runs below this one, or what readers of directories pass over.
      if (entry.isFile() && entry.name.endsWith(".parquet") && !/^[._]/.test(entry.name))
        yield path.join(place, entry.name);
    }
  }
}

function takeHistogram(row: HistogramRow, take: TakeItem): void {
  take("lines", nameOf("histograms", row.tag), digestWords(textOfHistogram(row)));
}
