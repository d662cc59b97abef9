/**
 * Media beside W&B's own client: what its TensorBoard sync makes of the same files, number for number, and what it logs by
 * hand of the same bytes, field by field and name by name.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodePng } from "../../src/writer/png.ts";
import { encodeWav } from "../../src/writer/wav.ts";
import { event, eventFile, type Fields, versionEvent, WALL_TIME } from "../support/event-writer.ts";
import { seededRandom } from "../support/seeded-random.ts";
import type { Row, RowValue } from "../support/wandb-server/extended-json.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { syncLogdir } from "../wandb/logdir-sync.ts";
import { WandbClient } from "./support/wandb-client.ts";
import { pointsOf, syncOfficially, type TwinPoints } from "./support/wandb-twin.ts";

/** Bins that W&B's client leaves as they are, and more. */
const BINS = [1, 511, 512, 513, 600, 1023, 1024, 1025, 1551, 5000];
/** Step at which all is written: the client names files by the number of the row. */
const STEP = 0;

const BATCH = [picture(1), picture(2), picture(3)];
const STILL = picture(4);
const TONE = encodeWav([0, 0.5, -0.5, 1], 8000);
/** Two frames of one pixel. */
const MOVING = Buffer.from("47494638396101000100000000" + "2c00000000010001000002024c0100".repeat(2) + "3b", "hex");

let workspace: string;
let theirServer: WandbServer;
let ourServer: WandbServer;
let ourRun: StoredRun;
/** What their sync makes of the file, and what tracelet does. */
let theirs: TwinPoints;
let ours: TwinPoints;
let theirConfig: Row;
/** What they log by hand of the same bytes. */
let logged: Row;

beforeAll(async () => {
  workspace = mkdtempSync(path.join(os.tmpdir(), "tracelet-media-"));
  const logdir = path.join(workspace, "logdir");
  mkdirSync(path.join(logdir, "run"), { recursive: true });
  writeFileSync(path.join(logdir, "run", "events.out.tfevents.1700000000.host"), eventsOfAll());
  [theirServer, ourServer] = await Promise.all([WandbServer.start(), WandbServer.start()]);
  const [sent] = await syncLogdir(logdir, ourServer);
  ourRun = ourServer.run("p", sent?.remoteId ?? "");
  ours = pointsOf(ourRun);
  const client = new WandbClient(theirServer.uri, path.join(workspace, "client"));
  theirs = (await syncOfficially(client, theirServer, { logdir, project: "synced" }))["run"] ?? {};
  theirConfig = theirServer.runs("synced")[0]?.config ?? {};
  await client.script("log_media", ["logged", "by-hand", writeMedia(path.join(workspace, "media"))]);
  logged = rowsOf(theirServer.run("logged", "by-hand"));
});

afterAll(async () => {
  await theirServer?.stop();
  await ourServer?.stop();
  rmSync(workspace, { recursive: true, force: true });
});

function eventsOfAll(): Buffer {
  const random = seededRandom(11);
  const pr = Array.from({ length: 6 * 9 }, () => Math.fround(random()));
  const values: Fields[] = [
    ...BINS.map((bins) => tensorValue(`hist/${bins}`, "histograms", histogramRows(bins, random), 3)),
    tensorValue("pr", "pr_curves", pr, 9),
    stringsValue("batch", "images", [Buffer.from("4"), Buffer.from("2"), ...BATCH]),
    stringsValue("still", "images", [Buffer.from("4"), Buffer.from("2"), STILL]),
    stringsValue("moving", "images", [Buffer.from("1"), Buffer.from("1"), MOVING]),
    stringsValue("tone", "audio", [TONE]),
    stringsValue("page", "text", [Buffer.from("# Words")]),
  ];
  const events = values.map((value) => event({ wallTime: WALL_TIME, step: STEP, summary: { value: [value] } }));
  return eventFile(versionEvent(), ...events);
}

