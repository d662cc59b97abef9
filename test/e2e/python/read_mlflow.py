"""An experiment as MLflow's own Python client reads it.

usage: read_mlflow.py TRACKING_URI EXPERIMENT
prints {experiment: {tags}, runs: [{id, name, status, start, end, params, tags, metrics: {key: [[step, ms, value], ...]}}]};
numbers as text, exact
"""

import json
import sys

from mlflow.tracking import MlflowClient


def runs_of(client, experiment):
    """All runs of an experiment that may not be there, as MLflow's entities."""
    page = client.search_runs([experiment.experiment_id], max_results=1000) if experiment else []
    while page:
        yield from page
        token = getattr(page, "token", None)
        page = client.search_runs([experiment.experiment_id], max_results=1000, page_token=token) if token else None


def as_json(client, run):
    metrics = {
        key: [[str(m.step), str(m.timestamp), repr(m.value)] for m in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    return {
        "id": run.info.run_id,
        "name": run.data.tags.get("mlflow.runName"),
        "status": run.info.status,
        "start": run.info.start_time,
        "end": run.info.end_time,
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": metrics,
        "latest": {key: repr(value) for key, value in run.data.metrics.items()},
    }


if __name__ == "__main__":
    client = MlflowClient(sys.argv[1])
    experiment = client.get_experiment_by_name(sys.argv[2])
    runs = [as_json(client, run) for run in runs_of(client, experiment)]
    json.dump({"experiment": {"tags": experiment.tags if experiment else {}}, "runs": runs}, sys.stdout)
