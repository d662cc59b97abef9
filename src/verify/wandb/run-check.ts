/** One run while its source is read: what is expected of the server, and then what it gives back. */
import { createHash } from "node:crypto";
import { OWN_FILES } from "../../backends/wandb/file-kinds.ts";
import { type JsonValue, objectOf, parseJson, sortedText } from "../../backends/wandb/json.ts";
import { OWN_KEY, OWN_KEYS, STEP_AXIS } from "../../backends/wandb/names.ts";
import type { KeptFile, RunRecord, WandbReader } from "../../backends/wandb/reader.ts";
import { RunConfig } from "../../backends/wandb/run-config.ts";
import { STATE_KEY } from "../../backends/wandb/run-state.ts";
import type { RunAddress, RunFields, RunFile, StreamPart } from "../../backends/wandb/store.ts";
import { TraceletError } from "../../errors.ts";
import { isUpload, type Upload } from "../../net/request.ts";
import type { Recordings } from "../../sync/source/recordings.ts";
import { Findings } from "../findings.ts";
import { pointOf } from "../point-words.ts";
import { passOverRecorded } from "../recorded.ts";
import type { RunLook } from "../second-look.ts";
import { SeriesSums, type TakeItem } from "../series-sums.ts";
import type { Unsettled } from "../tasks.ts";
import { Axes, isSamePoint, takeRow } from "./rows.ts";

/** Entries of a config that are no hyperparameters. */
const OWN_CONFIG: ReadonlySet<string> = new Set([OWN_KEY, STATE_KEY]);

interface ExpectedFile {
  readonly size: number;
  /** In Base64. */
  readonly md5: string;
}

export class RunCheck implements RunLook {
  readonly id: string;
  readonly address: RunAddress;
  readonly isThere: boolean;
  readonly findings: Findings = new Findings(pointOf, true, isSamePoint);
  unsettled: readonly Unsettled[] = [];
  compared = false;
  /** What the user should know of how it was compared. */
  readonly notes: string[] = [];
  /** Whether all of its source has been read. */
  ended = false;
  readonly #recordings: Recordings | undefined;
  readonly #expected = new SeriesSums();
  readonly #files = new Map<string, ExpectedFile>();
  #config = "{}";
  #summary = "{}";
  #state = "running";
  #hasEvents = false;
  #displayName: string | undefined;

  constructor(address: RunAddress, isThere: boolean, recordings: Recordings | undefined) {
    this.id = address.name;
    this.address = address;
    this.isThere = isThere;
    this.#recordings = recordings;
  }

  fields({ config, displayName }: RunFields): void {
    this.#config = config ?? this.#config;
    this.#displayName = displayName ?? this.#displayName;
  }

