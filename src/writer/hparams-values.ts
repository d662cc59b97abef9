/**
 * Hyperparameters and what they led to → the three records of the hparams plugin.
 *
 * Source: `hparams` of torch/utils/tensorboard/summary.py. Unlike there, a boolean stays one.
 */
import { type google, tensorboard } from "../reader/proto/tensorboard.js";
import type { SummaryValue } from "./event-record.ts";

export type WriteHparam = string | number | boolean;

const { HParamsPluginData, DataType, Status } = tensorboard.hparams;
const TYPES = {
  string: DataType.DATA_TYPE_STRING,
  number: DataType.DATA_TYPE_FLOAT64,
  boolean: DataType.DATA_TYPE_BOOL,
} as const;

/** The experiment, the session's beginning and its end. @param metrics tags of the metrics */
export function hparamsValues(
  hparams: Readonly<Record<string, WriteHparam>>,
  metrics: readonly string[],
): [experiment: SummaryValue, start: SummaryValue, end: SummaryValue] {
  const entries = Object.entries(hparams);
  const hparamInfos = entries.map(([name, value]) => ({ name, type: TYPES[typeof value as keyof typeof TYPES] }));
  const metricInfos = metrics.map((tag) => ({ name: { tag } }));
  const values = Object.fromEntries(entries.map(([name, value]) => [name, protoOf(value)]));
  return [
    valueOf("_hparams_/experiment", { experiment: { hparamInfos, metricInfos } }),
    valueOf("_hparams_/session_start_info", { sessionStartInfo: { hparams: values } }),
    valueOf("_hparams_/session_end_info", { sessionEndInfo: { status: Status.STATUS_SUCCESS } }),
  ];
}

function protoOf(value: WriteHparam): google.protobuf.Value.$Properties {
  if (typeof value === "string") return { stringValue: value };
  return typeof value === "number" ? { numberValue: value } : { boolValue: value };
}

function valueOf(tag: string, data: tensorboard.hparams.HParamsPluginData.$Properties): SummaryValue {
  const content = HParamsPluginData.encode(data).finish();
  return { tag, metadata: { pluginData: { pluginName: "hparams", content } } };
}
