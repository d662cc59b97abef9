/** The layout of TensorBoard's custom scalars dashboard, drawn: categories of charts. */
import { RE2JS } from "re2js";
import type { CustomScalarsChart, CustomScalarsDatum } from "../../reader/datum.ts";
import { CUSTOM_SCALARS_SCRIPT, CUSTOM_SCALARS_STYLE } from "./custom-scalars-client.ts";
import { uplot } from "./library.ts";
import { renderPage, shortened } from "./page.ts";
import { rounded } from "./thin.ts";

/** Points of one tag, steps rising. */
export interface ScalarSeries {
  readonly tag: string;
  readonly steps: ArrayLike<number | bigint>;
  readonly values: ArrayLike<number>;
}

/** A chart as the page draws it; the numbers point into `series`. */
export interface ChartData {
  readonly title: string;
  readonly lines: readonly number[];
  readonly margins: readonly { readonly value: number; readonly lower: number; readonly upper: number }[];
  readonly notes: readonly string[];
}

export interface CustomScalarsPageData {
  readonly series: readonly {
    readonly tag: string;
    readonly steps: readonly number[];
    readonly values: readonly (number | null)[];
  }[];
  readonly categories: readonly {
    readonly title: string;
    readonly closed: boolean;
    readonly charts: readonly ChartData[];
  }[];
}

const MAX_LINES = 40;
const MAX_POINTS = 1000;
const MAX_PATTERN = 1000;
const MAX_CHARTS = 500;
const MAX_TAG = 1000;
/** How long patterns are matched for one page, ms: a short pattern can mean a machine of a million states. */
const MAX_MATCHING = 5000;

export function customScalarsPage(
  title: string,
  categories: CustomScalarsDatum["categories"],
  series: readonly ScalarSeries[],
): string {
  return renderPage({
    title,
    script: CUSTOM_SCALARS_SCRIPT,
    style: CUSTOM_SCALARS_STYLE,
    libraries: [uplot()],
    data: customScalarsPageData(categories, series),
  });
}

export function customScalarsPageData(
  categories: CustomScalarsDatum["categories"],
  series: readonly ScalarSeries[],
): CustomScalarsPageData {
  const byTag = new Map(series.map((one) => [one.tag, one]));
  const used = new Map<ScalarSeries, number>();
  const use = (one: ScalarSeries) => {
    const at = used.get(one) ?? used.size;
    used.set(one, at);
    return at;
  };
  let room = MAX_CHARTS;
  const end = performance.now() + MAX_MATCHING;
  const drawn = categories.map(({ title, closed, charts }) => {
    const some = charts.slice(0, room);
    room -= some.length;
    return { title, closed, charts: some.map((chart) => chartData(chart, series, byTag, use, end)) };
  });
  return {
    categories: drawn,
    series: [...used.keys()].map((one) => ({ tag: shortened(one.tag, 300), ...pointsOf(one) })),
  };
}

function chartData(
  { title, tags, margins }: CustomScalarsChart,
  series: readonly ScalarSeries[],
  byTag: ReadonlyMap<string, ScalarSeries>,
  use: (series: ScalarSeries) => number,
  end: number,
): ChartData {
  const notes: string[] = [];
  const matching = new Set<ScalarSeries>();
  let late = false;
  for (const pattern of tags) {
    late ||= performance.now() > end;
    if (late) break;
    const matches = matcherOf(pattern);
    if (matches === null) notes.push(`Not a pattern that can be matched: ${shortened(pattern, 80)}`);
    else {
      for (const one of series) {
        late ||= performance.now() > end;
        if (!late && matches(one.tag)) matching.add(one);
      }
    }
  }
  if (late) notes.push("Matching the patterns takes too long: not all of them were.");
  const found = margins.flatMap((margin) => {
    const [value, lower, upper] = [byTag.get(margin.value), byTag.get(margin.lower), byTag.get(margin.upper)];
    if (value && lower && upper) return [{ value: use(value), lower: use(lower), upper: use(upper) }];
    const missing = [margin.value, margin.lower, margin.upper].filter((tag) => !byTag.has(tag));
    notes.push(`No scalars of the tag ${missing.map((tag) => shortened(tag, 80)).join(", ")}`);
    return [];
  });
  const lines = [...matching].slice(0, MAX_LINES).map(use);
  if (matching.size > MAX_LINES) notes.push(`${MAX_LINES} of ${matching.size} tags shown.`);
  if (tags.length > 0 && matching.size === 0 && notes.length === 0) {
    notes.push(
      `No scalars match ${tags
        .slice(0, MAX_LINES)
        .map((tag) => shortened(tag, 80))
        .join(", ")}`,
    );
  }
  const name = title || tags.slice(0, MAX_LINES).join(", ") || margins.map(({ value }) => value).join(", ");
  return { title: shortened(name, 300), lines, margins: found.slice(0, MAX_LINES), notes: notes.slice(0, 10) };
}

/**
 * Whether a tag begins with what the pattern says, as `re.match` of TensorBoard's Python has it. The pattern is the event
 * file's, so it is matched in linear time: RE2, which has all of Python's syntax but look-around and back references.
 *
 * Source: `scalars_impl` of tensorboard/plugins/custom_scalar/custom_scalars_plugin.py.
 */
function matcherOf(pattern: string): ((tag: string) => boolean) | null {
  if (pattern.length > MAX_PATTERN) return null;
  try {
    const compiled = RE2JS.compile(pattern);
    return (tag) => compiled.matcher(tag.slice(0, MAX_TAG)).lookingAt();
  } catch {
    return null;
  }
}

/** At most `MAX_POINTS`: of each stretch its least and its greatest value, so that no spike is lost. */
export function pointsOf({ steps, values }: ScalarSeries): { steps: number[]; values: (number | null)[] } {
  const count = Math.min(steps.length, values.length);
  const kept: number[] = [];
  const stretches = count > MAX_POINTS ? MAX_POINTS / 2 : count;
  for (let stretch = 0; stretch < stretches; stretch++) {
    const [from, to] = [Math.floor((stretch * count) / stretches), Math.floor(((stretch + 1) * count) / stretches)];
    let [least, most] = [from, from];
    for (let i = from; i < to; i++) {
      const value = values[i] as number;
      if (value < (values[least] as number) || Number.isNaN(values[least])) least = i;
      if (value > (values[most] as number) || Number.isNaN(values[most])) most = i;
    }
    kept.push(Math.min(least, most));
    if (least !== most) kept.push(Math.max(least, most));
  }
  kept.sort((a, b) => Number(steps[a]) - Number(steps[b]) || a - b);
  return { steps: kept.map((i) => Number(steps[i])), values: kept.map((i) => rounded(values[i] as number)) };
}
