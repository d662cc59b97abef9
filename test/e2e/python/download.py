"""All artifacts of an experiment, downloaded with MLflow's own Python client.

usage: download.py TRACKING_URI EXPERIMENT FOLDER   prints {run: folder of its artifacts}
"""

import json
import os
import sys

import mlflow
from mlflow.tracking import MlflowClient

mlflow.set_tracking_uri(sys.argv[1])
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name(sys.argv[2])
folders = {}
for run in client.search_runs([experiment.experiment_id], max_results=1000):
    folder = os.path.join(sys.argv[3], run.info.run_id)
    os.makedirs(folder)
    folders[run.data.tags["mlflow.runName"]] = folder
    if client.list_artifacts(run.info.run_id):
        mlflow.artifacts.download_artifacts(run_id=run.info.run_id, dst_path=folder)
json.dump(folders, sys.stdout)
