/** Event files that we write, as TensorBoard's own Python reads them, beside what tensorboardX writes for the same input. */
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { readValues, type Value } from "../../src/reader/read-values.ts";
import { EventFileWriter } from "../../src/writer/event-file-writer.ts";
import { histogramOf } from "../../src/writer/histogram.ts";
import { SummaryWriter } from "../../src/writer/summary-writer.ts";
import { temporaryDirectory } from "../support/logdirs.ts";
import { askPython } from "../sync/python.ts";

/** Every value of a directory's event files, by TensorBoard's loader; `data` is the directory. */
const READ = `
import base64, os
from google.protobuf.json_format import MessageToDict
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
def told(value):
    found = MessageToDict(value)
    # A map's entries are in no order.
    if value.metadata.plugin_data.plugin_name == "hparams":
        found["metadata"] = MessageToDict(HParamsPluginData.FromString(value.metadata.plugin_data.content))
    return found
def read(directory):
    found = {}
    for folder, _, names in sorted(os.walk(directory)):
        for name in sorted(names):
            events = [Event.FromString(raw) for raw in RawEventFileLoader(os.path.join(folder, name)).Load()]
            assert events[0].file_version == "brain.Event:2"
            found[os.path.relpath(folder, directory)] = [
                (str(event.step), event.wall_time, told(value)) for event in events[1:] for value in event.summary.value
            ]
    return found
`;

type Read = Readonly<
  Record<string, readonly (readonly [step: string, wallTime: number, value: Record<string, unknown>])[]>
>;

function readByTensorBoard(directory: string): Read {
  return askPython(`${READ}\nanswer = read(data)`, directory) as Read;
}

function directoryOf(): string {
  const directory = temporaryDirectory();
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Without wall times. */
function contents(read: Read): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(read).map(([folder, values]) => [folder, values.map(([step, , value]) => [step, value])]),
  );
}

const NUMBERS = [-3.5, -0.25, 0, 0, 1e-13, 0.5, 0.5, 7, 1e6];

test("what tensorboardX writes for the same calls, TensorBoard reads of ours, too", () => {
  const [ours, theirs] = [directoryOf(), directoryOf()];
  const writer = new SummaryWriter(ours);
  writer.addScalar("loss", 0.1, 3);
  writer.addText("notes", "# Größe\n`x`", 4);
  writer.addHistogram("weights", NUMBERS, 5);
  writer.addHistogram("alone", [0.75], 6);
  writer.close();
  const hparams = new SummaryWriter(path.join(ours, "hp"));
  hparams.addHparams({ lr: 0.5, name: "sgd", nesterov: true }, { "hparam/loss": 0.25 }, { runName: "trial" });
  hparams.close();
  const expected = askPython(
    `${READ}
import numpy as np
from tensorboardX import SummaryWriter
from tensorboardX import summary
writer = SummaryWriter(data["directory"])
writer.add_scalar("loss", 0.1, 3)
writer.add_text("notes", "# Größe\\n\`x\`", 4)
writer.add_histogram("weights", np.array(data["numbers"]), 5, bins="tensorflow")
writer.add_histogram("alone", np.array([0.75]), 6, bins="tensorflow")
writer.close()
with SummaryWriter(data["directory"] + "/hp") as writer:
    writer.add_hparams({"lr": 0.5, "name": "sgd", "nesterov": True}, {"hparam/loss": 0.25}, name="trial", global_step=0)
answer = read(data["directory"])`,
    { directory: theirs, numbers: NUMBERS },
  ) as Read;
  expect(contents(readByTensorBoard(ours))).toEqual(contents(expected));
});

test("steps are any int64, and wall times what was given", () => {
  const directory = directoryOf();
  const writer = new SummaryWriter(directory);
  const steps = [0, -1, 2 ** 53 - 1, 2n ** 63n - 1n, -(2n ** 63n)];
  for (const [i, step] of steps.entries()) writer.addScalar("a", i, step, { wallTime: 1000.5 + i });
  writer.addScalar("exact", 0.1, 1, { wallTime: 1, doublePrecision: true });
  writer.close();
  const values = readByTensorBoard(directory)["."] ?? [];
  expect(values.slice(0, -1).map(([step, wallTime]) => [step, wallTime])).toEqual(
    steps.map((step, i) => [String(step), 1000.5 + i]),
  );
  expect(values.at(-1)?.[2]).toMatchObject({ tensor: { dtype: "DT_DOUBLE", doubleVal: [0.1] } });
  for (const step of [0.5, Number.NaN, 2 ** 53, 2n ** 63n]) {
    expect(() => new SummaryWriter(directoryOf()).addScalar("a", 1, step)).toThrow("a step is a whole number");
  }
});

