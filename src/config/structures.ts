/** Values that have a structure: checked and read by their shapes, which are loaded for the first of them. */
import { TraceletError } from "../errors.ts";
import type { OptionTable } from "../sync/option.ts";

/** What is wrong with a value, and where in it. */
interface Misshapen {
  /** Keys and indices from the value down; empty for the value itself. */
  readonly path: readonly (string | number)[];
  readonly problem: string;
}

/**
 * @param name of the option
 * @returns what the option's shape makes of the value; undefined if it has no shape
 */
export async function shapedValue(
  name: string,
  value: unknown,
): Promise<{ readonly value: unknown } | Misshapen | undefined> {
  const [{ SHAPES }, { safeParse }] = await Promise.all([import("./shapes.ts"), import("valibot")]);
  const shape = SHAPES[name];
  if (shape === undefined) return undefined;
  const result = safeParse(shape, value, { abortEarly: true });
  if (result.success) return { value: result.output };
  const [issue] = result.issues;
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  const isDefault = issue.message.startsWith("Invalid ");
  // valibot says so of a key that a strict object does not have.
  const isUnknown = isDefault && issue.expected === "never";
  const problem = isUnknown
    ? "there is no such key"
    : isDefault
      ? `expected ${issue.expected ?? "something else"}, not ${issue.received}`
      : issue.message;
  return { path, problem };
}

/** The same options with those that have a structure checked and read. @throws TraceletError `usage` */
export async function withStructures(
  table: OptionTable,
  values: Readonly<Record<string, unknown>>,
): Promise<Record<string, unknown>> {
  const read: Record<string, unknown> = { ...values };
  for (const [name, value] of Object.entries(values)) {
    if (table[name]?.form !== "structure" || value === undefined) continue;
    const shaped = await shapedValue(name, value);
    if (shaped === undefined) continue;
    if ("problem" in shaped)
      throw new TraceletError("usage", `option ${[name, ...shaped.path].join(".")}: ${shaped.problem}`);
    read[name] = shaped.value;
  }
  return read;
}
