/** What MLflow's REST API is asked, as text. */
import type { HttpRequest, JsonObject } from "../../net/request.ts";

/** In front of every method of its API. */
export const API = "/api/2.0/mlflow/";

/** The token of the page that begins with the run of this index. Source: `SearchUtils` in mlflow/utils/search_utils.py. */
export function tokenAt(offset: number): string {
  return Buffer.from(JSON.stringify({ offset })).toString("base64");
}

/** A tag's name in a search filter. */
export function tagName(key: string): string {
  if (key.includes("`")) throw new Error(`no search can name the tag ${JSON.stringify(key)}`);
  return `tags.\`${key}\``;
}

/** A text in a search filter, which knows two quotes and no escape. */
export function literal(value: string): string {
  if (!value.includes("'")) return `'${value}'`;
  if (!value.includes('"')) return `"${value}"`;
  throw new Error("no search can find a value with both kinds of quotes");
}

/**
 * The JSON text of a request's body. MLflow drops a text that is no UTF-8, and every field behind it, and answers 200:
 * a run would be made without the tags by which it is found again.
 */
export function json(body: JsonObject): string {
  return JSON.stringify(body, (name, value: unknown) => {
    if (typeof value !== "string" || !/\p{Surrogate}/u.test(value)) return value;
    throw new Error(`${name} holds half a surrogate pair`);
  });
}

export function entries(map: ReadonlyMap<string, string>): { key: string; value: string }[] {
  return Array.from(map, ([key, value]) => ({ key, value }));
}

export function milliseconds(time: number): number {
  if (Number.isSafeInteger(time) && time >= 0) return time;
  throw new Error(`time ${time} is no whole number of milliseconds since 1970`);
}

/** A database that does not store all letters may not even compare them: its error is that of one that is away. */
export const ANY_EXPERIMENT: Pick<HttpRequest, "counterpart"> = {
  counterpart: {
    about: "letters",
    request: () => ({
      method: "GET",
      path: `${API}experiments/search`,
      query: { max_results: "1" },
      retryLostReply: true,
    }),
  },
};
