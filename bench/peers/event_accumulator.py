"""Read a logdir with TensorBoard's EventAccumulator, which is told to keep everything: event_accumulator.py LOGDIR

Prints how many values of each kind it has and how long it took, without its imports."""

import json
import os
import sys
import time

from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator

start = time.monotonic()
values = {}
for folder, _, files in os.walk(sys.argv[1]):
    if not any("tfevents" in name for name in files):
        continue
    run = EventAccumulator(folder, size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE).Reload()
    found = run.Tags()
    for kind, read in {
        "scalars": run.Scalars,
        "histograms": run.Histograms,
        "images": run.Images,
        "audio": run.Audio,
        "tensors": run.Tensors,
    }.items():
        count = sum(len(read(tag)) for tag in found[kind])
        values[kind] = values.get(kind, 0) + count
print(json.dumps({"values": values, "points": sum(values.values()), "seconds": time.monotonic() - start}))
