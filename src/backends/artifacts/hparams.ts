/**
 * What an experiment says of its hyperparameters and metrics (domains, names, descriptions) →
 * `hparams/<tag>/<digest>.json`, readable in the artifact viewer: protobuf's JSON of an `Experiment`. All such records of
 * a run have one tag and step, so that the digest of what they say tells them apart. The other records of the hparams
 * plugin are params and the run's status, not files.
 *
 * Source: tensorboard/plugins/hparams/api.proto.
 */
import { createHash } from "node:crypto";
import { type Json, readableJson } from "../../encode/json.ts";
import type { HparamsDatum } from "../../reader/datum.ts";
import type { Artifact } from "./artifact.ts";
import type { MediaContext } from "./context.ts";

type Domain = (HparamsDatum["record"] & { readonly type: "experiment" })["hparams"][number]["domain"];

const TYPES = ["DATA_TYPE_UNSET", "DATA_TYPE_STRING", "DATA_TYPE_BOOL", "DATA_TYPE_FLOAT64"] as const;

/** The file of an experiment's record; none for any other record. */
export function encodeHparams({ tag, record }: HparamsDatum, { paths }: MediaContext): Artifact[] {
  if (record.type !== "experiment") return [];
  const experiment = {
    description: record.description,
    user: record.user,
    time_created_secs: record.timeCreated,
    hparam_infos: record.hparams.map((hparam) => ({
      name: hparam.name,
      display_name: hparam.displayName,
      description: hparam.description,
      type: TYPES[hparam.type] ?? hparam.type,
      ...domainOf(hparam.domain),
    })),
    metric_infos: record.metrics.map((metric) => ({
      name: { group: metric.group, tag: metric.tag },
      display_name: metric.displayName,
      description: metric.description,
    })),
  };
  const bytes = readableJson(experiment);
  const digest = createHash("sha256").update(bytes).digest("hex").slice(0, 8);
  return [{ path: `${paths.directory("hparams", tag)}/${digest}.json`, bytes }];
}

function domainOf(domain: Domain): Readonly<Record<string, Json>> {
  if (domain === null) return {};
  if ("min" in domain) return { domain_interval: { min_value: domain.min, max_value: domain.max } };
  return { domain_discrete: domain };
}
