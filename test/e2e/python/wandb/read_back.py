"""What W&B's public API reads of a project's runs.

usage: read_back.py PROJECT FOLDER   prints, as JSON, each run by its id: state, config, summary, rows, files' sizes and digests
"""

import hashlib
import json
import sys

import wandb


def digest(file, folder):
    with file.download(root=folder, replace=True) as got:
        with open(got.name, "rb") as read:
            return hashlib.sha256(read.read()).hexdigest()


def read(run, folder):
    keys = sorted({key for row in run.scan_history() for key in row if not key.startswith("_")})
    return {
        "name": run.name,
        "state": run.state,
        "config": run.config,
        "summary": {key: run.summary._json_dict[key] for key in run.summary.keys()},
        "rows": list(run.scan_history(page_size=3)),
        "byKey": {key: [row[key] for row in run.scan_history(keys=[key])] for key in keys},
        "files": {file.name: [file.size, digest(file, f"{folder}/{run.id}")] for file in run.files()},
    }


def main(project, folder):
    print(json.dumps({run.id: read(run, folder) for run in wandb.Api().runs(project)}))


main(*sys.argv[1:])
