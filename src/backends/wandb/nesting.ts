/**
 * Hyperparameters nested as W&B shows them. TensorBoard's writers flatten mappings with `/`, since the hparams plugin knows no
 * nested values; W&B's own loggers keep them.
 */
import { type JsonValue, objectOf } from "./json.ts";

/**
 * Put a value where its name says. Where a name is both a value's and the beginning of others, the value keeps it, and the
 * others stay flat.
 *
 * @param values the top level, by key; changed
 * @param fresh mappings that nobody else has, which are added to; all others are copied first, and become such
 */
export function setNested(
  values: Map<string, JsonValue>,
  name: string,
  value: JsonValue,
  fresh: WeakSet<object>,
): void {
  const [top = "", ...below] = name.split("/");
  if (top === "" || below.includes("")) {
    values.set(name, value);
    return;
  }
  if (below.length === 0) {
    const above = isMapping(value) ? [] : leavesOf(name, values.get(name));
    for (const [flat, each] of above) values.set(flat, each);
    values.set(name, value);
    return;
  }
  const whole = put(values.get(top), below, value, fresh);
  if (whole === undefined) values.set(name, value);
  else values.set(top, whole);
}

/** `node` with the value in it; undefined if another value is in the way. */
function put(
  node: JsonValue | undefined,
  [key, ...below]: readonly string[],
  value: JsonValue,
  fresh: WeakSet<object>,
): JsonValue | undefined {
  if (key === undefined) return isMapping(node) && Object.keys(node).length > 0 ? undefined : value;
  if (node !== undefined && !isMapping(node)) return undefined;
  const fields = objectOf(node);
  const child = put(Object.hasOwn(fields, key) ? fields[key] : undefined, below, value, fresh);
  if (child === undefined) return undefined;
  if (fresh.has(fields)) {
    // An assignment to `__proto__` would be none.
    Object.defineProperty(fields, key, { value: child, writable: true, enumerable: true, configurable: true });
    return fields;
  }
  const copy = { ...fields, [key]: child };
  fresh.add(copy);
  return copy;
}

/** The values in a mapping, by their flat names. */
function leavesOf(name: string, node: JsonValue | undefined): [string, JsonValue][] {
  if (!isMapping(node)) return [];
  return Object.entries(node).flatMap(([key, each]) => {
    const flat = `${name}/${key}`;
    return isMapping(each) ? leavesOf(flat, each) : [[flat, each]];
  });
}

function isMapping(value: JsonValue | undefined): value is { readonly [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
