/** Every histogram, image, clip, text and curve of the fixtures is at W&B as TensorBoard's own Python reads it. */
import { createHash } from "node:crypto";
import path from "node:path";
import { expect, test } from "vitest";
import { type Case, cases, type Json, stepText, wallText } from "../support/expected.ts";
import { isRow, type Row, type RowValue } from "../support/wandb-server/extended-json.ts";
import type { StoredRun } from "../support/wandb-server/run.ts";
import { WandbServer } from "../support/wandb-server/server.ts";
import { faultsOf, NO_FAULTS, PROJECT } from "./destination.ts";
import { syncLogdir } from "./logdir-sync.ts";

const KINDS = ["histograms", "images", "audio", "text", "pr_curves"];
const CASES = cases().filter(({ runs }) => {
  return Object.values(runs).some(({ tags }) => Object.values(tags).some(({ plugin }) => KINDS.includes(plugin ?? "")));
});

interface Medium {
  readonly step: string;
  readonly wallTime: string;
  readonly value: Json;
}

/** What TensorBoard reads, in the form of `mediaOf`; without values that hold nothing. */
function expectedOf(points: Case["runs"][string]["tags"][string]["points"]): Medium[] {
  return points.flatMap(([step, wall, value]) => {
    const items = Array.isArray(value) ? value : ((value as { readonly items?: Json[] } | null)?.items ?? [value]);
    if (items.length === 0) return [];
    return { step: stepText(step), wallTime: wallText(wall), value: comparable(value) };
  });
}

function comparable(value: Json): Json {
  if (Array.isArray(value)) {
    const rows = value as number[][];
    // Bins are adjacent.
    const bins = [...rows.map(([left]) => left as number), rows.at(-1)?.[1] as number];
    return histogram(
      bins,
      rows.map((row) => row[2] as number),
    );
  }
  const { items, strings, sha256 } = value as { readonly [key: string]: Json };
  if (items !== undefined) return { files: (items as { sha256: string }[]).map((item) => item.sha256) };
  if (strings !== undefined)
    return { words: wordsOf((strings as (string | { readonly base64: string })[]).map(textOf).join(" ")) };
  return { sha256: sha256 as Json };
}

/** Of each key, what the rows say and the files hold. */
function mediaOf(run: StoredRun): Map<string, Medium[]> {
  const media = new Map<string, Medium[]>();
  for (const row of run.rows) {
    for (const [key, value] of Object.entries(row)) {
      // Meshes have tests of their own.
      if (!isRow(value) || value["_type"] === "object3D-file") continue;
      const medium = {
        step: `${row["global_step"] as number | bigint}`,
        wallTime: `${row["_timestamp"] as number}`,
        value: contentOf(value, run),
      };
      media.set(key, [...(media.get(key) ?? []), medium]);
    }
  }
  return media;
}

function contentOf(value: Row, { files }: StoredRun): Json {
  const one = (name: RowValue | undefined) => {
    return files.get(name as string) ?? expect.unreachable(`${name as string} is not there`);
  };
  const whole = ({ path, sha256, size }: Row) => {
    const file = one(path);
    expect([file.sha256, file.bytes.length]).toEqual([sha256, size]);
    return file;
  };
  const list = (field: string) => ({ files: (value[field] as readonly Row[]).map((each) => whole(each).sha256) });
  switch (value["_type"]) {
    case "histogram":
      return histogram(value["bins"] as number[], value["values"] as number[]);
    case "image-file":
    case "video-file":
    case "audio-file":
      return { files: [whole(value).sha256] };
    case "images/separated":
      expect(value["count"]).toBe((value["filenames"] as string[]).length);
      return { files: (value["filenames"] as string[]).map((name) => one(name).sha256) };
    case "videos":
      return list("videos");
    case "audio":
      return list("audio");
    case "html-file": {
      const page = whole(value).bytes.toString();
      expect(page).not.toMatch(/<script/);
      return { words: page };
    }
    case "table-file": {
      const { columns, data } = JSON.parse(whole(value).bytes.toString()) as { columns: string[]; data: number[][] };
      expect([value["ncols"], value["nrows"]]).toEqual([columns.length, data.length]);
      // In the order of TensorBoard's tensor.
      const names = [
        ...["true", "false"].map((is) => `${is}_positives`),
        ...["true", "false"].map((is) => `${is}_negatives`),
      ];
      const rows = [...names, "precision", "recall"].flatMap((name) =>
        data.map((row) => row[columns.indexOf(name)] as number),
      );
      return {
        sha256: createHash("sha256")
          .update(new Uint8Array(Float32Array.from(rows).buffer))
          .digest("hex"),
      };
    }
    default:
      return expect.unreachable(`an unknown value: ${JSON.stringify(value)}`);
  }
}

/** Of more than 512 bins what no join changes; W&B's own sync tells the rest, in test/e2e. */
function histogram(bins: readonly number[], values: readonly number[]): Json {
  expect(bins).toHaveLength(values.length + 1);
  if (values.length < 512) return { bins: [...bins], values: [...values] };
  return { from: bins[0] as number, to: bins.at(-1) as number, total: values.reduce((sum, each) => sum + each, 0) };
}

