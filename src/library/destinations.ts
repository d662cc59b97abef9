/** The destinations of a call, opened and locked. */
import { type Destination, heldAs, openDestinations } from "../config/destinations.ts";
import { HeldDestination } from "../config/held-destination.ts";
import type { CommandOptions } from "../config/options.ts";
import { asTraceletError, TraceletError } from "../errors.ts";
import { asList, type CallOptions } from "./options.ts";

export interface Holding {
  readonly name: string;
  readonly held: Promise<HeldDestination>;
}

type Asked = Pick<CallOptions<"sync">, "backend" | "destination" | "onNote"> & {
  readonly logdirs: readonly string[];
  readonly signal: AbortSignal;
  readonly live: boolean;
  readonly dryRun: boolean;
};

type Held = Pick<CommandOptions<"sync">, "stateDir" | "giveUpAfter" | "shutdownTimeout" | "group" | "since">;

/** @throws TraceletError `usage`, `unsupported`; what else keeps a destination from being opened rejects its `held` */
export async function hold(
  { backend, destination, onNote, logdirs, signal, live, dryRun }: Asked,
  options: Held,
): Promise<Holding[]> {
  const say = (line: string, name: string) => onNote?.(line, name);
  const take = (name: string, opened: Promise<Destination>) => ({
    name,
    held: HeldDestination.take(opened, logdirs, { ...options, readOnly: dryRun }).then((held) => {
      if (held.checkpoints.loss !== undefined) say(held.checkpoints.loss, name);
      return held;
    }),
  });
  if (destination !== undefined && asList(destination).length === 0)
    throw new TraceletError("usage", "destination is an empty list: nothing would be sent anywhere");
  if (destination !== undefined && dryRun)
    throw new TraceletError("usage", "dryRun is of no use with a destination that is open already", {
      hint: "give backend instead",
    });
  if (destination !== undefined)
    return asList(destination).map((open) => {
      // Whoever has opened it closes it.
      const kept = new Proxy(open.backend, {
        get(target, property) {
          if (property === "close") return async () => {};
          const value: unknown = Reflect.get(target, property);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
      return take(open.name, heldAs(open.name, { ...open, backend: kept }, options.stateDir));
    });
  const surroundings = { signal, live, dryRun, verbose: false, stdoutUser: undefined, say };
  const openings = await openDestinations(backend === undefined ? undefined : asList(backend), options, surroundings);
  return openings.map(({ name, opened }) => take(name, opened));
}

/** The end of one destination: its result, or why there is none. Then it is released; a failure of that is its error, too. */
export async function endOf<Result extends { readonly error: TraceletError | undefined }>(
  { name, held }: Holding,
  work: Promise<Result>,
  withoutResult: (error: TraceletError) => Result,
): Promise<Result & { readonly destination: string; readonly location: string | undefined }> {
  const holding = await held.catch(() => undefined);
  const result = await work.catch((error: unknown) => withoutResult(asTraceletError(error)));
  const location = holding?.destination.backend.location();
  const unreleased = await holding?.release().then(
    () => undefined,
    (error: unknown) => asTraceletError(error),
  );
  return { destination: name, location, ...result, error: result.error ?? unreleased };
}
