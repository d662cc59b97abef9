/**
 * Hostile input through reader, encoders and pages: whatever it is, it ends in values or in an error that says so, within
 * its time. `node bench/fuzz.mjs --runs N` runs the same on N inputs.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { ArtifactPaths } from "../../src/backends/artifacts/artifact-paths.ts";
import { encodeData } from "../../src/backends/mlflow/media/encode.ts";
import { isValidKey, KeyNames, recordedName } from "../../src/backends/mlflow/names.ts";
import { graphNodes, graphPage } from "../../src/encode/pages/graph-page.ts";
import { textPage } from "../../src/encode/pages/text-page.ts";
import { textFormat } from "../../src/encode/pbtxt.ts";
import type { Datum } from "../../src/reader/datum.ts";
import { isEventFileName } from "../../src/reader/discover.ts";
import { EventFileReader } from "../../src/reader/event-file.ts";
import { readHparamsFile } from "../../src/reader/hparams-file.ts";
import { UnreadableError } from "../../src/reader/plugins/plugin.ts";
import { parseProjectorConfig } from "../../src/reader/plugins/projector.ts";
import { RecordBatch } from "../../src/reader/record-batch.ts";
import { TagTable } from "../../src/reader/tag-table.ts";
import { RecordReader } from "../../src/reader/tfrecord.ts";
import { makePages } from "../../src/sync/run/run-pages.ts";
import { cpuTime } from "../support/cpu-time.ts";
import {
  event,
  eventFile,
  type Fields,
  header,
  ownRecord,
  ScriptedSource,
  versionEvent,
} from "../support/event-writer.ts";
import { localFile } from "../support/local-file.ts";
import { temporaryDirectory } from "../support/logdirs.ts";
import { parseWire, type WireField, wireBytes } from "../support/wire.ts";
import { contextOf } from "./media/support.ts";

const RUNS = Number(process.env["TRACELET_FUZZ_RUNS"] ?? 6000);
const SEED = Number(process.env["TRACELET_FUZZ_SEED"] ?? 4242);
/** What one input may take of the processor, ms; most take less than one. */
const MAX_TIME = 3000;
/** What of one input may become. Bytes. */
const MAX_BYTES = 600 * 1024 * 1024;

const folder = temporaryDirectory();
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function fuzz<T>(name: string, share: number, input: fc.Arbitrary<T>, run: (value: T) => unknown): void {
  const numRuns = Math.ceil(RUNS * share);
  test(
    name,
    async () => {
      let slowest = 0;
      const once = async (value: T) => {
        const cpu = cpuTime();
        await run(value);
        const took = cpu();
        slowest = Math.max(slowest, took);
        expect(took).toBeLessThan(MAX_TIME);
      };
      const begin = performance.now();
      await fc.assert(fc.asyncProperty(input, once), { numRuns, seed: SEED });
      const rss = Math.round(process.resourceUsage().maxRSS / 1024);
      if (RUNS > 10_000) {
        const seconds = ((performance.now() - begin) / 1000).toFixed(0);
        console.log(`${name}: ${numRuns} in ${seconds} s, the slowest ${slowest.toFixed(0)} ms, RSS up to ${rss} MB`);
      }
    },
    24 * 3600_000,
  );
}

// Dictionaries: what something gives a meaning to.
const TAGS = [
  "__proto__",
  "constructor",
  "toString",
  "../../x",
  "/etc/passwd",
  "..",
  ".",
  "",
  "a/b",
  "a\0b",
  "con",
  "a%2e",
  "a\\b",
  "\u001b[2J",
  "\u202e",
  "\ud800",
  "é",
  "e\u0301",
  "<script>",
  "=cmd()",
  "tracelet.run",
  "mlflow.user",
  "_VERTEX",
  "%s",
  "${x}",
  "a".repeat(5000),
];
const anyRun = fc
  .tuple(
    fc.constantFrom(" ", ".", "/", "\\", "\n", "@1", "-", "_", "a", "\u{1f600}", "|", "[", "*", "`", "<", ">"),
    fc.integer({ min: 1, max: 20_000 }),
  )
  .map(([text, times]) => text.repeat(times));
