/** The kinds of values by the names the command line has for them, and which of them are to be sent. */
import { TraceletError } from "../errors.ts";
import type { Kind } from "../reader/datum.ts";
import type { CommandOptions } from "./options.ts";

/** Each but `unreadable`, which nobody can ask for. */
export const KINDS: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["scalars", "scalars"],
  ["images", "images"],
  ["histograms", "histograms"],
  ["audio", "audio"],
  ["text", "text"],
  ["graphs", "graphs"],
  ["hparams", "hparams"],
  ["pr-curves", "pr_curves"],
  ["meshes", "mesh"],
  ["embeddings", "embeddings"],
  ["custom-scalars", "custom_scalars"],
  ["run-tags", "run_tags"],
  ["artifacts", "artifacts"],
  ["metric-info", "metric_info"],
  ["tensors", "tensors"],
]);

/** What `--only` and the `--no-…` of each kind say. */
export type KindOptions = Pick<
  CommandOptions<"sync">,
  | "only"
  | "scalars"
  | "images"
  | "histograms"
  | "audio"
  | "text"
  | "graphs"
  | "hparams"
  | "prCurves"
  | "meshes"
  | "embeddings"
  | "customScalars"
  | "runTags"
  | "artifacts"
  | "metricInfo"
  | "tensors"
>;

/** Names with commas between, also those that reports have, such as `pr_curves`; several lists add up. */
export function parseKinds(text: string, before: readonly Kind[] | undefined): Kind[] {
  const names = text.split(",").map((name) => name.trim());
  return [...(before ?? []), ...names.filter((name) => name !== "").map(kindOf)];
}

function kindOf(name: string): Kind {
  const kind = KINDS.get(name) ?? [...KINDS.values()].find((kind) => kind === name);
  if (kind === undefined) throw new TraceletError("usage", `There is no kind ${name}; there are ${kindNames()}.`);
  return kind;
}

/** The names, for people. */
export function kindNames(): string {
  return [...KINDS.keys()].join(", ");
}

/** The kinds that are not to be sent: all but those of `--only`, and those taken away. @throws TraceletError `usage` */
export function excludedKinds(options: KindOptions): Set<Kind> {
  const { only } = options;
  const excluded = [...KINDS].filter(([name, kind]) => {
    const attribute = name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
    return !options[attribute as Exclude<keyof KindOptions, "only">] || (only !== undefined && !only.includes(kind));
  });
  if (excluded.length === KINDS.size) {
    throw new TraceletError("usage", "of all kinds none is left to be sent", {
      hint: "--only and the --no-… of kinds, or their variables, exclude each other",
    });
  }
  return new Set(excluded.map(([, kind]) => kind));
}
