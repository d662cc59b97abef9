/** Custom scalars: a layout of charts over other tags. */
import type { CustomScalarsChart, CustomScalarsDatum } from "../datum.ts";
import { tensorboard } from "../proto/tensorboard.js";
import { type Body, type PluginValue, parse, stringsOf, UnreadableError } from "./plugin.ts";

/**
 * The layout: a tensor of one string, a serialized `Layout`.
 *
 * Source: `layout_impl` of tensorboard/plugins/custom_scalar/custom_scalars_plugin.py.
 *
 * @throws UnreadableError if there is not exactly one string or it is no layout; TensorError if the tensor cannot be
 *   decoded
 */
export function customScalarsOfTensor(value: PluginValue): Body<CustomScalarsDatum> {
  const { data } = stringsOf(value);
  const [serialized] = data;
  if (serialized === undefined || data.length !== 1) {
    throw new UnreadableError(`there are ${data.length} strings; possible is one, the layout`);
  }
  const layout = parse((reader) => tensorboard.Layout.decode(reader), serialized, "Layout");
  return {
    kind: "custom_scalars",
    categories: layout.category.map((category) => ({
      title: category.title ?? "",
      closed: category.closed ?? false,
      charts: (category.chart ?? []).map(chartOf),
    })),
  };
}

function chartOf(chart: tensorboard.Chart.$Properties): CustomScalarsChart {
  const series = chart.margin?.series ?? [];
  return {
    title: chart.title ?? "",
    tags: chart.multiline?.tag ?? [],
    margins: series.map((one) => ({ value: one.value ?? "", lower: one.lower ?? "", upper: one.upper ?? "" })),
  };
}