test("a WAV file that Python's wave reads, and pixels that Pillow does", () => {
  const directory = directoryOf();
  const writer = new SummaryWriter(directory);
  const samples = [0, 0.5, -0.5, 1, -1, 2, -2, 0.9999];
  writer.addAudio("sound", samples, 1, { sampleRate: 8000 });
  const grey = { width: 3, height: 2, channels: 1, data: Uint8Array.of(0, 1, 2, 253, 254, 255) } as const;
  const rgb = { width: 1, height: 2, channels: 3, data: Float32Array.of(0, 0.5, 1, 2, -1, 0.25) } as const;
  writer.addImage("grey", grey, 1);
  writer.addImage("rgb", rgb, 1);
  writer.addImage("rgba", { width: 1, height: 1, channels: 4, data: [1, 2, 3, 4] }, 1);
  writer.close();
  const found = askPython(
    `${READ}
import io, wave
from PIL import Image
answer = []
for _, _, value in read(data)["."]:
    if "audio" in value:
        audio = value["audio"]
        with wave.open(io.BytesIO(base64.b64decode(audio["encodedAudioString"]))) as file:
            frames = file.readframes(file.getnframes())
            answer.append([file.getnchannels(), file.getframerate(), audio["sampleRate"], audio["lengthFrames"],
                           [int.from_bytes(frames[i:i + 2], "little", signed=True) for i in range(0, len(frames), 2)]])
    else:
        image = Image.open(io.BytesIO(base64.b64decode(value["image"]["encodedImageString"])))
        answer.append([image.mode, image.size, value["image"]["width"], value["image"]["height"],
                       value["image"]["colorspace"], list(image.tobytes())])`,
    directory,
  );
  // As torch's add_audio has it: (samples.clip(-1, 1) * 32767).astype("<i2").
  expect(found).toEqual([
    [1, 8000, 8000, "8", [0, 16383, -16383, 32767, -32767, 32767, -32767, 32763]],
    ["L", [3, 2], 3, 2, 1, [0, 1, 2, 253, 254, 255]],
    ["RGB", [1, 2], 1, 2, 3, [0, 127, 255, 255, 0, 63]],
    ["RGBA", [1, 1], 1, 1, 4, [1, 2, 3, 4]],
  ]);
});

test("encoded images are written as they are, with the size of their header", () => {
  const made = askPython(
    `
import base64, io
from PIL import Image
answer = []
for format, mode in data:
    file = io.BytesIO()
    Image.new(mode, (7, 5)).save(file, format)
    answer.append(base64.b64encode(file.getvalue()).decode())`,
    [
      ["PNG", "RGBA"],
      ["PNG", "P"],
      ["JPEG", "RGB"],
      ["JPEG", "L"],
      ["GIF", "P"],
    ],
  ) as string[];
  const directory = directoryOf();
  const writer = new SummaryWriter(directory);
  for (const [i, base64] of made.entries()) writer.addImage("image", Buffer.from(base64, "base64"), i);
  expect(() => writer.addImage("image", Buffer.from("nothing"))).toThrow("in no format that TensorBoard shows");
  expect(() => writer.addImage("image", { width: 2, height: 2, channels: 3, data: [1] })).toThrow("are no image");
  writer.close();
  const images = (readByTensorBoard(directory)["."] ?? []).map(([, , { image }]) => image);
  expect(images).toEqual(
    made.map((encodedImageString, i) => ({ height: 5, width: 7, colorspace: [4, 3, 3, 1, 3][i], encodedImageString })),
  );
});

