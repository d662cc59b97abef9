"""The artifacts of runs as MLflow's own Python client finds them.

usage: artifacts.py TRACKING_URI RUN_ID
prints {path: [size that is listed or null, sha256 of what is downloaded]}
"""

import hashlib
import json
import os
import sys
import tempfile

import mlflow
from mlflow.tracking import MlflowClient

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient()


def files(path):
    for info in client.list_artifacts(sys.argv[2], path):
        if info.is_dir:
            yield from files(info.path)
        else:
            yield info


found = {}
with tempfile.TemporaryDirectory() as folder:
    for info in files(None):
        local = mlflow.artifacts.download_artifacts(run_id=sys.argv[2], artifact_path=info.path, dst_path=folder)
        with open(local, "rb") as file:
            found[info.path] = [info.file_size, hashlib.file_digest(file, "sha256").hexdigest()]
        os.remove(local)
print(json.dumps(found))
