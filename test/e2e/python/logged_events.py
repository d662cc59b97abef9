"""What tracelet_sync logs, against the same messages made and serialized by TensorBoard's own classes, byte for byte.

usage: logged_events.py FOLDER   prints {events, different: [tag, …], crcs, histogram, pixels, samples, ignored,
raised: [[method, error], …], warnings: [text, …]}
"""

import glob
import io
import json
import logging
import math
import os
import random
import sys
import wave
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "python"))

import numpy
import PIL.Image
from tensorboard.backend.event_processing import event_accumulator, event_file_loader
from tensorboard.compat.proto import event_pb2, summary_pb2, types_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tracelet_sync.core.experiment import Experiment
from tracelet_sync.events import masked_crc


def metadata(plugin, content=b""):
    data = summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin, content=content)
    return summary_pb2.SummaryMetadata(plugin_data=data)


def scalar(tag, number):
    value = summary_pb2.Summary.Value(tag=tag, metadata=metadata("scalars"))
    value.tensor.dtype = types_pb2.DT_DOUBLE
    value.tensor.tensor_shape.SetInParent()
    value.tensor.tensor_content = numpy.float64(number).tobytes()
    return value


def strings(tag, plugin, text, content=b""):
    value = summary_pb2.Summary.Value(tag=tag, metadata=metadata(plugin, content))
    value.tensor.dtype = types_pb2.DT_STRING
    value.tensor.tensor_shape.dim.add(size=1)
    value.tensor.string_val.append(text)
    return value


def record(kind, tag, payload, **content):
    about = {"v": 1, "kind": kind, **content}
    return strings(tag, "tracelet", payload, json.dumps(about, ensure_ascii=False).encode())


class Unprintable:
    def __str__(self):
        raise ValueError("a bug of somebody else's")

    __repr__ = __str__


class Listed(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, entry):
        self.messages.append(entry.getMessage())


def log_awkwardly(exp):
    """What cannot be logged beside what can. Returns what was raised."""
    Path(os.fsdecode(b"\xff.bin")).write_bytes(b"x")
    calls = [
        ("log_params", {"k" * 1001: 1, "lr": 0.1}),
        ("log_params", {"text": "x" * 1_100_000, "epochs": 5}),
        ("log_params", {f"long/{number}": "é" * 300_000 for number in range(4)}),
        ("log_params", {f"many/{number}": number for number in range(10_001)}),
        ("log_params", {"broken": Unprintable(), "whole": 1}),
        ("log_params", {"half\udcff": "\udcff"}),
        ("log_params", [("a", 1)]),
        ("set_tags", {"q" * 1001: "1", "team": "blue"}),
        ("set_tags", None),
        ("log_artifact", "notes.txt", "/absolute.txt"),
        ("log_artifact", "notes.txt", "../up.txt"),
        ("log_artifact", "notes.txt", "a" * 201),
        ("log_artifact", "notes.txt", "kept/good.txt"),
        ("log_artifact", None),
        ("log_artifact", os.fsdecode(b"\xff.bin")),
        ("log_artifact", os.fsdecode(b"\xff.bin"), "named.bin"),
        ("log_metric", "step", 1, "x"),
        ("log_metric", "step", 1, math.nan),
        ("log_metric", "step", 10**400),
        ("log_metric", "half\udcff", 1),
        ("log_metric", "broken", Unprintable()),
        ("log_metrics", None),
        ("log_text", ["listed"], "text"),
        ("log_text", "text", "half\udcff"),
        ("log_text", "broken", Unprintable()),
        ("log_enhanced_metric", "acc", 0.5, "t" * 101, 0, {"n" * 1001: 1}),
        ("log_enhanced_metric", "m" * 1001, 0.5, "loss", 0),
        ("set_iteration", "x"),
        ("log_metric", "last", 1),
    ]
    raised = []
    for method, *arguments in calls:
        try:
            getattr(exp, method)(*arguments)
        except Exception as error:
            raised.append([method, repr(error)])
    return raised


