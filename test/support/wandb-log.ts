/** Reads `.wandb` files: an implementation of its own, so that writer and reader cannot be wrong in the same way. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { crc32 } from "node:zlib";
import { wandb_internal } from "../../src/backends/wandb/offline/proto/wandb.js";
import { parseExtended, type Row } from "./wandb-server/extended-json.ts";

const BLOCK = 32_768;
const HEADER = Buffer.from("3a572642e1be00", "hex");

/** @throws Error if it is not whole to its last byte */
export function recordsOf(bytes: Buffer): wandb_internal.Record.$Properties[] {
  return payloadsOf(bytes).map((payload) => wandb_internal.Record.decode(payload));
}

/** @throws Error if it is not whole to its last byte */
export function payloadsOf(bytes: Buffer): Buffer[] {
  if (!bytes.subarray(0, 7).equals(HEADER)) throw new Error("no .wandb file");
  const records: Buffer[] = [];
  let parts: Buffer[] = [];
  for (let at = 7; at < bytes.length; ) {
    const left = BLOCK - (at % BLOCK);
    if (left < 7) {
      if (bytes.subarray(at, at + left).some((byte) => byte !== 0)) throw new Error(`no zeros at ${at}`);
      at += left;
      continue;
    }
    const length = bytes.readUInt16LE(at + 4);
    const type = bytes[at + 6] as number;
    if (length > left - 7) throw new Error(`a chunk at ${at} is too long`);
    const checked = bytes.subarray(at + 6, at + 7 + length);
    if (checked.length !== length + 1 || crc32(checked) !== bytes.readUInt32LE(at)) throw new Error(`damage at ${at}`);
    if ((type === 1 || type === 2) !== (parts.length === 0)) throw new Error(`chunks out of order at ${at}`);
    parts.push(checked.subarray(1));
    if (type === 1 || type === 4) {
      records.push(Buffer.concat(parts));
      parts = [];
    }
    at += 7 + length;
  }
  if (parts.length > 0) throw new Error("the last record is not whole");
  return records;
}

export interface OfflineRun {
  readonly directory: string;
  readonly name: string;
  readonly rows: readonly Row[];
  readonly exitCodes: readonly number[];
  /** What kinds of records it has, in their order. */
  readonly kinds: readonly string[];
}

/** The runs in a `wandb/` directory, by the names of their directories. */
export function offlineRuns(root: string): OfflineRun[] {
  const names = readdirSync(root).filter((name) => name.startsWith("offline-run-"));
  return names.sort().map((directory) => {
    const id = directory.slice("offline-run-YYYYMMDD_HHMMSS-".length);
    const records = recordsOf(readFileSync(path.join(root, directory, `run-${id}.wandb`)));
    const name = records.flatMap(({ run }) => run?.displayName ?? []).at(-1) ?? "";
    return {
      directory: path.join(root, directory),
      name,
      rows: records.flatMap(({ history }) => (history ? [rowOf(history)] : [])),
      exitCodes: records.flatMap(({ exit }) => (exit ? [exit.exitCode ?? 0] : [])),
      kinds: records.map((record) => Object.keys(record).find((key) => key !== "num") ?? ""),
    };
  });
}

function rowOf({ item }: wandb_internal.HistoryRecord.$Properties): Row {
  const fields = (item ?? []).map(({ key, valueJson }) => `${JSON.stringify(key)}:${valueJson}`);
  return parseExtended(`{${fields.join(",")}}`) as Row;
}
