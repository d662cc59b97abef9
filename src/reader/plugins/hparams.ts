/** Hyperparameters: records that stand in the metadata, beside a tensor that means nothing. */
import type { HparamsDatum, HparamValue } from "../datum.ts";
import { type google, tensorboard } from "../proto/tensorboard.js";
import { type Body, type PluginValue, parse, UnreadableError } from "./plugin.ts";

type HparamsRecord = HparamsDatum["record"];
type RecordOf<T extends HparamsRecord["type"]> = Extract<HparamsRecord, { readonly type: T }>;

/** `PLUGIN_DATA_VERSION` of tensorboard/plugins/hparams/metadata.py. */
const VERSION = 0;
const STATUSES = ["unknown", "success", "failure", "running"] as const;

/**
 * The record in the value's metadata: what an experiment may vary and measures, or a session's beginning or end.
 *
 * Source: `_parse_plugin_data_as` of tensorboard/plugins/hparams/metadata.py.
 *
 * @throws UnreadableError if the metadata holds no such record, or one of another version than TensorBoard knows
 */
export function hparamsOfMetadata(value: PluginValue): Body<HparamsDatum> {
  const { HParamsPluginData } = tensorboard.hparams;
  const data = parse((reader) => HParamsPluginData.decode(reader), value.metadata.content, "HParamsPluginData");
  if (data.version !== VERSION) {
    throw new UnreadableError(`the hparams are of version ${data.version}; possible is ${VERSION}`);
  }
  if (data.experiment) return { kind: "hparams", record: experimentOf(data.experiment) };
  if (data.sessionStartInfo) return { kind: "hparams", record: startOf(data.sessionStartInfo) };
  if (data.sessionEndInfo) return { kind: "hparams", record: endOf(data.sessionEndInfo) };
  throw new UnreadableError("the hparams hold no record; possible are an experiment, a session's start or its end");
}

function experimentOf(experiment: tensorboard.hparams.Experiment.$Properties): RecordOf<"experiment"> {
  return {
    type: "experiment",
    timeCreated: experiment.timeCreatedSecs ?? 0,
    description: experiment.description ?? "",
    user: experiment.user ?? "",
    hparams: (experiment.hparamInfos ?? []).map((info) => ({
      name: info.name ?? "",
      displayName: info.displayName ?? "",
      description: info.description ?? "",
      type: info.type ?? 0,
      domain: domainOf(info),
    })),
    metrics: (experiment.metricInfos ?? []).map((info) => ({
      group: info.name?.group ?? "",
      tag: info.name?.tag ?? "",
      displayName: info.displayName ?? "",
      description: info.description ?? "",
    })),
  };
}

function domainOf(
  info: tensorboard.hparams.HParamInfo.$Properties,
): RecordOf<"experiment">["hparams"][number]["domain"] {
  if (info.domainDiscrete) return (info.domainDiscrete.values ?? []).map(valueOf);
  if (info.domainInterval) return { min: info.domainInterval.minValue ?? 0, max: info.domainInterval.maxValue ?? 0 };
  return null;
}

function startOf(info: tensorboard.hparams.SessionStartInfo.$Properties): RecordOf<"session_start"> {
  return {
    type: "session_start",
    hparams: new Map(Object.entries(info.hparams ?? {}).map(([name, value]) => [name, valueOf(value)])),
    groupName: info.groupName ?? "",
    modelUri: info.modelUri ?? "",
    monitorUrl: info.monitorUrl ?? "",
    startTime: info.startTimeSecs ?? 0,
  };
}

function endOf(info: tensorboard.hparams.SessionEndInfo.$Properties): RecordOf<"session_end"> {
  return { type: "session_end", status: STATUSES[info.status ?? 0] ?? "unknown", endTime: info.endTimeSecs ?? 0 };
}

/** protobuf's `Value`; one that was never set is null, too. */
function valueOf(value: google.protobuf.Value.$Properties): HparamValue {
  if (value.structValue) {
    // fromEntries makes properties of their own, also of a key like "__proto__".
    const fields = Object.entries(value.structValue.fields ?? {});
    return Object.fromEntries(fields.map(([key, field]) => [key, valueOf(field)]));
  }
  if (value.listValue) return (value.listValue.values ?? []).map(valueOf);
  return value.numberValue ?? value.stringValue ?? value.boolValue ?? null;
}
