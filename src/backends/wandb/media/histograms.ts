/**
 * Histograms → `_type: histogram`, of at most 512 bins. Their numbers are in the row: there is no file.
 *
 * Bins are adjacent: n + 1 edges, of which those between two bins are the left ones. Where there are more bins than W&B
 * takes they are joined exactly as its client does, edge for edge and count for count.
 *
 * Source: `reduceHistogram` and `reduceEdges` of core/internal/tensorboard/tfeventconverterhistograms.go.
 */
import { drawable } from "../../../encode/pages/histogram-bins.ts";
import type { HistogramDatum } from "../../../reader/datum.ts";
import { jsonText } from "../json.ts";
import type { Encoded, Unstorable } from "./encoded.ts";

/** W&B's own limit, `wandb.Histogram.MAX_LENGTH`. */
const MAX_BINS = 512;
/** JSON has no edges that are not finite, and W&B's client sends no such histogram. Beyond this, differences overflow. */
const MAX_EDGE = 1e300;

export interface Bins {
  readonly edges: readonly number[];
  /** One fewer. */
  readonly counts: readonly number[];
}

export function encodeHistogram({ tag, step, buckets }: HistogramDatum): Encoded | Unstorable {
  const isPlain = buckets.every((value) => Math.abs(value) <= MAX_EDGE);
  const shown = isPlain ? buckets : drawable(buckets);
  if (shown.length === 0) return { refused: "none of its buckets has a finite edge and a count" };
  const all = binsOf(shown);
  const { edges, counts } = all.counts.length > MAX_BINS ? joined(all, MAX_BINS) : all;
  const text = jsonText({ _type: "histogram", values: counts, bins: edges });
  if (isPlain) return { files: [], values: [text] };
  const message = `histogram ${JSON.stringify(tag)}: W&B has no buckets without finite edges; they end at the last finite edge, or are left out (the first: step ${step})`;
  return { files: [], values: [text], note: { code: "cut", message } };
}

function binsOf(buckets: Float64Array): Bins {
  const edges: number[] = [];
  const counts: number[] = [];
  for (let i = 0; i < buckets.length; i += 3) {
    edges.push(buckets[i] as number);
    counts.push(buckets[i + 2] as number);
  }
  edges.push(buckets.at(-2) as number);
  return { edges, counts };
}

/**
 * The same in fewer bins. New edges are spread evenly over the numbers of the old ones; a bin that a new edge cuts gives
 * each side its share of the count.
 *
 * @param most fewer than there are
 */
export function joined({ edges, counts }: Bins, most: number): Bins {
  const all = counts.length;
  const newEdges = Array.from({ length: most + 1 }, (_, i) => {
    const at = Math.floor((i * all) / most);
    if (at === all) return edges[all] as number;
    const [left, right] = [edges[at] as number, edges[at + 1] as number];
    return left + (right - left) * (((i * all) % most) / most);
  });
  const newCounts = Array.from({ length: most }, () => 0);
  const add = (bin: number, count: number) => {
    newCounts[bin] = (newCounts[bin] as number) + count;
  };
  let old = 0;
  for (let bin = 0; bin < most; bin++) {
    const end = newEdges[bin + 1] as number;
    while (old < all && (edges[old + 1] as number) < end) add(bin, counts[old++] as number);
    if (old === all) break;
    const [left, right] = [edges[old] as number, edges[old + 1] as number];
    // A bin without width lies before the edge that it ends at.
    const share = right > left ? (end - left) / (right - left) : 1;
    add(bin, share * (counts[old] as number));
    add(Math.min(bin + 1, most - 1), (1 - share) * (counts[old] as number));
    old++;
  }
  while (old < all) add(most - 1, counts[old++] as number);
  return { edges: newEdges, counts: newCounts };
}