const anyTag = fc.oneof(
  fc.constantFrom(...TAGS),
  fc.string({ unit: "binary", maxLength: 40 }),
  anyRun,
  fc.tuple(fc.constantFrom(...TAGS), fc.constantFrom(...TAGS)).map((two) => two.join("/")),
);
const NUMBERS = [
  0n,
  1n,
  2n,
  3n,
  7n,
  127n,
  128n,
  255n,
  256n,
  65_535n,
  10n ** 6n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const anyNumber = fc.oneof(fc.constantFrom(...NUMBERS), fc.bigInt(0n, 300n));
const HEADS = [
  "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xea\x60\0\0\xea\x60\b\x06",
  "\xff\xd8\xff\xe0",
  "GIF89a\xff\xff\xff\xff\xf7\0\0,\0\0\0\0\xff\xff\xff\xff\x87",
  "RIFF\0\0\0\0WEBPVP8X",
  "BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0",
  '<svg xmlns="http://www.w3.org/2000/svg"><script>',
  '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;',
  "RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff",
  "ID3",
  "OggS",
  "\xff\xfb",
];
const anyBlob = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc
    .tuple(fc.constantFrom(...HEADS), fc.uint8Array({ maxLength: 80 }))
    .map(([head, rest]) => Buffer.concat([Buffer.from(head, "latin1"), rest])),
  anyTag.map((tag) => Buffer.from(tag)),
  anyRun.map((text) => Buffer.from(text)),
);

/** Everything that is done to the values of a run. */
async function consume(bytes: Uint8Array): Promise<number> {
  const source = new ScriptedSource(bytes);
  const read = async (take: (batch: RecordBatch) => void | Promise<void>) => {
    const records = new RecordReader(source, { end: source.size, maxRecordBytes: 1 << 20 });
    const reader = new EventFileReader(records, new Map());
    const batch = new RecordBatch(1000, new TagTable());
    for (let more = true; more; batch.clear()) {
      more = await reader.read(batch);
      await take(batch);
    }
    expect(records.tail).toMatchObject({ start: records.position, end: source.size });
  };
  const context = contextOf();
  const names = new KeyNames([]);
  const data: Datum[] = [];
  let size = 0;
  let values = 0;
  await read(async (batch) => {
    values += batch.length + batch.data.length;
    for (const tag of batch.tags) expect(isValidKey(names.keyOf(recordedName(tag)))).toBe(true);
    data.push(...batch.data);
    for await (const [, encoded] of encodeData(batch.data, [], context)) {
      for (const { artifacts } of encoded)
        for (const artifact of artifacts)
          size += checked(artifact.path, "bytes" in artifact ? artifact.bytes : new Uint8Array());
    }
  });
  expect(size).toBeLessThan(MAX_BYTES);
  for await (const { html } of makePages((take) => read(take))) size += checkedPage(html);
  return values;
}

function checked(file: string, bytes: Uint8Array): number {
  expect(path.posix.normalize(file)).toBe(file);
  expect(file).not.toMatch(/^(\/|\.\.)|\.\.\/|[\\\p{Cc}]/u);
  return bytes.length;
}

function checkedPage(html: string): number {
  // Its own elements alone: none of what is in it begins another.
  const scripts = html.match(/<script\b/gi)?.length ?? 0;
  expect(scripts).toBe(html.match(/<\/script>/gi)?.length);
  expect(html).toContain("default-src 'none'");
  expect(/<main id="app">([^]*)<\/main>/.exec(html)?.[1] ?? "").not.toMatch(
    /<(script|img|iframe|object|svg|style|link|meta|form)\b|<[^>]*\son\w+=/i,
  );
  return html.length;
}

