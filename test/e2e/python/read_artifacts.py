"""A run's artifacts as MLflow's own Python client gets them.

usage: read_artifacts.py TRACKING_URI EXPERIMENT   prints {run: {path: [bytes, sha256]}}
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path

import mlflow
from mlflow.tracking import MlflowClient

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name(sys.argv[2])
runs = {}
for run in client.search_runs([experiment.experiment_id], max_results=1000):
    files = runs[run.data.tags["mlflow.runName"]] = {}
    if not client.list_artifacts(run.info.run_id):
        continue
    with tempfile.TemporaryDirectory() as folder:
        mlflow.artifacts.download_artifacts(run_id=run.info.run_id, dst_path=folder)
        for file in sorted(Path(folder).rglob("*")):
            if file.is_file():
                data = file.read_bytes()
                files[file.relative_to(folder).as_posix()] = [len(data), hashlib.sha256(data).hexdigest()]
json.dump(runs, sys.stdout)