describe("histograms", () => {
  test("numpy's counts for any numbers", () => {
    const numbers = fc.array(fc.double({ noDefaultInfinity: true, noNaN: true, min: -1e19, max: 1e19 }), {
      minLength: 1,
    });
    const samples = fc.sample(numbers, { numRuns: 200, seed: 7 });
    const found = samples.map((sample) => {
      const { bucketLimits, bucketCounts, min, max, num } = histogramOf(sample);
      return [[...bucketLimits], [...bucketCounts], min, max, num];
    });
    const expected = askPython(
      `
import numpy as np
from tensorboardX.summary import make_histogram
from tensorboardX import SummaryWriter
import tempfile
bins = SummaryWriter(tempfile.mkdtemp()).default_bins
answer = []
for values in data:
    made = make_histogram(np.array(values, dtype=float), bins)
    answer.append([list(made.bucket_limit), list(made.bucket), made.min, made.max, made.num])`,
      samples,
    );
    expect(found).toEqual(expected);
  });

  test("none of nothing", () => {
    expect(() => histogramOf([])).toThrow("at least one number");
    expect(() => histogramOf([Number.NaN, Infinity])).toThrow("at least one number");
  });
});

test("several curves lie where torch has them", () => {
  const directory = directoryOf();
  const writer = new SummaryWriter(directory);
  writer.addScalars("loss/all", { train: 1, "val/a": 2 }, 3);
  writer.addScalars("loss/all", { train: 4 }, 4);
  expect(() => writer.addScalars("x", { "/../../y": 1 })).toThrow("would lie elsewhere");
  expect(() => writer.addHparams({ a: 1 }, {}, { runName: "../x" })).toThrow("leads out of");
  writer.close();
  expect(contents(readByTensorBoard(directory))).toEqual({
    ".": [],
    loss_all_train: [
      ["3", { tag: "loss/all", simpleValue: 1 }],
      ["4", { tag: "loss/all", simpleValue: 4 }],
    ],
    "loss_all_val/a": [["3", { tag: "loss/all", simpleValue: 2 }]],
  });
});

test("what was written is there when the program ends by itself, throws, or is killed a second later", async () => {
  const module = path.resolve(import.meta.dirname, "../../dist/writer/summary-writer.js");
  const program = (end: string) => `
    const { SummaryWriter } = await import(${JSON.stringify(module)});
    const writer = new SummaryWriter(process.argv[1]);
    for (let i = 0; i < 10_000; i++) writer.addScalar("a", i, i);
    ${end}`;
  for (const end of [
    "",
    "throw new Error('x')",
    "process.exit(1)",
    "setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1500)",
  ]) {
    const directory = directoryOf();
    try {
      execFileSync(process.execPath, ["--input-type=module", "-e", program(end), directory], { stdio: "ignore" });
    } catch {}
    const values: Value[] = [];
    for await (const value of readValues(directory)) values.push(value);
    expect([end, values.length]).toEqual([end, 10_000]);
  }
});

test("a disk that takes nothing any more ends no program, and is told", () => {
  const module = path.resolve(import.meta.dirname, "../../dist/writer/summary-writer.js");
  const program = `
    const { SummaryWriter } = await import(${JSON.stringify(module)});
    const writer = new SummaryWriter(process.argv[1]);
    for (let i = 0; i < 10_000; i++) writer.addScalar("a", i, i);
    setTimeout(() => console.log("went on"), 1000);`;
  const directory = directoryOf();
  // Files of 100 kB at most: as a full disk, it takes a part of what is written.
  const command = 'ulimit -f 100; exec "$0" --input-type=module -e "$1" "$2"';
  const { status, stdout, stderr } = spawnSync("bash", ["-c", command, process.execPath, program, directory], {
    encoding: "utf8",
  });
  expect([status, stdout]).toEqual([0, "went on\n"]);
  expect(stderr.match(/TraceletWarning: cannot write .*EFBIG.*; it is tried again/g)).toHaveLength(1);
  expect(stderr).toMatch(/^cannot write .*EFBIG/m);
});

test("a file is never written over, and nothing is written behind its end", () => {
  const file = path.join(directoryOf(), "events.out.tfevents.1");
  const writer = new EventFileWriter(file);
  expect(() => new EventFileWriter(file)).toThrow("cannot make the event file");
  writer.close();
  writer.close();
  const before = readFileSync(file);
  expect(() => writer.write([])).toThrow("is closed");
  expect(readFileSync(file)).toEqual(before);
  expect(readdirSync(path.dirname(file))).toEqual(["events.out.tfevents.1"]);
});
