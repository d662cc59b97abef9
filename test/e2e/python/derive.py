"""What TensorBoard's compressor and scikit-learn's definition make of the histograms and PR curves of a logdir.

usage: derive.py LOGDIR   prints {run: {tag: [[step, wall time in ms, value], ...]}}; numbers as text, exact
"""

import json
import math
import os
import sys

import numpy as np
from tensorboard import data_compat, dataclass_compat
from tensorboard.backend.event_processing import event_file_loader, io_wrapper
from tensorboard.plugins.distribution import compressor
from tensorboard.util import tensor_util


def derived(plugin, array):
    """(name, value) of each metric."""
    if plugin == "pr_curves":
        precision, recall = array[4].astype(float), array[5].astype(float)
        yield "average_precision", -float(np.sum(np.diff(np.append(recall, 0.0)) * precision))
    elif plugin == "histograms" and array.size and array[:, 2].sum() > 0:
        points = (500, 2500, 5000, 7500, 9500, 10000)
        for point, value in compressor.compress_histogram(array.astype(float), points)[:5]:
            yield f"p{point // 100}", value


def buckets(histo):
    """Rows of left, right, count of a histogram of the old form, in its own doubles: the loader rounds them to float32.

    Source: `_migrate_histogram_value` in tensorboard/data_compat.py.
    """
    filled = [i for i, count in enumerate(histo.bucket) if count > 0]
    if not filled:
        return np.zeros((0, 3))
    first, last = filled[0], filled[-1]
    edges = [histo.min, *histo.bucket_limit[first:last], histo.max]
    return np.array([edges[:-1], edges[1:], histo.bucket[first : last + 1]], dtype=np.float64).transpose()


logdir = os.path.abspath(sys.argv[1])
runs = {}
for directory in io_wrapper.GetLogdirSubdirectories(logdir):
    tags = runs[os.path.relpath(directory, logdir)] = {}
    for path in sorted(filter(io_wrapper.IsSummaryEventsFile, io_wrapper.ListDirectoryAbsolute(directory))):
        metadata = {}
        for event in event_file_loader.LegacyEventFileLoader(path).Load():
            exact = {value.tag: buckets(value.histo) for value in event.summary.value if value.HasField("histo")}
            for migrated in dataclass_compat.migrate_event(data_compat.migrate_event(event), metadata):
                for value in migrated.summary.value:
                    plugin = metadata[value.tag].plugin_data.plugin_name if value.tag in metadata else ""
                    if plugin not in ("histograms", "pr_curves"):
                        continue
                    array = exact.get(value.tag)
                    if array is None:
                        array = tensor_util.make_ndarray(value.tensor)
                    for name, number in derived(plugin, array):
                        point = [str(migrated.step), str(math.floor(migrated.wall_time * 1000)), repr(float(number) + 0.0)]
                        tags.setdefault(f"{value.tag}/{name}", []).append(point)
json.dump(runs, sys.stdout)
