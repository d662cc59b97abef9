/**
 * Finds what MLflow refuses of a batch, and sends the rest. MLflow refuses a request as a whole, mostly for one field of
 * it; which one, its words tell people only.
 */

import { ContentRefused } from "../../net/refusal.ts";
import { isAscii } from "../storable-text.ts";
import { pick } from "./metric-columns.ts";
import { type MetricColumns, type MlflowStore } from "./store.ts";

/** What was refused of a batch, and how. */
export interface Refused {
  /** By their index. */
  readonly metrics: ReadonlyMap<number, ContentRefused>;
  /** By their key. */
  readonly params: ReadonlyMap<string, ContentRefused>;
}

export const NOTHING_REFUSED: Refused = { metrics: new Map(), params: new Map() };

export interface Content {
  readonly metrics: MetricColumns;
  readonly params: ReadonlyMap<string, string>;
}

/** A batch of which more is refused is refused for another reason than its values; so is one of which all is. */
const MAX_FOUND = 100;
const MAX_IN_VAIN = 10;
/**
 * What a database says, or its driver, of letters that it does not store: MySQL, PostgreSQL, Python. That goes for all that
 * is written in them, however much it is.
 */
const OF_LETTERS = /Incorrect string value|has no equivalent in encoding|Illegal mix of collations|codec can't encode/;
/** Points of one key that are tried before all of them count as refused. */
const PROBES = 5;

/**
 * Store all that MLflow takes of a batch that it has refused as a whole.
 *
 * Each value that it refuses costs two requests for each halving of the batch. A key of which points from its first to
 * its last are refused in the same words is refused as a whole.
 *
 * @param known tags that the run has: if MLflow does not take even these, it is not for what the batch holds
 * @param whole how the batch was refused
 * @throws `whole` if it is the run or the server that is at fault; the store's error if that is none of the content
 */
export async function storeAround(
  store: MlflowStore,
  runId: string,
  { metrics, params }: Content,
  known: ReadonlyMap<string, string>,
  whole: ContentRefused,
): Promise<Refused> {
  const paramList = [...params];
  /** Parameters first, then the points in the order of their keys. */
  const all = Array.from({ length: paramList.length + metrics.length }, (_, i) => i);
  const groupOf = (item: number) =>
    item < paramList.length ? item : paramList.length + (metrics.key[item - paramList.length] as number);
  all.sort((a, b) => groupOf(a) - groupOf(b) || a - b);

  const attempt = async (tags: ReadonlyMap<string, string>, items: readonly number[]) => {
    const [some, points] = [[] as (readonly [string, string])[], [] as number[]];
    for (const item of items) {
      const param = paramList[item];
      if (param === undefined) points.push(item - paramList.length);
      else some.push(param);
    }
    try {
      await store.logBatch(runId, { metrics: pick(metrics, points), params: new Map(some), tags });
      return undefined;
    } catch (error) {
      if (error instanceof ContentRefused) return error;
      throw error;
    }
  };
  if (all.length === 0 || (await attempt(known, [])) !== undefined) throw whole;

  const refused = new Map<number, ContentRefused>();
  let found = 0;
  let accepted = false;
  const isForLetters = (item: number, { reason }: ContentRefused) => {
    const texts = paramList[item] ?? [metrics.keys[metrics.key[item - paramList.length] as number] as string];
    return OF_LETTERS.test(reason) && !texts.every(isAscii);
  };
  const refuse = (items: readonly number[], error: ContentRefused) => {
    if (!isForLetters(items[0] as number, error)) found++;
    if (found > MAX_FOUND || (!accepted && found > MAX_IN_VAIN)) throw whole;
    for (const item of items) refused.set(item, error);
  };
  const send = async (items: readonly number[]) => {
    const error = items.length === 0 ? undefined : await attempt(NO_TAGS, items);
    if (error === undefined) accepted ||= items.length > 0;
    return error;
  };

  // In breadth, so that what is good is found before much is known to be bad.
  const left: { readonly items: readonly number[]; readonly error: ContentRefused; readonly probed: boolean }[] = [];
  const put = async (items: readonly number[], probed: boolean) => {
    const error = await send(items);
    if (error !== undefined) left.push({ items, error, probed });
  };
  await put(all, false);
  for (let next = left.shift(); next !== undefined; next = left.shift()) {
    const { items, error, probed } = next;
    const isOneGroup = groupOf(items[0] as number) === groupOf(items.at(-1) as number);
    if (items.length === 1 || (isOneGroup && isForLetters(items[0] as number, error))) refuse(items, error);
    else if (probed || items.length <= PROBES || !isOneGroup) {
      const middle = boundaryNear(items, groupOf);
      await put(items.slice(0, middle), probed);
      await put(items.slice(middle), probed);
    } else {
      const probes = spread(items, PROBES);
      const errors = new Map<number, ContentRefused | undefined>();
      for (const probe of probes) errors.set(probe, await send([probe]));
      const [first] = errors.values();
      const key = metrics.keys[groupOf(items[0] as number) - paramList.length] as string;
      const isAlike = [...errors.values()].every((other) => other !== undefined && other.reason === first?.reason);
      // Where nothing was taken yet, words that say nothing of the key may be said of everything.
      if (first !== undefined && isAlike && (accepted || first.reason.includes(key))) refuse(items, first);
      else {
        for (const [probe, refusal] of errors) if (refusal !== undefined) refuse([probe], refusal);
        await put(
          items.filter((item) => !errors.has(item)),
          true,
        );
      }
    }
  }
  return splitUp(refused, paramList);
}

function splitUp(
  refused: ReadonlyMap<number, ContentRefused>,
  paramList: readonly (readonly [key: string, value: string])[],
): Refused {
  const metrics = new Map<number, ContentRefused>();
  const params = new Map<string, ContentRefused>();
  for (const [item, error] of refused) {
    const param = paramList[item];
    if (param === undefined) metrics.set(item - paramList.length, error);
    else params.set(param[0], error);
  }
  return { metrics, params };
}

const NO_TAGS: ReadonlyMap<string, string> = new Map();

/** Where one group ends and the next begins, as near the middle as there is such a place; in one group, its middle. */
function boundaryNear(items: readonly number[], groupOf: (item: number) => number): number {
  const middle = items.length >> 1;
  for (let distance = 0; distance < items.length; distance++) {
    for (const at of [middle - distance, middle + distance]) {
      if (at <= 0 || at >= items.length) continue;
      if (groupOf(items[at - 1] as number) !== groupOf(items[at] as number)) return at;
    }
  }
  return middle;
}

/** `n` of the items, the first and the last among them. */
function spread(items: readonly number[], n: number): number[] {
  return Array.from({ length: n }, (_, i) => items[Math.round((i * (items.length - 1)) / (n - 1))] as number);
}
