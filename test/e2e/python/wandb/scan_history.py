"""What scan_history of W&B's public API reads of a project's runs.

usage: scan_history.py PROJECT   prints {run's name: {key: [[global_step, _timestamp, value], ...]}}, numbers alone
"""

import json
import sys

import wandb

OWN = ("_step", "_timestamp", "_runtime", "global_step")


def read(run):
    points = {}
    for row in run.scan_history():
        for key, value in row.items():
            if key not in OWN and isinstance(value, (int, float)):
                points.setdefault(key, []).append([row["global_step"], row.get("_timestamp"), value])
    return points


def main(project):
    print(json.dumps({run.name: read(run) for run in wandb.Api().runs(project)}))


main(*sys.argv[1:])
