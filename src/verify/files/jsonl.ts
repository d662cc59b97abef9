/** JSON lines: those of the `jsonl` backend, and those that a Parquet data set has beside it. */
import { existsSync, statSync } from "node:fs";
import { datumLine, hparamsLine, type Keep } from "../../backends/files/json-lines.ts";
import { keptAs } from "../../backends/files/media.ts";
import { linesUpTo } from "../../backends/files/read-lines.ts";
import type { OutputDirectory } from "../../backends/output-directory.ts";
import type { Datum } from "../../reader/datum.ts";
import type { Batch } from "../../sync/backend.ts";
import { digestWords } from "../items.ts";
import { pointWords } from "../point-words.ts";
import type { TakeItem } from "../series-sums.ts";
import { type Contents, nameOf, type TakeMedium, takeScalars } from "./contents.ts";

/** Lines that are no values. */
const OWN: ReadonlySet<unknown> = new Set(["run", "mark"]);

export class JsonlContents implements Contents {
  readonly #directory: OutputDirectory;

  constructor(directory: OutputDirectory) {
    this.#directory = directory;
  }

  expected(_run: string, batch: Batch, take: TakeItem, takeMedium: TakeMedium): void {
    takeScalars(batch, take);
    takeLines(batch, take, takeMedium, () => true);
  }

  async stored(id: string, take: TakeItem): Promise<string | undefined> {
    return storedLines(this.#directory.path(id), take);
  }
}

/** The values of a batch that have lines. */
export function takeLines(
  { data, hparams }: Batch,
  take: TakeItem,
  takeMedium: TakeMedium,
  hasLine: (datum: Datum) => boolean,
): void {
  const keep: Keep = (content, extension) => {
    const kept = keptAs(content, extension);
    takeMedium(kept.path, kept.bytes);
    return kept;
  };
  for (const datum of data) {
    const line = hasLine(datum) ? datumLine(datum, keep) : undefined;
    if (line !== undefined) take("lines", nameOf(datum.kind, datum.tag), digestWords(withoutRun(line)));
  }
  if (hparams.size > 0) take("lines", nameOf("hparams", undefined), digestWords(withoutRun(hparamsLine(hparams))));
}

/** The values that are lines of a file. One that does not end is none. @returns the last status @throws the system's error */
export function storedLines(file: string, take: TakeItem): string | undefined {
  let status: string | undefined;
  if (!existsSync(file)) return status;
  for (const bytes of linesUpTo(file, statSync(file).size)) {
    const line = parse(bytes);
    if (line === undefined) take("lines", "unreadable", digestWords(bytes));
    else if (line["kind"] === "scalar") {
      const { tag, step, wall_time: wallTime, value } = line as Readonly<Record<string, string | number>>;
      take("points", String(tag), pointWords(BigInt(step as string), Number(wallTime), Number(value)));
    } else if (line["kind"] === "status") status = String(line["status"]);
    else if (!OWN.has(line["kind"])) {
      const tag = typeof line["tag"] === "string" ? line["tag"] : undefined;
      take("lines", nameOf(String(line["kind"]), tag), digestWords(withoutRun(bytes)));
    }
  }
  return status;
}

/** A run may have had another name when it was written. */
function withoutRun(line: Uint8Array): string {
  return Buffer.from(line)
    .toString()
    .trimEnd()
    .replace(/^\{"run":"(?:[^"\\]|\\.)*",/, "{");
}

function parse(line: Uint8Array): Readonly<Record<string, unknown>> | undefined {
  try {
    const json: unknown = JSON.parse(Buffer.from(line).toString());
    return typeof json === "object" && json !== null ? (json as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