  part({ history, events, summary, exitCode }: StreamPart): void {
    if (events !== undefined && events.lines.length > 0) this.#hasEvents = true;
    takeRows(history?.lines ?? [], new Axes(this.#config), this.#expected.add);
    this.#summary = summary ?? this.#summary;
    if (exitCode === undefined) return;
    this.#state = exitCode === 0 ? "finished" : "failed";
    this.ended = true;
  }

  async file({ path, body }: RunFile): Promise<void> {
    this.#files.set(path, await digestOf(body));
  }

  /** Compare, once all of the source was read. @throws TraceletError if the server cannot be read; the signal's reason */
  async compare(reader: WandbReader, signal: AbortSignal): Promise<void> {
    const { findings } = this;
    findings.compared("runs", 1);
    if (this.isThere) await this.#compareRecord(reader, signal);
    else {
      findings.add({ what: "runs", name: "run", state: "missing" });
      this.#expected.compare(new SeriesSums(), findings);
      this.#compareParams("{}");
      this.#compareFiles([]);
    }
    this.#expected.clear();
    this.compared = true;
  }

  /** Hand on what its rows hold. @returns how many rows the server gives of each `_step` */
  async eachStored(
    reader: WandbReader,
    { config, lastStep }: Pick<RunRecord, "config" | "lastStep">,
    signal: AbortSignal,
    take: TakeItem,
  ): Promise<Uint8ClampedArray> {
    const axes = new Axes(config);
    const times = new Uint8ClampedArray(lastStep + 1);
    for await (const page of reader.rows(this.address, lastStep)) {
      signal.throwIfAborted();
      for (const step of takeRows(page, axes, take)) if (step in times) times[step] = (times[step] as number) + 1;
    }
    return times;
  }

  /** @throws TraceletError `deleted` */
  async recordOf(reader: WandbReader): Promise<RunRecord> {
    const record = await reader.record(this.address);
    const { name, entity, project } = this.address;
    if (record === undefined)
      throw new TraceletError("deleted", `the run ${name} is not in ${entity}/${project} any more`);
    return record;
  }

  async #compareRecord(reader: WandbReader, signal: AbortSignal): Promise<void> {
    const { findings } = this;
    const record = await this.recordOf(reader);
    const { stored } = new RunConfig(record.config);
    passOverRecorded(findings, this.#recordings, stored?.state.marks.values() ?? []);
    this.#differs("state", this.#state, record.state);
    if (this.#displayName !== undefined)
      this.#differs("its name, which the next sync changes,", this.#displayName, stored?.state.name ?? "");
    const there = new SeriesSums();
    const times = await this.eachStored(reader, record, signal, there.add);
    this.#compareRows(times, record.rows);
    this.unsettled = this.#expected.compare(there, findings);
    this.#compareEvents(record.events);
    this.#compareParams(record.config);
    this.#compareAxes(record.config);
    this.#compareSummary(record.summary);
    this.#compareFiles(await reader.files(this.address));
  }

  /** A gap in the rows, and rows that are there twice. */
  #compareRows(times: Uint8ClampedArray, count: number): void {
    const given = times.reduce((sum, n) => sum + n, 0);
    for (const [state, isBad] of [
      ["missing", (n: number) => n === 0],
      ["extra", (n: number) => n > 1],
    ] as const) {
      for (const [first, last] of stretches(times, isBad))
        this.findings.add({ what: "runs", name: first === last ? `row ${first}` : `rows ${first} to ${last}`, state });
    }
    if (given < count)
      this.notes.push(`W&B's API gives ${given} of the ${count} rows that it counts: it may only sample them`);
  }

  /** Of these the API gives samples alone, and how they fell into lines depends on how they were sent. */
  #compareEvents(there: number): void {
    if (!this.#hasEvents) return;
    if (there === 0) this.findings.add({ what: "runs", name: "system metrics", state: "missing" });
    else this.notes.push("system metrics were not compared: W&B's API only samples them");
  }

  #compareParams(text: string): void {
    const { findings } = this;
    const [expected, found] = [paramsOf(this.#config), paramsOf(text)];
    findings.compared("params", expected.size);
    for (const [name, source] of expected) {
      const there = found.get(name);
      if (there === undefined) findings.add({ what: "params", name, state: "missing", source });
      else if (there !== source) findings.add({ what: "params", name, state: "different", source, there });
    }
    for (const [name, there] of found)
      if (!expected.has(name)) findings.add({ what: "params", name, state: "extra", there });
  }

  /** A key that is drawn over W&B's row numbers shows another curve. */
  #compareAxes(text: string): void {
    const axes = new Axes(text).all;
    for (const [key, axis] of new Axes(this.#config).all)
      this.#differs(`axis of ${key}`, axis, axes.get(key) ?? "_step");
  }

  #compareSummary(text: string): void {
    const found = objectOf(parseJson(text));
    for (const [key, value] of Object.entries(objectOf(parseJson(this.#summary)))) {
      // These are of the last row, and which one that is depends on the batches the rows were sent in.
      if (OWN_KEYS.has(key) || key === STEP_AXIS) continue;
      const there = found[key];
      this.#differs(
        `summary of ${key}`,
        sortedText(value),
        there === undefined ? "nothing" : sortedText(numberIn(there)),
      );
    }
  }

  #compareFiles(found: readonly KeptFile[]): void {
    const { findings } = this;
    const there = new Map(found.map((file) => [file.name, file]));
    let withoutDigest = 0;
    findings.compared("files", this.#files.size);
    for (const [name, { size, md5 }] of this.#files) {
      const file = there.get(name);
      if (file === undefined) findings.add({ what: "files", name, state: "missing" });
      else if (file.size !== size) this.#fileDiffers(name, `${size} bytes`, `${file.size} bytes`);
      else if (file.md5 === undefined) withoutDigest++;
      else if (file.md5 !== md5) this.#fileDiffers(name, `MD5 ${md5}`, `MD5 ${file.md5}`);
    }
    for (const name of there.keys())
      if (!this.#files.has(name) && !OWN_FILES.test(name)) findings.add({ what: "files", name, state: "extra" });
    if (withoutDigest > 0)
      this.notes.push(`W&B keeps no digest of ${withoutDigest} files: of these only the size was compared`);
  }

  #fileDiffers(name: string, source: string, there: string): void {
    this.findings.add({ what: "files", name, state: "different", source, there });
  }

  #differs(name: string, source: string, there: string): void {
    if (source !== there) this.findings.add({ what: "runs", name, state: "different", source, there });
  }
}

/** @returns the `_step` of each row */
export function takeRows(lines: readonly string[], axes: Axes, take: TakeItem): number[] {
  return lines.flatMap((line) => takeRow(line, axes, take) ?? []);
}

/** Hyperparameters as JSON texts, by name. */
function paramsOf(config: string): Map<string, string> {
  const entries = Object.entries(objectOf(parseJson(config)));
  return new Map(
    entries
      .filter(([key]) => !OWN_CONFIG.has(key))
      .map(([key, entry]) => [key, sortedText(objectOf(entry)["value"] ?? null)]),
  );
}

/** Numbers that JSON lacks come as texts where a server has parsed them. */
function numberIn(value: JsonValue): JsonValue {
  return value === "NaN" || value === "Infinity" || value === "-Infinity" ? Number(value) : value;
}

function* stretches(times: Uint8ClampedArray, isBad: (n: number) => boolean): Generator<readonly [number, number]> {
  for (let first = 0; first < times.length; first++) {
    if (!isBad(times[first] as number)) continue;
    let last = first;
    while (last + 1 < times.length && isBad(times[last + 1] as number)) last++;
    yield [first, last];
    first = last;
  }
}

async function digestOf(body: Uint8Array | Upload): Promise<ExpectedFile> {
  const hash = createHash("md5");
  if (!isUpload(body)) return { size: body.length, md5: hash.update(body).digest("base64") };
  const source = await body.open();
  try {
    for await (const chunk of source) hash.update(chunk);
  } finally {
    await source.close();
  }
  return { size: body.size, md5: hash.digest("base64") };
}
