"""All images of a logdir as TensorBoard's own loader reads them, decoded by Pillow.

usage: read_images.py LOGDIR   prints {run: {tag: [[step, [image, ...]], ...]}}; an image is
{sha256, moving: whether it has several frames, size: [width, height], cells: [[red, green, blue], ...]}: the mean colours,
on white, of the first frame's quarters, row by row; of fewer where it is one pixel wide or high
"""

import hashlib
import io
import json
import os
import sys

import numpy as np
from PIL import Image
from tensorboard import data_compat, dataclass_compat
from tensorboard.backend.event_processing import event_file_loader, io_wrapper
from tensorboard.util import tensor_util


def describe(data):
    picture = Image.open(io.BytesIO(data))
    rgba = np.asarray(picture.convert("RGBA"), float)
    rgb = rgba[..., :3] * rgba[..., 3:] / 255 + 255 - rgba[..., 3:]
    halves = lambda block, axis: np.split(block, [block.shape[axis] // 2], axis) if block.shape[axis] > 1 else [block]
    cells = [cell.mean((0, 1)).tolist() for rows in halves(rgb, 0) for cell in halves(rows, 1)]
    moving = getattr(picture, "n_frames", 1) > 1
    return {"sha256": hashlib.sha256(data).hexdigest(), "moving": moving, "size": picture.size, "cells": cells}


def images(directory):
    """The images of one run, in the order of its files."""
    tags = {}
    for path in sorted(filter(io_wrapper.IsSummaryEventsFile, io_wrapper.ListDirectoryAbsolute(directory))):
        metadata = {}
        for event in event_file_loader.LegacyEventFileLoader(path).Load():
            for migrated in dataclass_compat.migrate_event(data_compat.migrate_event(event), metadata):
                for value in migrated.summary.value:
                    if value.tag not in metadata or metadata[value.tag].plugin_data.plugin_name != "images":
                        continue
                    # Width and height, then the images.
                    encoded = tensor_util.make_ndarray(value.tensor).tolist()[2:]
                    tags.setdefault(value.tag, []).append([migrated.step, [describe(data) for data in encoded]])
    return tags


logdir = os.path.abspath(sys.argv[1])
runs = {os.path.relpath(run, logdir): images(run) for run in io_wrapper.GetLogdirSubdirectories(logdir)}
json.dump({run: tags for run, tags in runs.items() if tags}, sys.stdout)
