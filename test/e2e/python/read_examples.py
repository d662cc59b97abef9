"""What TensorBoard reads in the log directories that examples have written.

usage: read_examples.py FOLDER   its directories are examples
prints {example: {scalars: {"runs/train": {tag: [[step, ms, value], …]}}, counts: {images, histograms, text, audio, graphs}}}
"""

import json
import sys
from pathlib import Path

from read_tensorboard import run_directories, scalars
from tensorboard import data_compat, dataclass_compat
from tensorboard.backend.event_processing import event_file_loader

#: By the plugin's name, what is counted.
KINDS = {"images": "images", "histograms": "histograms", "text": "text", "audio": "audio", "graphs": "graphs"}


def counts(directory):
    found = dict.fromkeys(KINDS.values(), 0)
    for path in Path(directory).glob("*tfevents*"):
        metadata = {}
        for event in event_file_loader.LegacyEventFileLoader(str(path)).Load():
            for migrated in dataclass_compat.migrate_event(data_compat.migrate_event(event), metadata):
                for value in migrated.summary.value:
                    known = value.metadata if value.metadata.plugin_data.plugin_name else metadata.get(value.tag)
                    plugin = known.plugin_data.plugin_name if known else ""
                    if plugin in KINDS:
                        # An image's first two strings are its size.
                        found[KINDS[plugin]] += len(value.tensor.string_val) - 2 if plugin == "images" else 1
    return found


def main(folder):
    result = {}
    for example in sorted(Path(folder).iterdir()):
        read, total = {}, dict.fromkeys(KINDS.values(), 0)
        for logdir in ("runs", "lightning_logs"):
            if not (example / logdir).is_dir():
                continue
            for name, directory in run_directories(str(example / logdir)).items():
                read[logdir if name == "." else f"{logdir}/{name}"] = scalars(directory)
                for kind, count in counts(directory).items():
                    total[kind] += count
        result[example.name] = {"scalars": read, "counts": total}
    json.dump(result, sys.stdout)


main(sys.argv[1])