const FIXTURES = path.resolve(import.meta.dirname, "../../fixtures");
const files: Buffer[] = readdirSync(FIXTURES, { recursive: true, encoding: "utf8" })
  .filter((file) => isEventFileName(path.basename(file)))
  .map((file) => readFileSync(path.join(FIXTURES, file)))
  .filter(({ length }) => length > 0 && length < 100_000);
// Nobody else writes these.
files.push(
  eventFile(
    versionEvent(),
    ownRecord("params", '{"lr":0.1,"n":3,"name":"x","none":null}'),
    ownRecord("tags", '{"team":"vision"}'),
    ownRecord("artifact", "text", { path: "a/b.txt" }),
    ownRecord("artifact", "", { path: "m.pt", file: "/m.pt", size: 7, mtime: 1, mac: "ab" }),
    ownRecord("metric", '{"tag":"loss","type":"loss","metadata":{"unit":["nats",{"a":1}]}}'),
  ),
);

/** Payloads of real records, of each kind some. */
async function realPayloads(): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (const file of files) {
    const source = new ScriptedSource(file);
    const reader = new RecordReader(source, { end: source.size });
    let few = 0;
    do
      while (reader.next()) {
        const payload = Buffer.from(reader.bytes.slice(reader.payloadStart, reader.payloadEnd));
        if (payload.length < 5000 && few++ < 12) found.push(payload);
      }
    while (await reader.load());
  }
  return found;
}
const payloads = await realPayloads();
const trees = payloads.flatMap((payload) => parseWire(payload) ?? []).filter(({ value }) => Array.isArray(value));

/** One change of a message: which of its fields, and how. */
const anyChange = fc.record({
  place: fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 6 }),
  how: fc.oneof(
    fc.constantFrom("remove", "twice", "empty", "many").map((what) => ({ what }) as const),
    anyNumber.map((number) => ({ what: "number", number }) as const),
    anyBlob.map((blob) => ({ what: "blob", blob }) as const),
    fc.integer({ min: 1, max: 20 }).map((field) => ({ what: "field", field }) as const),
    fc.double({ min: 0, max: 0.999, noNaN: true }).map((of) => ({ what: "other", of }) as const),
  ),
});
type Change = typeof anyChange extends fc.Arbitrary<infer T> ? T : never;

function changed(fields: readonly WireField[], { place: [at = 0, ...deeper], how }: Change): readonly WireField[] {
  if (fields.length === 0) return fields;
  const index = Math.floor(at * fields.length);
  const field = fields[index] as WireField;
  const instead = (...others: readonly WireField[]) => [
    ...fields.slice(0, index),
    ...others,
    ...fields.slice(index + 1),
  ];
  if (deeper.length > 0 && typeof field.value === "object" && !(field.value instanceof Uint8Array)) {
    return instead({ ...field, value: changed(field.value, { place: deeper, how }) });
  }
  switch (how.what) {
    case "remove":
      return instead();
    case "twice":
      return instead(field, field);
    case "many":
      return instead(...Array.from({ length: 40 }, () => field));
    case "empty":
      return instead({ ...field, wire: 2, value: new Uint8Array() });
    case "number":
      return instead({ ...field, wire: 0, value: how.number });
    case "blob":
      return instead({ ...field, wire: 2, value: how.blob });
    case "field":
      return instead({ ...field, number: how.field });
    default:
      return instead(field, trees[Math.floor(how.of * trees.length)] as WireField);
  }
}

const anyMessage = fc
  .tuple(fc.constantFrom(...payloads), fc.array(anyChange, { minLength: 1, maxLength: 6 }))
  .map(([payload, changes]) => wireBytes(changes.reduce(changed, parseWire(payload) ?? [])));

fuzz(
  "real messages, changed in their structure",
  0.3,
  fc.array(anyMessage, { minLength: 1, maxLength: 3 }),
  (messages) => consume(eventFile(...messages)),
);

