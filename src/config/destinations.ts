/** What `--backend` names, opened. */
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { TraceletError } from "../errors.ts";
import type { Backend, Quarantine } from "../sync/backend.ts";
import type { Surroundings } from "../sync/backend-plugin.ts";
import { BACKENDS, type RegisteredBackend } from "./backends.ts";
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
const DEFAULT_BACKENDS = ["mlflow"];

/**
 * Those that are open already are closed again if one cannot be opened.
 *
 * @param names of backends; MLflow if none are given
 * @param options of the command or the caller; each backend takes its own from them
 * @throws TraceletError `usage` or `unsupported`
 */
export async function openDestinations(
  names: readonly string[] | undefined,
  options: DestinationOptions,
  surroundings: Omit<Surroundings, "giveUpAfterMs" | "shutdownTimeoutMs">,
): Promise<Destination[]> {
  const opened: Destination[] = [];
  try {
    for (const name of new Set(names ?? DEFAULT_BACKENDS)) opened.push(await openOne(name, options, surroundings));
  } catch (error) {
    for (const { backend } of opened) await backend.close();
    throw error;
  }
  return opened;
}

/** @throws TraceletError `usage` if there are several: they are closed */
export async function requireOne(destinations: readonly Destination[]): Promise<Destination> {
  const [only, ...others] = destinations;
  if (only !== undefined && others.length === 0) return only;
  for (const { backend } of destinations) await backend.close();
  throw new TraceletError("usage", "only one backend at a time is supported so far", { hint: "--backend mlflow" });
}

async function openOne(
  name: string,
  options: DestinationOptions,
  surroundings: Omit<Surroundings, "giveUpAfterMs" | "shutdownTimeoutMs">,
): Promise<Destination> {
  const entry = await registered(name);
  const called = entry.names.find((each) => each === name) ?? (entry.names[0] as string);
  const { open } = await entry.load();
  const own = ownOptions(entry, options);
  const { giveUpAfter: giveUpAfterMs, shutdownTimeout: shutdownTimeoutMs } = options;
  const all = { ...surroundings, giveUpAfterMs, shutdownTimeoutMs };
  const { backend, address, concurrency, howToLook, retries, isForgotten } = await open(own as never, all, called);
  const key = `${called} ${address}`;
  const stateDir = isForgotten === true ? temporaryState() : options.stateDir;
  const { QuarantineFiles } = await import("../sync/state/quarantine.ts");
  return {
    name: called,
    backend,
    quarantine: new QuarantineFiles(stateDir, key),
    key,
    concurrency: concurrency ?? CONCURRENCY,
    howToLook,
    retries: retries ?? (() => 0),
    stateDir,
  };
}

/**
 * Whether each option that was given is one of the backends that were chosen.
 *
 * @param given names of options; those of no backend are everyone's
 * @throws TraceletError `usage`
 */
export async function requireOwn(
  names: readonly string[] = DEFAULT_BACKENDS,
  given: readonly string[],
  flagOf: (option: string) => string,
): Promise<void> {
  const chosen = await Promise.all(names.map(registered));
  for (const option of given) {
    const [owner] = BACKENDS.filter(({ options }) => option in options);
    if (owner === undefined || chosen.some(({ options }) => option in options)) continue;
    throw new TraceletError(
      "usage",
      `${flagOf(option)} is an option of ${owner.title}, and this is --backend ${names.join(",")}`,
      { hint: `drop it, or add --backend ${owner.names.join(" or ")}` },
    );
  }
}

/** Those of the backend, with its defaults. */
function ownOptions({ options: table }: RegisteredBackend, given: object): Record<string, unknown> {
  const values = new Map(Object.entries(given));
  return Object.fromEntries(
    Object.entries(table).map(([option, { form, default: byDefault }]) => {
      const absent = form === "flag" ? false : form === "switch" ? true : byDefault;
      return [option, values.get(option) ?? (typeof absent === "function" ? absent(process.env) : absent)];
    }),
  );
}

function temporaryState(): string {
  const stateDir = mkdtempSync(path.join(os.tmpdir(), "tracelet-state-"));
  process.once("exit", () => rmSync(stateDir, { recursive: true, force: true }));
  return stateDir;
}
