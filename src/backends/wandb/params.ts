/** The hyperparameters of a batch, and those that are too large for a run's config. */
import { type Datum, holdsHparams } from "../../reader/datum.ts";
import type { PythonValue } from "../../reader/python-text.ts";
import type { Batch } from "../../sync/backend.ts";
import { jsonText } from "./json.ts";
import { jsonOf } from "./run-config.ts";

/**
 * Bytes of a value in JSON. The whole config is sent with every batch, and many proxies take 1 MB of a request; W&B's docs
 * want less than 1 MB of a value.
 */
const MAX_PARAM = 512 * 1024;

/** One that is not stored. */
export interface RefusedParam {
  readonly name: string;
  /** That holds it; undefined for one of `hparams.yaml`. */
  readonly datum: Datum | undefined;
  readonly reason: string;
}

export interface BatchParams {
  /** By name. */
  readonly values: ReadonlyMap<string, PythonValue>;
  readonly refused: readonly RefusedParam[];
}

export function paramsOf({ data, hparams }: Batch): BatchParams {
  const values = new Map<string, PythonValue>();
  const refused: RefusedParam[] = [];
  const take = (name: string, value: PythonValue, datum: Datum | undefined) => {
    const bytes = Buffer.byteLength(name) + sizeOf(value);
    if (bytes <= MAX_PARAM) values.set(name, value);
    else refused.push({ name, datum, reason: `it has ${bytes} bytes, and W&B's config takes ${MAX_PARAM} of a value` });
  };
  for (const [name, value] of hparams) take(name, value, undefined);
  for (const datum of data) {
    if (datum.kind !== "hparams" || !holdsHparams(datum.record)) continue;
    for (const [name, value] of datum.record.hparams) take(name, value, datum);
  }
  return { values, refused };
}

function sizeOf(value: PythonValue): number {
  return typeof value === "object" || typeof value === "string" ? Buffer.byteLength(jsonText(jsonOf(value))) : 0;
}
