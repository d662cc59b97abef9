"""The embeddings that a standalone projector's configuration names, as numpy and Pillow read them.

usage: read_embeddings.py CONFIG
prints [{name, tensor: rows as text, exact, metadata: lines, sprite: [width, height, format] or null, dim}]
"""

import json
import sys
from pathlib import Path

import numpy
from PIL import Image

config = Path(sys.argv[1])
found = []
for embedding in json.loads(config.read_text())["embeddings"]:
    tensor = numpy.loadtxt(config.parent / embedding["tensorPath"], delimiter="\t", ndmin=2)
    sprite = embedding.get("sprite")
    if sprite:
        with Image.open(config.parent / sprite["imagePath"]) as image:
            image.load()
            size = [*image.size, image.format]
    found.append(
        {
            "name": embedding["tensorName"],
            "tensor": [[repr(float(x)) for x in row] for row in tensor],
            "metadata": (config.parent / embedding["metadataPath"]).read_text().splitlines(),
            "sprite": size if sprite else None,
            "dim": sprite["singleImageDim"] if sprite else None,
        }
    )
json.dump(found, sys.stdout)
