/**
 * A run's labels → where W&B has the same. What is recorded of git and of Python comes under MLflow's names.
 *
 * Source: core/internal/runupserter/runupserter.go, `EnvironmentRecord` of wandb_internal.proto.
 */
import type { RunEnvironment } from "./run-config.ts";
import type { RunFields, RunFile } from "./store.ts";

const GIT = "mlflow.source.git.";

export interface Places {
  readonly fields: Pick<RunFields, "commit" | "repo" | "host">;
  readonly environment: RunEnvironment;
  /** Those that W&B has no place for. */
  readonly others: ReadonlyMap<string, string>;
}

export function placesOf(labels: ReadonlyMap<string, string>): Places {
  const others = new Map(labels);
  const take = (name: string): string | undefined => {
    const value = others.get(name);
    others.delete(name);
    return value;
  };
  const [commit, remote] = [take(`${GIT}commit`), take(`${GIT}repoURL`)];
  const [python, os, host] = [take("env.python"), take("env.platform"), take("env.host")];
  const given = { ...(python && { python }), ...(os && { os }), ...(host && { host }) };
  const git = { ...(remote && { remote }), ...(commit && { commit }) };
  return {
    fields: { ...(commit && { commit }), ...(remote && { repo: remote }), ...(host && { host }) },
    environment: { ...given, ...(Object.keys(git).length > 0 && { git }) },
    others: new Map(
      Array.from(others, ([name, value]) => [name.startsWith(GIT) ? `git.${name.slice(GIT.length)}` : name, value]),
    ),
  };
}

/** The file in which W&B's page and public API look for where a run was made. Source: core/internal/stream/sender.go. */
export function metadataFile(environment: RunEnvironment): RunFile & { readonly body: Uint8Array } {
  return { path: "wandb-metadata.json", body: Buffer.from(JSON.stringify(environment, undefined, 2)) };
}