/** What the client is to log: the same bytes, and of the text the page that tracelet makes of it. */
function writeMedia(folder: string): string {
  mkdirSync(path.join(folder, "batch"), { recursive: true });
  for (const [i, bytes] of BATCH.entries()) writeFileSync(path.join(folder, "batch", `${i}.png`), bytes);
  const page = [...ourRun.files].find(([name]) => name.startsWith("media/html/"))?.[1].bytes;
  const files = { "still.png": STILL, "moving.gif": MOVING, "tone.wav": TONE, "page.html": page ?? "" };
  for (const [name, bytes] of Object.entries(files)) writeFileSync(path.join(folder, name), bytes);
  return folder;
}

/** Adjacent bins, of which some have no count. */
function histogramRows(bins: number, random: () => number): number[] {
  let edge = -3;
  return Array.from({ length: bins }, () => {
    const left = edge;
    edge += random() * random() + 1e-6;
    return [left, edge, random() < 0.2 ? 0 : Math.floor(random() * 1000)];
  }).flat();
}

/** @param width of its rows */
function tensorValue(tag: string, plugin: string, numbers: readonly number[], width: number): Fields {
  const dim = [numbers.length / width, width].map((size) => ({ size }));
  const tensorContent = new Uint8Array(Float64Array.from(numbers).buffer);
  return {
    tag,
    metadata: { pluginData: { pluginName: plugin } },
    tensor: { dtype: "DT_DOUBLE", tensorShape: { dim }, tensorContent },
  };
}

function stringsValue(tag: string, plugin: string, stringVal: readonly Buffer[]): Fields {
  const tensor = { dtype: "DT_STRING", tensorShape: { dim: [{ size: stringVal.length }] }, stringVal };
  return { tag, metadata: { pluginData: { pluginName: plugin } }, tensor };
}

function picture(shade: number): Buffer {
  return encodePng({ width: 4, height: 2, channels: 1, data: Array.from({ length: 8 }, (_, i) => (i * shade) % 256) });
}

/** All that the rows say, by key. */
function rowsOf(run: StoredRun): Row {
  return Object.assign({}, ...run.rows) as Row;
}

describe("beside W&B's own sync", () => {
  test.each(BINS)("a histogram of %i bins has the same ones, bit for bit", (bins) => {
    const [point] = ours[`hist/${bins}`] ?? [];
    expect(point).toEqual(theirs[`hist/${bins}`]?.[0]);
    expect((point?.value as Row | undefined)?.["values"]).toHaveLength(Math.min(bins, 512));
  });

  test("a list of images is the same", () => {
    expect(ours["batch"]).toHaveLength(1);
    expect(ours["batch"]).toEqual(theirs["batch"]);
  });

  test("a curve has the same chart, and a table with the same columns first", () => {
    const chartsOf = (config: Row) => (config["_wandb"] as Row)["visualize"];
    expect(chartsOf(ourRun.config)).toMatchObject({ pr: { panel_type: "Vega2" } });
    expect(chartsOf(ourRun.config)).toEqual(chartsOf(theirConfig));
    const [our, their] = [tableOf(ourRun), tableOf(theirServer.runs("synced")[0] as StoredRun)];
    expect(their.columns).toEqual(["recall", "precision"]);
    expect(our.columns.slice(0, 2)).toEqual(their.columns);
    expect(our.data.map((row) => row.slice(0, 2))).toEqual(their.data);
  });
});

/** The table of the only curve. */
function tableOf(run: StoredRun): { readonly columns: string[]; readonly data: number[][] } {
  const { path } = rowsOf(run)["pr"] as { readonly path: string };
  return JSON.parse(run.files.get(path)?.bytes.toString() ?? "") as ReturnType<typeof tableOf>;
}

describe("what the client logs by hand", () => {
  test.each(["still", "batch", "tone", "page", "moving"])("of %s is the same, down to the file's name", (key) => {
    const { width, height, ...value } = rowsOf(ourRun)[key] as Row;
    // It looks into no video.
    const size = key === "moving" ? {} : { width, height };
    expect(withoutUndefined({ ...value, ...size })).toEqual(logged[key]);
    const their = theirServer.run("logged", "by-hand").files;
    const names = (value["filenames"] ?? [value["path"]]) as string[];
    for (const name of names) expect(ourRun.files.get(name)?.sha256).toBe(their.get(name)?.sha256);
  });
});

function withoutUndefined(row: { readonly [key: string]: RowValue | undefined }): object {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined));
}
