/** The tree of a run's artifacts, walked by MLflow's listing of one directory. */
import { posix } from "node:path";
import { TraceletError } from "../../../errors.ts";
import type { StoredObject } from "../../../net/object-store.ts";
import type { JsonObject } from "../../../net/request.ts";

const MAX_ENTRIES = 5_000_000;
/** Characters of the longest path that a file system takes. */
const MAX_PATH = 4096;

/** Every file below a directory. Of the listed paths only the last part is looked at: some endpoints give no more. */
export async function walk(directory: string, listOne: ListOne): Promise<StoredObject[]> {
  const found: StoredObject[] = [];
  const left = [directory];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    const { files, directories } = entries(at, await listOne(at));
    for (const file of files) found.push(file);
    for (const one of directories) left.push(one);
    // A server could list directories within directories for ever.
    if (found.length + left.length > MAX_ENTRIES || directories.some((one) => one.length > MAX_PATH)) {
      throw new TraceletError("rejected", "the server lists more artifacts of one run than any run has");
    }
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The size of the file of exactly this path; undefined if none is listed. */
export async function listedSize(path: string, listOne: ListOne): Promise<number | undefined> {
  const parent = posix.dirname(path);
  const directory = parent === "." ? "" : parent;
  return entries(directory, await listOne(directory)).files.find((file) => file.path === path)?.size;
}

/** MLflow's answer for what is in a directory; `""` is the one that holds all. */
export type ListOne = (directory: string) => Promise<JsonObject>;

function entries(directory: string, answer: JsonObject): { files: StoredObject[]; directories: string[] } {
  const files: StoredObject[] = [];
  const directories: string[] = [];
  for (const entry of Array.isArray(answer["files"]) ? answer["files"] : []) {
    const { path, is_dir: isDirectory, file_size: size } = entry as JsonObject;
    const name = posix.basename(typeof path === "string" ? path : "");
    if (name === "") throw new TraceletError("rejected", "the server lists an artifact without a name");
    const full = directory === "" ? name : `${directory}/${name}`;
    if (isDirectory === true) directories.push(full);
    // protobuf's JSON leaves out a 0, and may write an int64 as text.
    else files.push({ path: full, size: Number(size ?? 0) });
  }
  return { files, directories };
}
