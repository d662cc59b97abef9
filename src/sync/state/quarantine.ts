/**
 * Where values go that a destination refuses for good: one file per run in the state directory, one JSON object per line. It
 * is written before the marks move past the values, so a crash may leave a value twice, with the same `id`, and a line cut
 * off.
 */

import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, readSync, writeFileSync } from "node:fs";
import path from "node:path";
import { TraceletError } from "../../errors.ts";
import type { Quarantine, RefusedValue } from "../backend.ts";
import { hashText } from "../source/fingerprint.ts";

const MAX_WRITTEN = 10_000;

export class QuarantineFiles implements Quarantine {
  readonly #directory: string;
  readonly #destination: string;
  /** Ids that this process wrote last: a batch that keeps being refused is not written again and again. */
  readonly #written = new Set<string>();

  /** @param destination names the destination, without credentials */
  constructor(stateDir: string, destination: string) {
    this.#directory = path.join(stateDir, "quarantine");
    this.#destination = destination;
  }

  async add(run: string, remoteId: string, values: readonly RefusedValue[]): Promise<string> {
    const where = { destination: this.#destination, run, remoteId };
    const lines = values.map((value) => lineOf(where, value)).filter(({ id }) => !this.#written.has(id));
    const file = path.join(this.#directory, `${safe(run)}-${hashText(JSON.stringify(where)).slice(0, 8)}.jsonl`);
    try {
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      if (lines.length > 0) append(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
      sync(this.#directory);
    } catch (cause) {
      throw new TraceletError("state", `cannot write ${file}: ${(cause as Error).message}`, {
        hint: "check that the state directory is writable and its disk not full, or give another with --state-dir",
        cause,
      });
    }
    for (const { id } of lines) this.#written.add(id);
    for (const id of this.#written) {
      if (this.#written.size <= MAX_WRITTEN) break;
      this.#written.delete(id);
    }
    return file;
  }
}

/** Append durably, starting a new line if a crash left half of one. */
function append(file: string, text: string): void {
  const handle = openSync(file, "a+", 0o600);
  try {
    const { size } = fstatSync(handle);
    const last = Buffer.alloc(1);
    if (size > 0) readSync(handle, last, 0, 1, size - 1);
    writeFileSync(handle, size > 0 && last.toString() !== "\n" ? `\n${text}` : text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

/** A power failure may lose a new file's name unless its directory is synced too. */
function sync(directory: string): void {
  // Windows has no such thing.
  if (process.platform === "win32") return;
  const handle = openSync(directory, "r");
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

type Line = { readonly id: string; readonly reason: string } & object;

function lineOf(where: object, { reason, ...value }: RefusedValue): Line {
  const { kind, tag, step, wallTime, file, offset } = value;
  const what = {
    ...where,
    kind,
    tag,
    step: step === undefined ? null : exact(step),
    wallTime: written(wallTime),
    value: written(value.value),
    file: file ?? null,
    offset: offset ?? null,
  };
  return { id: hashText(JSON.stringify(what)), ...what, reason };
}

/** A string where a JSON reader that knows only doubles would round. */
function exact(step: bigint): number | string {
  return BigInt.asIntN(54, step) === step ? Number(step) : String(step);
}

/** JSON has no NaN, no infinities and no negative zero. */
function written(value: number | string | undefined): number | string | null {
  if (typeof value !== "number") return value ?? null;
  return Object.is(value, -0) ? "-0" : Number.isFinite(value) ? value : String(value);
}

/** A run's name as part of a file name. */
function safe(run: string): string {
  return run.replace(/[^A-Za-z0-9_-]+/g, "-").slice(0, 80) || "run";
}
