/** What is best seen as a whole: a run's values, read once more from its files and drawn on one page a tag. */
import { customScalarsPage } from "../../encode/pages/custom-scalars-page.ts";
import { graphNodes, graphPage } from "../../encode/pages/graph-page.ts";
import { histogramPage } from "../../encode/pages/histogram-page.ts";
import { prCurvePage } from "../../encode/pages/pr-curve-page.ts";
import { textPage } from "../../encode/pages/text-page.ts";
import type {
  CustomScalarsDatum,
  Datum,
  GraphDatum,
  HistogramDatum,
  PrCurveDatum,
  TextDatum,
} from "../../reader/datum.ts";
import type { RecordBatch } from "../../reader/record-batch.ts";
import type { Page } from "../backend.ts";

/** Of a series no more is kept than can be drawn. */
const MAX_KEPT = 400;
const MAX_POINTS = 2000;
/** Numbers of one histogram or curve; a larger one is not drawn: a page keeps hundreds of them. */
const MAX_NUMBERS = 100_000;
/** Characters of a tag's texts, of which its page shows fewer: the newest. */
const MAX_TEXT = 16_000_000;
/** Of scalars, which are kept only where a layout may draw them. */
const MAX_TAGS = 2000;

/** Hands all values of a run, in their order, to `take`. */
export type ReadAgain = (take: (batch: RecordBatch) => void) => Promise<void>;

/** The pages of a run, made as they are asked for. @throws the system's error if a file cannot be read */
export async function* makePages(readAgain: ReadAgain): AsyncGenerator<Page> {
  const histograms = new Map<string, Kept<HistogramDatum>>();
  const curves = new Map<string, Kept<PrCurveDatum>>();
  const texts = new Map<string, Newest>();
  const graphs = new Map<string, GraphDatum>();
  const layouts = new Map<string, CustomScalarsDatum>();
  const take = (datum: Datum) => {
    if (datum.kind === "histograms") {
      keptOf(histograms, datum.tag, MAX_KEPT).add(datum, datum.buckets.length <= MAX_NUMBERS);
    } else if (datum.kind === "pr_curves") {
      keptOf(curves, datum.tag, MAX_KEPT).add(datum, 6 * datum.numThresholds <= MAX_NUMBERS);
    } else if (datum.kind === "text") {
      const newest = texts.get(datum.tag) ?? new Newest();
      texts.set(datum.tag, newest);
      newest.add(datum);
    }
    if (datum.kind === "graphs" && datum.content === "graph_def") graphs.set(datum.tag, datum);
    else if (datum.kind === "custom_scalars") layouts.set(datum.tag, datum);
  };
  await readAgain((batch) => batch.data.forEach(take));
  for (const [tag, { items, count }] of histograms) {
    yield { kind: "histograms", tag, html: histogramPage(tag, items, count) };
  }
  for (const [tag, { items, count }] of curves) {
    yield { kind: "pr_curves", tag, html: prCurvePage(tag, items, count) };
  }
  for (const [tag, { items, count }] of texts) yield { kind: "text", tag, html: textPage(tag, items, count) };
  for (const [tag, { blobs }] of graphs) {
    const { nodes, incomplete } = graphNodes(blobs[0] ?? new Uint8Array());
    yield { kind: "graphs", tag, html: graphPage(tag, nodes, incomplete) };
  }
  if (layouts.size === 0) return;
  const scalars = await keepScalars(readAgain);
  for (const [tag, { categories }] of layouts) {
    yield { kind: "custom_scalars", tag, html: customScalarsPage(tag, categories, scalars) };
  }
}

async function keepScalars(readAgain: ReadAgain): Promise<{ tag: string; steps: bigint[]; values: number[] }[]> {
  const series = new Map<string, Kept<readonly [step: bigint, value: number]>>();
  await readAgain((batch) => {
    for (let i = 0; i < batch.length; i++) {
      const tag = batch.tags[batch.tag[i] as number] as string;
      if (series.size < MAX_TAGS || series.has(tag)) {
        keptOf(series, tag, MAX_POINTS).add([batch.step[i] as bigint, batch.value[i] as number]);
      }
    }
  });
  return Array.from(series, ([tag, { items }]) => ({
    tag,
    steps: items.map(([step]) => step),
    values: items.map(([, value]) => value),
  }));
}

/** As many of a series as are asked for at most, evenly spread: at the limit every other one goes. */
class Kept<T> {
  readonly items: T[] = [];
  /** How many there were. */
  count = 0;
  #stride = 1;
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @param fits false: it is counted, and not kept */
  add(item: T, fits = true): void {
    if (this.count++ % this.#stride !== 0 || !fits) return;
    if (this.items.length === this.#limit) {
      const half = this.items.filter((_, i) => i % 2 === 0);
      this.items.splice(0, this.items.length, ...half);
      this.#stride *= 2;
      if ((this.count - 1) % this.#stride !== 0) return;
    }
    this.items.push(item);
  }
}

/** The last texts of a tag. */
class Newest {
  readonly items: TextDatum[] = [];
  /** How many there were. */
  count = 0;
  #length = 0;

  add(text: TextDatum): void {
    this.count++;
    this.items.push(text);
    this.#length += lengthOf(text);
    // Half of them at once, since each time the others move.
    if (this.#length <= 2 * MAX_TEXT) return;
    let first = 0;
    for (; this.#length > MAX_TEXT && first < this.items.length - 1; first++) {
      this.#length -= lengthOf(this.items[first] as TextDatum);
    }
    this.items.splice(0, first);
  }
}

/** Characters, and what an empty text takes as well. */
function lengthOf({ strings }: TextDatum): number {
  return strings.reduce((sum, string) => sum + string.length, 100);
}

function keptOf<T>(all: Map<string, Kept<T>>, tag: string, limit: number): Kept<T> {
  const known = all.get(tag);
  if (known !== undefined) return known;
  const kept = new Kept<T>(limit);
  all.set(tag, kept);
  return kept;
}
