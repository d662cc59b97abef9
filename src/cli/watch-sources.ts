/** The sources of a configuration file, watched as one: each has an engine of its own, and none holds another up. */
import { chosenBackends } from "../config/destinations.ts";
import { asTraceletError, type TraceletError } from "../errors.ts";
import { worstOf } from "./destination-ends.ts";
import { exitCodeOfError } from "./failure.ts";
import type { Job } from "./jobs.ts";
import type { FollowEnd, WatchCommandOptions, WatchEngine } from "./watch-engine.ts";

export interface WatchedSource {
  readonly job: Job<WatchCommandOptions>;
  /** Undefined where there is only one. */
  readonly name: string | undefined;
  /** Of its destinations, as they are told apart from those of all sources. */
  readonly names: readonly string[];
  /** What JSON calls them, where there are several sources; under the source's own name, the source. */
  readonly identities: ReadonlyMap<string, object>;
  /** @param backend what `--backend` calls a destination */
  nameOf(backend: string): string;
}

/** @throws TraceletError `usage` */
export async function watchedSources(jobs: readonly Job<WatchCommandOptions>[]): Promise<WatchedSource[]> {
  return Promise.all(
    jobs.map(async (job) => {
      const backends = await chosenBackends(job.options.backend);
      const nameOf = (backend: string) => (job.name === "" ? backend : `${job.name}, ${backend}`);
      const source = job.name === "" ? undefined : job.name;
      const identities = new Map<string, object>();
      if (source !== undefined) {
        identities.set(source, { source, backend: null });
        for (const backend of backends) identities.set(nameOf(backend), { source, backend });
      }
      return { job, name: source, names: backends.map(nameOf), identities, nameOf };
    }),
  );
}

/** Follow all of them. Where one cannot go on, the others do, and it has its end. */
export async function followSources(
  sources: readonly WatchedSource[],
  follow: (source: WatchedSource) => ReturnType<WatchEngine>,
  tell: {
    /** @param name of a destination that nothing more is sent to */
    readonly onEnd: (name: string) => void;
    /** @param name of a source that could not go on */
    readonly onError: (error: TraceletError, name: string | undefined) => void;
  },
): ReturnType<WatchEngine> {
  const ends = await Promise.all(
    sources.map(async (source): Promise<readonly FollowEnd[]> => {
      try {
        const { destinations, code, interrupted } = await follow(source);
        // Left out where there is only one.
        if (destinations === undefined) return source.names.map((name) => ({ name, code, interrupted }));
        return destinations.map(({ name, ...end }) => ({ name: source.nameOf(name), ...end }));
      } catch (cause) {
        const error = asTraceletError(cause);
        const interrupted = error.code === "interrupted";
        for (const name of source.names) tell.onEnd(name);
        if (!interrupted) tell.onError(error, source.name);
        return source.names.map((name) => ({ name, code: exitCodeOfError(error), interrupted, error }));
      }
    }),
  );
  const destinations = ends.flat();
  return {
    code: worstOf(destinations.map(({ code }) => code)),
    interrupted: destinations.some(({ interrupted }) => interrupted),
    destinations,
  };
}
