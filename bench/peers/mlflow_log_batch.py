"""Send points with MLflow's own client: mlflow_log_batch.py URI EXPERIMENT RUNS POINTS TAGS loop|asynchronous

The same points as bench/shapes.mjs writes. What is timed is the sending alone: imports, the runs and the Metric objects
are there before, and at its end everything is acknowledged. Prints JSON: points and seconds."""

import json
import math
import sys
import time

from mlflow import MlflowClient
from mlflow.entities import Metric

uri, experiment, *numbers, mode = sys.argv[1:]
runs, points, tags = map(int, numbers)
BATCH = 1000

client = MlflowClient(uri)
experiment_id = client.create_experiment(experiment)
ids = [client.create_run(experiment_id).info.run_id for _ in range(runs)]


def metrics(run):
    start = 1.7e9 + run * 1000
    return [
        Metric(f"train/metric_{i % tags}", math.sin(i / 1000), int((start + i / 1000) * 1000), i // tags)
        for i in range(points)
    ]


of_runs = [metrics(run) for run in range(runs)]
pending = []
began = time.monotonic()
for first in range(0, points, BATCH):
    for run_id, all_metrics in zip(ids, of_runs):
        batch = all_metrics[first : first + BATCH]
        if mode == "loop":
            client.log_batch(run_id, metrics=batch)
        else:
            pending.append(client.log_batch(run_id, metrics=batch, synchronous=False))
for operation in pending:
    operation.wait()
seconds = time.monotonic() - began
for run_id in ids:
    client.set_terminated(run_id)
print(json.dumps({"points": runs * points, "seconds": seconds}))
