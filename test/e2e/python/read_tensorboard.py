"""All scalars of a logdir as TensorBoard's own loader reads them, nothing purged.

usage: read_tensorboard.py LOGDIR   prints {run: {tag: [[step, wall time in ms, value], ...]}}; numbers as text, exact
"""

import json
import math
import os
import struct
import sys

from tensorboard import data_compat, dataclass_compat
from tensorboard.backend.event_processing import event_file_loader, io_wrapper
from tensorboard.compat.proto import types_pb2
from tensorboard.util import tensor_util


def to_float(tensor):
    """A tensor of one element as a double."""
    if tensor.dtype != types_pb2.DT_BFLOAT16:
        return float(tensor_util.make_ndarray(tensor).item())
    # TensorBoard cannot read these; they are the upper half of a float32.
    bits = int.from_bytes(tensor.tensor_content, "little") if tensor.tensor_content else tensor.half_val[0]
    return struct.unpack("<f", struct.pack("<I", bits << 16))[0]


def run_directories(logdir):
    """The directory of each run by the run's name."""
    logdir = os.path.abspath(logdir)
    return {os.path.relpath(run, logdir): run for run in io_wrapper.GetLogdirSubdirectories(logdir)}


def points(directory):
    """The scalars of one run, in the order of its files: (tag, step, wall time in ms, value as MLflow keeps it)."""
    for path in sorted(filter(io_wrapper.IsSummaryEventsFile, io_wrapper.ListDirectoryAbsolute(directory))):
        metadata = {}
        for event in event_file_loader.LegacyEventFileLoader(path).Load():
            for migrated in dataclass_compat.migrate_event(data_compat.migrate_event(event), metadata):
                for value in migrated.summary.value:
                    # Graphs become summaries after their tag's metadata has been looked at.
                    if value.tag not in metadata or metadata[value.tag].plugin_data.plugin_name != "scalars":
                        continue
                    number = to_float(value.tensor)
                    # MLflow's SQL stores have no infinities and no negative zero.
                    if math.isinf(number):
                        number = math.copysign(sys.float_info.max, number)
                    yield value.tag, migrated.step, math.floor(migrated.wall_time * 1000), number + 0.0


def scalars(directory):
    """The same by tag, as text."""
    tags = {}
    for tag, step, ms, number in points(directory):
        tags.setdefault(tag, []).append([str(step), str(ms), repr(number)])
    return tags


if __name__ == "__main__":
    json.dump({name: scalars(directory) for name, directory in run_directories(sys.argv[1]).items()}, sys.stdout)