const anyEdit = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  removed: fc.integer({ min: 0, max: 200 }),
  put: fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc.constantFrom(...payloads.slice(0, 50)),
    anyNumber.map((length) => header(length)),
    fc.integer({ min: 1, max: 5000 }).map((length) => Buffer.alloc(length)),
  ),
});
fuzz(
  "real files, changed in their bytes",
  0.1,
  fc.tuple(
    fc.constantFrom(...files.filter(({ length }) => length < 8000)),
    fc.array(anyEdit, { minLength: 1, maxLength: 5 }),
  ),
  async ([file, edits]) => {
    const bytes = edits.reduce((all, { at, removed, put }) => {
      const place = Math.floor(at * all.length);
      return Buffer.concat([all.subarray(0, place), put, all.subarray(place + removed)]);
    }, file);
    await consume(bytes);
  },
);

const PLUGINS = [
  "scalars",
  "images",
  "audio",
  "text",
  "histograms",
  "hparams",
  "pr_curves",
  "mesh",
  "custom_scalars",
  "graphs",
  "graph_keras_model",
  "other",
  "",
];
const anySize = fc.oneof(
  fc.integer({ min: -1, max: 9 }),
  fc.constantFrom(6, 3, 1000, 2 ** 20, 2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER),
);
const anyFloat = fc.oneof(fc.double(), fc.constantFrom(0, -0, 1, 1e308, -1e308, Number.NaN, Infinity, -Infinity));
const anyTensor = fc.record({
  dtype: fc.integer({ min: 0, max: 33 }),
  tensorShape: fc.record({
    dim: fc.array(
      anySize.map((size) => ({ size })),
      { maxLength: 5 },
    ),
    unknownRank: fc.constantFrom(false, false, false, true),
  }),
  tensorContent: fc.oneof(fc.constant(Buffer.alloc(0)), fc.constant(Buffer.alloc(0)), anyBlob),
  floatVal: fc.array(anyFloat, { maxLength: 19 }),
  doubleVal: fc.array(anyFloat, { maxLength: 19 }),
  intVal: fc.array(fc.integer(), { maxLength: 5 }),
  stringVal: fc.array(anyBlob, { maxLength: 6 }),
  boolVal: fc.array(fc.boolean(), { maxLength: 3 }),
  halfVal: fc.array(fc.integer(), { maxLength: 3 }),
});
const anyValue: fc.Arbitrary<Fields> = fc.oneof(
  fc.record({
    tag: anyTag,
    metadata: fc.record({
      pluginData: fc.record({ pluginName: fc.constantFrom(...PLUGINS), content: anyBlob }),
      displayName: anyTag,
    }),
    tensor: anyTensor,
  }),
  fc.record({
    tag: anyTag,
    image: fc.record({ width: fc.integer(), height: fc.integer(), encodedImageString: anyBlob }),
  }),
  fc.record({
    tag: anyTag,
    audio: fc.record({ sampleRate: anyFloat, contentType: anyTag, encodedAudioString: anyBlob }),
  }),
  fc.record({
    tag: anyTag,
    histo: fc.record({
      min: anyFloat,
      max: anyFloat,
      bucket: fc.array(anyFloat, { maxLength: 9 }),
      bucketLimit: fc.array(anyFloat, { maxLength: 9 }),
    }),
  }),
  fc.record({ tag: anyTag, simpleValue: anyFloat }),
);
const anyEvent = fc.record({
  wallTime: anyFloat,
  step: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
  value: fc.array(anyValue, { maxLength: 4 }),
});
fuzz("values of every plugin, of any shape", 0.2, fc.array(anyEvent, { minLength: 1, maxLength: 3 }), (events) =>
  consume(eventFile(...events.map(({ wallTime, step, value }) => event({ wallTime, step, summary: { value } })))),
);

const graphs = payloads
  .flatMap((payload) => (parseWire(payload) ?? []).filter(({ number }) => number === 4))
  .flatMap(({ value }) => (typeof value === "object" && !(value instanceof Uint8Array) ? [value] : []));
