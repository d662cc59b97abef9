/** What `--backend` names, opened. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { TraceletError } from "../errors.ts";
import type { Backend, Quarantine } from "../sync/backend.ts";
import type { BackendPlugin, OpenedBackend, Surroundings } from "../sync/backend-plugin.ts";
import { BACKENDS, type RegisteredBackend } from "./backends.ts";
import { defaultOf } from "./given.ts";
import { registered } from "./registry.ts";

/** A destination with what the engine needs beside it. */
export interface Destination {
  /** What `--backend` calls it. */
  readonly name: string;
  readonly backend: Backend;
  /** Keeps what it refuses. */
  readonly quarantine: Quarantine;
  /** Names it in the state, without credentials. */
  readonly key: string;
  /** How many runs it is best sent at the same time. */
  readonly concurrency: number;
  /** How to view the result where it has no address. */
  readonly howToLook: string | undefined;
  /** Requests that were sent again so far. */
  readonly retries: () => number;
  /** See `OpenedBackend`. */
  readonly consult: OpenedBackend["consult"];
  /** Where what was sent is remembered. */
  readonly stateDir: string;
}

/** The options that matter to every backend, and those of each. */
export interface DestinationOptions {
  readonly stateDir: string;
  /** ms. */
  readonly giveUpAfter: number;
  /** ms. */
  readonly shutdownTimeout: number;
}

const CONCURRENCY = 4;

/** Without `--backend`. */
export const DEFAULT_BACKENDS: readonly string[] = ["mlflow"];

/** What the backends are called that were chosen, each once; MLflow if none are given. @throws TraceletError */
export async function chosenBackends(names: readonly string[] = DEFAULT_BACKENDS): Promise<string[]> {
  return (await choose(names)).map(({ name }) => name);
}

async function choose(names: readonly (string | BackendPlugin)[] = DEFAULT_BACKENDS): Promise<Chosen[]> {
  if (names.length === 0)
    throw new TraceletError("usage", "backend is an empty list: nothing would be sent anywhere", {
      hint: "name at least one, or leave it out for mlflow",
    });
  const chosen = new Map<string, RegisteredBackend>();
  for (const given of names) {
    const entry = await registered(given);
    chosen.set(entry.names.find((each) => each === given) ?? (entry.names[0] as string), entry);
  }
  return Array.from(chosen, ([name, entry]) => ({ name, entry }));
}

interface Chosen {
  readonly name: string;
  readonly entry: RegisteredBackend;
}

/** A destination that is being opened. */
export interface Opening {
  /** What `--backend` calls it. */
  readonly name: string;
  /** Rejects with a `TraceletError` if it cannot be opened. */
  readonly opened: Promise<Destination>;
}

/** What backends are told; each line names the one that it is about. */
export interface SharedSurroundings
  extends Omit<Surroundings, "giveUpAfterMs" | "shutdownTimeoutMs" | "sharesOptions" | "say"> {
  readonly say: (line: string, name: string, level?: "info" | "warning") => void;
}

/**
 * Begin to open all of them, once none has anything against its options. None waits for another: one may have to wait for a
 * database that somebody else holds.
 *
 * @param names of backends, or plug-ins; MLflow if none are given
 * @param options of the command or the caller; each backend takes its own from them
 * @throws TraceletError `usage`, `unsupported`; then none is opened
 */
export async function openDestinations(
  names: readonly (string | BackendPlugin)[] | undefined,
  options: DestinationOptions,
  { say, ...shared }: SharedSurroundings,
): Promise<Opening[]> {
  const { giveUpAfter: giveUpAfterMs, shutdownTimeout: shutdownTimeoutMs } = options;
  const chosen = await choose(names);
  const backends = await Promise.all(
    chosen.map(async ({ name, entry }) => {
      const { open, check } = await entry.load();
      const given = ownOptions(entry, options) as never;
      const isShared = sharesOptions(
        name,
        chosen.map((each) => each.name),
      );
      const own = { ...shared, giveUpAfterMs, shutdownTimeoutMs, sharesOptions: isShared };
      const surroundings = { ...own, say: (line: string, level?: "info" | "warning") => say(line, name, level) };
      check?.(given, surroundings, name);
      return { name, open: () => open(given, surroundings, name) };
    }),
  );
  return backends.map(({ name, open }) => {
    return { name, opened: (async () => heldAs(name, await open(), options.stateDir))() };
  });
}

/** @param name what `--backend` calls it @param ownStateDir where to remember what is sent to it */
export async function heldAs(
  name: string,
  { backend, address, concurrency, howToLook, retries, isForgotten, consult }: OpenedBackend,
  ownStateDir: string,
): Promise<Destination> {
  const key = `${name} ${address}`;
  const stateDir = isForgotten === true ? temporaryState() : ownStateDir;
  const { QuarantineFiles } = await import("../sync/state/quarantine.ts");
  return {
    name,
    backend,
    quarantine: new QuarantineFiles(stateDir, key),
    key,
    concurrency: concurrency ?? CONCURRENCY,
    howToLook,
    retries: retries ?? (() => 0),
    consult,
    stateDir,
  };
}

/** Whether the options of a backend are those of another one that was chosen, too. */
export function sharesOptions(name: string, names: readonly string[]): boolean {
  const section = BACKENDS.find((each) => each.names.includes(name));
  return names.some((other) => other !== name && section?.names.includes(other));
}

/**
 * Whether each option that was given is one of the backends that were chosen.
 *
 * @param given names of options; those of no backend are everyone's
 * @param flagOf what the caller's user calls an option
 * @throws TraceletError `usage`
 */
export async function requireOwn(
  backends: readonly (string | BackendPlugin)[] = DEFAULT_BACKENDS,
  given: readonly string[],
  flagOf: (option: string) => string,
): Promise<void> {
  const chosen = await choose(backends);
  const backend = flagOf("backend");
  for (const option of given) {
    const owners = ownersOf(option);
    if (owners.length === 0 || chosen.some(({ entry }) => option in entry.options)) continue;
    const these = chosen.map(({ name }) => name).join(",");
    const titles = owners.map(({ title }) => title).join(" and ");
    const names = owners.flatMap((owner) => owner.names).join(" or ");
    throw new TraceletError("usage", `${flagOf(option)} is an option of ${titles}, and this is ${backend} ${these}`, {
      hint: `drop it, or add ${backend} ${names}`,
    });
  }
}

/** The backends that come with tracelet and have the option; some share one. */
export function ownersOf(option: string): readonly RegisteredBackend[] {
  return BACKENDS.filter(({ options }) => option in options);
}

/** Those of the backend, with its defaults. */
function ownOptions({ options: table }: RegisteredBackend, given: object): Record<string, unknown> {
  const values = new Map(Object.entries(given));
  return Object.fromEntries(
    Object.entries(table).map(([option, definition]) => [option, values.get(option) ?? defaultOf(definition)]),
  );
}

function temporaryState(): string {
  const stateDir = mkdtempSync(path.join(os.tmpdir(), "tracelet-state-"));
  process.once("exit", () => rmSync(stateDir, { recursive: true, force: true }));
  return stateDir;
}
