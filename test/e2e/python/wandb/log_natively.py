"""A run that logs what W&B's client can: numbers, all media, files, output, metrics' definitions.

usage: log_natively.py PROJECT ID [fail]   prints, as JSON, the rows it logged and the SHA-256 of the bytes behind each medium
"""

import hashlib
import json
import math
import os
import sys
import tempfile
import wave

import numpy
import PIL.Image
import wandb

NUMBERS = [0.1, 1 / 3, 1e300, -5, 2**53 - 1]
ODD = [math.nan, math.inf, -math.inf, 0.1, 3]


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def picture(path, seed):
    pixels = numpy.random.default_rng(seed).integers(0, 255, (4, 6, 3), dtype=numpy.uint8)
    PIL.Image.fromarray(pixels).save(path)
    return path


def sound(path):
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(range(200)))
    return path


def film(path):
    frames = [PIL.Image.new("P", (8, 8), color) for color in (0, 1, 2)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    return path


def text(path, content):
    with open(path, "w") as file:
        file.write(content)
    return path


def main(project, name, *rest):
    folder = tempfile.mkdtemp()
    image, images = picture(f"{folder}/a.png", 1), [picture(f"{folder}/{seed}.png", seed) for seed in (2, 3)]
    audio, video = sound(f"{folder}/a.wav"), film(f"{folder}/a.gif")
    html = text(f"{folder}/a.html", "<p>hello</p>")
    points = text(f"{folder}/a.pts.json", "[[0,0,0],[1,1,1]]")
    run = wandb.init(
        project=project,
        id=name,
        name="first",
        config={"lr": 0.1, "opt": {"name": "adam", "betas": [0.9, 0.999]}},
        tags=["a", "b"],
        group="g",
        job_type="train",
        notes="note",
    )
    run.define_metric("epoch")
    run.define_metric("val/*", step_metric="epoch")
    run.define_metric("loss", summary="min")
    rows = []
    for epoch, (number, odd) in enumerate(zip(NUMBERS, ODD)):
        rows.append({"loss": 1 / (epoch + 1), "val/acc": epoch / 5, "epoch": epoch, "number": number, "odd": odd, "n": {"a": epoch}})
        run.log(rows[-1])
    print("a line of output", file=sys.stderr)
    histogram = {"_type": "histogram", "values": [1, 2, 3], "bins": [0, 1, 2, 3.5]}
    rows.append({"histogram": histogram})
    run.log(
        {
            "histogram": wandb.Histogram(np_histogram=(histogram["values"], histogram["bins"])),
            "image": wandb.Image(image, caption="caption"),
            "images": [wandb.Image(each) for each in images],
            "audio": wandb.Audio(audio, caption="a sound"),
            "video": wandb.Video(video, format="gif"),
            "html": wandb.Html(html, inject=False),
            "object": wandb.Object3D(points),
            "table": wandb.Table(columns=["a", "b"], data=[[1, "x"], [2, "y"]]),
        }
    )
    os.chdir(folder)
    run.save(text("notes.txt", "some file"))
    media = {"image": [image], "images": images, "audio": [audio], "video": [video], "html": [html], "object": [points]}
    digests = {key: [sha256(path) for path in paths] for key, paths in media.items()}
    print(json.dumps({"rows": rows, "media": digests, "saved": {"notes.txt": sha256("notes.txt")}}))
    if rest == ("fail",):
        raise RuntimeError("as it was told to")
    run.finish()


main(*sys.argv[1:])
