"""The artifacts of a run, or of all runs of an experiment, as MLflow's own Python client gets them.

usage: read_artifacts.py TRACKING_URI run RUN_ID | read_artifacts.py TRACKING_URI experiment NAME
prints {run's name: {path: [size that is listed or null, sha256 of what is downloaded]}}
"""

import hashlib
import json
import os
import sys
import tempfile

import mlflow
from mlflow.tracking import MlflowClient
from read_mlflow import runs_of


def listed(client, run_id, path=None):
    for info in client.list_artifacts(run_id, path):
        if info.is_dir:
            yield from listed(client, run_id, info.path)
        else:
            yield info


def artifacts(client, run_id):
    files = list(listed(client, run_id))
    if not files:
        return {}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=folder)
        for info in files:
            with open(os.path.join(folder, info.path), "rb") as file:
                found[info.path] = [info.file_size, hashlib.file_digest(file, "sha256").hexdigest()]
    return found


mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()
if sys.argv[2] == "run":
    runs = [client.get_run(sys.argv[3])]
else:
    runs = runs_of(client, client.get_experiment_by_name(sys.argv[3]))
json.dump({run.data.tags["mlflow.runName"]: artifacts(client, run.info.run_id) for run in runs}, sys.stdout)
