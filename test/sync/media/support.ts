/** Contexts, data and fixtures for the encoders' tests. */
import { existsSync } from "node:fs";
import type { Artifact } from "../../../src/backends/artifacts/artifact.ts";
import { ArtifactPaths } from "../../../src/backends/artifacts/artifact-paths.ts";
import type { MediaContext } from "../../../src/backends/artifacts/context.ts";
import type { Datum, DatumBase, TagMetadata } from "../../../src/reader/datum.ts";
import { discover } from "../../../src/reader/discover.ts";
import { readFiles } from "../../support/read-values.ts";

// Set by `npm test`; a single file run by hand finds the same environment.
if (existsSync(".venv/bin/python")) process.env["TRACELET_TEST_PYTHON"] ??= ".venv/bin/python";

export function contextOf(source = "run-1"): MediaContext {
  return {
    source,
    paths: new ArtifactPaths(),
    timestamp: (wallTime) => (wallTime >= 0 && wallTime < 1e12 ? Math.floor(wallTime * 1000) : 0),
  };
}

export const METADATA: TagMetadata = {
  plugin: "",
  displayName: "",
  description: "",
  dataClass: 0,
  content: new Uint8Array(),
};

export function base(tag: string, step = 5n): DatumBase {
  return { tag, step, wallTime: 1_700_000_000.25, offset: 100, metadata: METADATA };
}

export function pathsOf(artifacts: readonly Artifact[]): string[] {
  return artifacts.map(({ path }) => path);
}

export function textOf(artifacts: readonly Artifact[], path: string): string {
  return Buffer.from(artifacts.find((artifact) => artifact.path === path)?.bytes ?? "missing").toString();
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

/** Everything but scalars in all fixtures. */
export async function fixtureData<K extends Datum["kind"]>(kind: K): Promise<Extract<Datum, { readonly kind: K }>[]> {
  const found: Extract<Datum, { readonly kind: K }>[] = [];
  for (const name of ["dtypes", "lightning", "odd", "tensorboardx", "tf1", "tf2", "torch"]) {
    for (const run of discover(`fixtures/${name}/runs`).runs) {
      for (const { values } of await readFiles(run)) {
        for (const value of values) if (value.kind === kind) found.push(value as (typeof found)[number]);
      }
    }
  }
  return found;
}