fuzz("graphs", 0.1, fc.tuple(fc.constantFrom(...graphs), fc.array(anyChange, { maxLength: 6 })), ([graph, changes]) => {
  const bytes = wireBytes(changes.reduce(changed, graph));
  for (const type of ["GraphDef", "MetaGraphDef", "NodeDef"]) textFormat(bytes, type);
  const { nodes, incomplete } = graphNodes(bytes);
  checkedPage(graphPage("g", nodes, incomplete));
});

fuzz("names", 0.15, fc.uniqueArray(anyTag, { maxLength: 12, selector: recordedName }), (tags) => {
  const [names, paths] = [new KeyNames([]), new ArtifactPaths()];
  const keys = new Set(tags.map((tag) => names.keyOf(recordedName(tag))));
  const directories = new Set(tags.map((tag) => paths.directory("text", tag).normalize("NFC").toLowerCase()));
  expect([keys.size, directories.size]).toEqual([tags.length, tags.length]);
  for (const key of keys) expect(isValidKey(key)).toBe(true);
  for (const directory of directories) checked(directory, new Uint8Array());
});

const soup = (...words: readonly string[]) =>
  fc
    .array(
      fc.oneof(
        fc.constantFrom(...words),
        fc.string({ maxLength: 4 }),
        anyRun.map((run) => run.slice(0, 300)),
      ),
      { maxLength: 60 },
    )
    .map((parts) => parts.join(""));
fuzz(
  "projector_config.pbtxt",
  0.05,
  soup(
    "embeddings",
    "{",
    "}",
    "<",
    ">",
    ":",
    '"',
    "'",
    "\\",
    "\\x",
    "\\777",
    "\\U0010ffff",
    "tensor_name",
    "tensor_path",
    "sprite",
    "single_image_dim",
    "[",
    "]",
    ",",
    "1e5",
    "-",
    "0x1f",
    "017",
    "#",
    "\n",
  ),
  (text) => {
    try {
      parseProjectorConfig(text);
    } catch (error) {
      expect(error).toBeInstanceOf(UnreadableError);
    }
  },
);

const yamlFile = path.join(folder, "hparams.yaml");
fuzz(
  "hparams.yaml",
  0.02,
  soup(
    "a: ",
    "- ",
    "\n",
    "\n  ",
    "&a ",
    "*a",
    "<<: *a",
    "? ",
    "| ",
    ">",
    "!!python/object:os.system ",
    "!!binary ",
    "!!set ",
    "{",
    "}",
    "[",
    "]",
    ",",
    '"',
    "'",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "0x1f",
    ".nan",
    "1_000",
    "2001-01-01",
    "__proto__: ",
  ),
  async (text) => {
    writeFileSync(yamlFile, text);
    const entry = {
      ...localFile(yamlFile),
      name: "hparams.yaml",
      size: Buffer.byteLength(text),
      mtime: 0n,
      token: 0n,
    };
    await readHparamsFile(entry).catch((error: Error) => expect(error.message).toContain("hparams.yaml"));
  },
);

fuzz(
  "Markdown",
  0.08,
  fc.tuple(
    anyTag,
    fc.array(
      soup(
        "[",
        "](",
        ")",
        "![",
        "<",
        ">",
        "javascript:",
        "data:text/html,",
        "https://x",
        "`",
        "```\n",
        "|",
        "|-|\n",
        "\n",
        "\n\n",
        "# ",
        "> ",
        "- ",
        "1. ",
        "*",
        "_",
        "&lt;",
        "&#106;",
        "<script>",
        "</script>",
        "<img src=x onerror=1>",
        '" onclick="x',
        "\\",
      ),
      { minLength: 1, maxLength: 4 },
    ),
  ),
  ([tag, strings]) => {
    const steps = [
      { step: 1n, wallTime: 1, shape: [], strings },
      { step: 2n, wallTime: 2, shape: [strings.length], strings },
    ];
    const html = textPage(tag, steps);
    checkedPage(html);
    for (const [, address] of html.matchAll(/href="([^"]*)"/g)) expect(address).toMatch(/^(https?|mailto)(:|&#58;)/i);
  },
);