def main(folder):
    os.makedirs(folder)
    os.chdir(folder)
    # Nothing is started: these are what a session's watch would read.
    exp = Experiment("logged", config={"tensorboard_log_dir": "logs"})
    Path("notes.txt").write_bytes(b"notes")
    Path("tree/deep").mkdir(parents=True)
    Path("tree/deep/leaf.bin").write_bytes(bytes(range(256)))
    exp.log_metric("loss", 0.95)
    exp.log_metric("loss", 1e-300)
    exp.log_metric("loss", math.nan, 2**62)
    exp.log_metric("größe/é", 3, -7)
    exp.log_metrics({"a": numpy.float32(0.1), "b": True}, 12)
    exp.log_text("said", "grüße\n\0", 3)
    exp.log_params({"lr": 1e-4, "n": 32, "whole": 32.0, "on": True, "none": None, "deep": {"é": "x", "inf": math.inf}})
    exp.set_tags({"team": "blue"})
    exp.log_artifact("notes.txt")
    exp.log_artifact("notes.txt", "kept/as.txt")
    exp.log_artifact("notes.txt", "kept/")
    exp.log_artifact("tree")
    exp.log_enhanced_metric("acc", 0.5, "Accuracy", 9, {"split": "val"})
    expected = [
        (0, scalar("loss", 0.95)),
        (1, scalar("loss", 1e-300)),
        (2**62, scalar("loss", math.nan)),
        (-7, scalar("größe/é", 3)),
        (12, scalar("a", numpy.float32(0.1))),
        (12, scalar("b", 1)),
        (3, strings("said", "text", "grüße\n\0".encode())),
        (
            0,
            record(
                "params",
                "tracelet/params",
                b'{"lr": 0.0001, "n": 32, "whole": 32.0, "on": true, "none": null, "deep/\xc3\xa9": "x", "deep/inf": "inf"}',
            ),
        ),
        (0, record("tags", "tracelet/tags", b'{"team": "blue"}')),
        (0, record("artifact", "tracelet/artifact/notes.txt", b"notes", path="notes.txt")),
        (0, record("artifact", "tracelet/artifact/kept/as.txt", b"notes", path="kept/as.txt")),
        (0, record("artifact", "tracelet/artifact/kept/notes.txt", b"notes", path="kept/notes.txt")),
        (0, record("artifact", "tracelet/artifact/tree/deep/leaf.bin", bytes(range(256)), path="tree/deep/leaf.bin")),
        (
            9,
            record(
                "metric",
                "tracelet/metric/acc",
                b'{"tag": "acc", "step": 9, "type": "accuracy", "metadata": {"split": "val"}}',
            ),
        ),
        (9, scalar("acc", 0.5)),
    ]
    chance = random.Random(7)
    numbers = [chance.gauss(0, 10 ** chance.randint(-14, 22)) for _ in range(3000)] + [0.0, 1e-12, -1e-12, 1.1e-12]
    pixels = numpy.random.default_rng(7).random((3, 20, 30))
    samples = numpy.sin(numpy.arange(400) / 8).reshape(2, 200)
    exp.log_histogram("spread", numpy.array([*numbers, math.nan]).reshape(5, -1), 1)
    exp.log_image("chw", pixels, 2)
    exp.log_image("grey", pixels[0].tolist(), 2)
    exp.log_image("pil", PIL.Image.new("RGBA", (5, 4), (1, 2, 3, 4)), 2)
    exp.log_audio("sound", samples, 8000, 3)
    # None of these can be logged; nothing is raised.
    exp.log_metric("bad", "x")
    exp.log_image("bad", "x")
    exp.log_audio("bad", [])
    exp.log_histogram("bad", [math.nan])
    exp.log_artifact("missing")
    exp._events.close()
    exp.log_metric("too late", 1)

    listed = Listed()
    logging.getLogger("tracelet_sync").addHandler(listed)
    awkward = Experiment("awkward", config={"tensorboard_log_dir": "awkward"})
    raised = log_awkwardly(awkward)
    awkward._events.close()

    (path,) = glob.glob("logs/*")
    raw = [event_pb2.Event.FromString(data) for data in event_file_loader.RawEventFileLoader(path).Load()]
    data = list(event_file_loader.RawEventFileLoader(path).Load())
    different = []
    for text, event, (step, value) in zip(data[1:], raw[1:], expected):
        own = event_pb2.Event(wall_time=event.wall_time, step=step)
        own.summary.value.append(value)
        if own.SerializeToString() != text:
            different.append(value.tag)
    # Any message says the same after TensorBoard has written it again.
    different += [str(number) for number, text in enumerate(data) if raw[number].SerializeToString() != text]
    values = {event.summary.value[0].tag: event.summary.value[0] for event in raw[1 + len(expected) :]}

    histogram = values["spread"].histo
    edges = [-math.inf, *histogram.bucket_limit]
    counts = [sum(1 for number in numbers if low <= number < high) for low, high in zip(edges, edges[1:])]
    # TensorBoard's own reader takes it, too.
    accumulator = event_accumulator.EventAccumulator(path).Reload()
    decoded = {tag: PIL.Image.open(io.BytesIO(values[tag].image.encoded_image_string)) for tag in ("chw", "grey", "pil")}
    with wave.open(io.BytesIO(values["sound"].audio.encoded_audio_string)) as sound:
        heard = numpy.frombuffer(sound.readframes(1000), "<i2").reshape(-1, sound.getnchannels()).T
        rate = sound.getframerate()
    lengths = [*range(70), 4095, 4096, 32767, 32768, 33000, 100_001]
    texts = [chance.randbytes(length) for length in lengths]
    json.dump(
        {
            "events": len(raw),
            "different": different,
            "crcs": sum(masked_crc.masked_crc(text) == masked_crc32c(text) for text in texts) == len(texts),
            "histogram": [
                list(histogram.bucket) == counts,
                histogram.num == len(numbers) == sum(histogram.bucket),
                [histogram.min, histogram.max] == [min(numbers), max(numbers)],
                histogram.sum == math.fsum(numbers),
                list(histogram.bucket_limit) == sorted(set(histogram.bucket_limit)),
            ],
            "pixels": [
                numpy.array_equal(numpy.asarray(decoded["chw"]), (pixels.transpose(1, 2, 0) * 255).astype("uint8")),
                numpy.array_equal(numpy.asarray(decoded["grey"]), (pixels[0] * 255).astype("uint8")),
                decoded["pil"].getpixel((0, 0)) == (1, 2, 3, 4),
                [values["chw"].image.width, values["chw"].image.height, values["chw"].image.colorspace] == [30, 20, 3],
            ],
            "samples": [numpy.array_equal(heard, numpy.round(samples * 32767)), rate == values["sound"].audio.sample_rate],
            "accumulated": {kind: tags for kind, tags in accumulator.Tags().items() if tags},
            "ignored": [tag for tag in ("bad", "too late") if tag in values],
            "raised": raised,
            "warnings": listed.messages,
        },
        sys.stdout,
    )


main(sys.argv[1])