function textOf(text: string | { readonly base64: string }): string {
  return typeof text === "string" ? text : Buffer.from(text.base64, "base64").toString();
}

function kindOf(value: RowValue): string | undefined {
  const type = isRow(value) ? (value["_type"] as string) : "";
  if (/image|video/.test(type)) return "images";
  return {
    histogram: "histograms",
    "audio-file": "audio",
    audio: "audio",
    "html-file": "text",
    "table-file": "pr_curves",
  }[type];
}

/** What is left of a text whatever is done to its markup. */
function wordsOf(text: string): string[] {
  return [...new Set(text.replace(/https?:\S+|<[^>]*>/g, " ").match(/[\p{L}\p{N}]+/gu) ?? [])];
}

test.each(CASES.map((each) => [each.name, each] as const))("%s", async (_name, each) => {
  const server = await WandbServer.start();
  try {
    const runs = await syncLogdir(each.logdir, server, { group: "none", restarts: "keep" });
    const tallies = new Map(runs.map(({ name, tally }) => [name, tally]));
    const byName = new Map(server.runs(PROJECT).map((run) => [run.fields.displayName ?? "", run]));
    for (const [name, { tags }] of Object.entries(each.runs)) {
      const wanted = Object.entries(tags).filter(([, { plugin }]) => KINDS.includes(plugin ?? ""));
      if (wanted.length === 0) continue;
      const run = byName.get(name) ?? byName.get(path.basename(each.logdir));
      if (run === undefined) throw new Error(`there is no run ${name}`);
      expect(faultsOf(run)).toEqual(NO_FAULTS);
      expect([...run.announced].sort()).toEqual([...run.files.keys()].sort());
      const found = mediaOf(run);
      for (const [tag, { plugin, points }] of wanted) {
        const expected = expectedOf(points);
        const own = found.get(tag) ?? [];
        found.delete(tag);
        expect(own.map(({ step }) => step)).toEqual(expected.map(({ step }) => step));
        for (const [i, { wallTime, value }] of expected.entries()) {
          const { wallTime: ownTime, value: ownValue } = own[i] as Medium;
          // A row has the time of its last value.
          if (Number.isFinite(Number(wallTime)))
            expect(Math.abs(Number(ownTime) - Number(wallTime))).toBeLessThanOrEqual(1);
          if (plugin !== "text") expect([tag, ownValue]).toEqual([tag, value]);
          else {
            const page = (ownValue as { readonly words: string }).words;
            const { words } = value as { readonly words: string[] };
            expect([tag, words.filter((word) => !page.includes(word))]).toEqual([tag, []]);
          }
        }
      }
      // TensorBoard gives a tag one plugin, also where its values are of several.
      expect([...found.keys()].filter((tag) => !Object.hasOwn(tags, tag))).toEqual([]);
      const sent = run.rows.flatMap((row) => Object.values(row).flatMap((value) => kindOf(value) ?? []));
      for (const kind of KINDS) {
        const tally = tallies.get(name)?.kinds.get(kind as "images");
        expect([kind, tally?.sent ?? 0]).toEqual([kind, sent.filter((each) => each === kind).length]);
        if (tally === undefined) continue;
        const { read, failed, skipped } = tally;
        expect([kind, read, failed]).toEqual([kind, tally.sent + [...skipped.values()].reduce((a, b) => a + b, 0), 0]);
        expect([...skipped.keys()].filter((reason) => reason !== "empty")).toEqual([]);
      }
    }
  } finally {
    await server.stop();
  }
});

test("are left out, or not, as the user chooses", async () => {
  const server = await WandbServer.start();
  try {
    const { logdir } = CASES.find(({ name }) => name === "torch") ?? expect.unreachable("there is no such fixture");
    const runs = await syncLogdir(logdir, server, {
      wantsRun: (name) => name === "media",
      transform: { includeTags: [], excludeTags: [], nan: "keep", excludeKinds: new Set(["audio"]) },
      limits: { maxImageBytes: 300 },
    });
    const run = runs.find(({ name }) => name === "media");
    const files = server.runs(PROJECT).flatMap(({ files }) => [...files].filter(([name]) => name.startsWith("media/")));
    const sizes = files.flatMap(([name, { bytes }]) => (/^media.(images|videos)/.test(name) ? bytes.length : []));
    // As TensorBoard reads them: the others have 312, 364, 364, 843, 1779 and 1971 bytes.
    expect(sizes.sort()).toEqual([156, 164, 165, 173, 229]);
    const { sent, skipped } = run?.tally.kinds.get("images") ?? {};
    expect([sent, skipped]).toEqual([5, new Map([["max-image-size", 6]])]);
    expect(run?.tally.kinds.get("audio")?.skipped).toEqual(new Map([["excluded", 2]]));
    expect(files.filter(([name]) => name.startsWith("media/audio"))).toEqual([]);
  } finally {
    await server.stop();
  }
});
