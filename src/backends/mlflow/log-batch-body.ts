/**
 * The body of `runs/log-batch`.
 *
 * MLflow parses it field by field, and where a field does not parse it answers `200 {}` all the same, having dropped that
 * field and everything behind it. So every field is checked here, and metrics stand before tags: a tag that says how far
 * the metrics are must never get in without them.
 */
import type { MetricColumns } from "./store.ts";

/** MLflow cuts a longer tag value without a word. Counted in code points. */
export const MAX_TAG_LENGTH = 8000;
/** MLflow cuts a longer param value without a word. Counted in code points. */
export const MAX_PARAM_LENGTH = 6000;

/** The part of a batch that one request carries. */
export interface LogBatchPart {
  readonly metrics: MetricColumns;
  /** First metric, and the one behind the last. */
  readonly from: number;
  readonly to: number;
  readonly params: Iterable<readonly [key: string, value: string]>;
  readonly tags: Iterable<readonly [key: string, value: string]>;
}

/**
 * The JSON text of `part` for run `runId`.
 *
 * @throws Error for a field that MLflow would drop or change in silence: the caller should not have let it come so far
 */
export function logBatchBody(runId: string, part: LogBatchPart): string {
  const params = keyValues(part.params, "param", MAX_PARAM_LENGTH);
  const tags = keyValues(part.tags, "tag", MAX_TAG_LENGTH);
  return `{"run_id":${quoted(runId, "run id")},"metrics":[${metrics(part)}],"params":[${params}],"tags":[${tags}]}`;
}

function metrics({ metrics: columns, from, to }: LogBatchPart): string {
  if (!(Number.isInteger(from) && Number.isInteger(to) && from >= 0 && from <= to && to <= columns.length)) {
    throw new Error(`no range of ${columns.length} metrics: ${from} to ${to}`);
  }
  for (const column of [columns.key, columns.step, columns.timestamp, columns.value]) {
    if (column.length < columns.length) throw new Error(`a column holds ${column.length} of ${columns.length} metrics`);
  }
  const heads: string[] = [];
  let text = "";
  // Points come in rows that share step and time, so both are usually what they were.
  let step: bigint | undefined;
  let timestamp: number | undefined;
  let tail = "";
  for (let i = from; i < to; i++) {
    const id = columns.key[i] as number;
    const head = (heads[id] ??= `{"key":${quoted(columns.keys[id], "metric key")},"value":`);
    if (columns.step[i] !== step || columns.timestamp[i] !== timestamp) {
      step = columns.step[i] as bigint;
      timestamp = columns.timestamp[i] as number;
      tail = `,"timestamp":${timestampText(timestamp)},"step":${stepText(step)}}`;
    }
    text += (i === from ? head : `,${head}`) + valueText(columns.value[i] as number) + tail;
  }
  return text;
}

/** Shortest decimal that reads back as the same double. JSON has no word for what is not finite; protobuf has these. */
function valueText(value: number): string {
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0";
  if (Number.isFinite(value)) return String(value);
  if (value === Number.POSITIVE_INFINITY) return '"Infinity"';
  return value === Number.NEGATIVE_INFINITY ? '"-Infinity"' : '"NaN"';
}

function timestampText(timestamp: number): string {
  // Number.isSafeInteger also keeps String() clear of exponents.
  if (Number.isSafeInteger(timestamp) && timestamp >= 0) return String(timestamp);
  throw new Error(`timestamp ${timestamp} is no whole number of milliseconds since 1970`);
}

const MAX_EXACT = 2n ** 53n;

/** A string where a JSON reader that knows doubles only would round. */
function stepText(step: bigint): string {
  return step <= MAX_EXACT && step >= -MAX_EXACT ? step.toString() : `"${step}"`;
}

function keyValues(
  entries: Iterable<readonly [key: string, value: string]>,
  what: "param" | "tag",
  maxLength: number,
): string {
  const texts: string[] = [];
  for (const [key, value] of entries) {
    if (key === "") throw new Error(`${what} without a key`);
    // A code point is one or two UTF-16 units, so only texts between the two bounds have to be counted.
    if (value.length > maxLength && (value.length > 2 * maxLength || [...value].length > maxLength)) {
      throw new Error(
        `value of ${what} ${JSON.stringify(key)} is longer than the ${maxLength} characters MLflow keeps`,
      );
    }
    texts.push(
      `{"key":${quoted(key, `${what} key`)},"value":${quoted(value, `value of ${what} ${JSON.stringify(key)}`)}}`,
    );
  }
  return texts.join();
}

/** `text` as a JSON string. Half a surrogate pair is a field that does not parse: protobuf texts are UTF-8. */
function quoted(text: string | undefined, what: string): string {
  if (typeof text !== "string") throw new Error(`${what} is missing`);
  if (/\p{Surrogate}/u.test(text)) throw new Error(`${what} holds half a surrogate pair`);
  return JSON.stringify(text);
}
