"""A training loop that logs scalars, and what it takes: by itself, under start_logging, and with MLflow's client in it.

usage: training.py HOW STEPS TAGS WORK     HOW: alone, tracelet, mlflow; WORK: ms of computing in each step
prints {loop: s, cpu: s of this process in the loop, start: s, stop: s, children: cpu s of its children}
"""

import json
import resource
import sys
import time

import torch
from torch.utils.tensorboard import SummaryWriter

how, steps, tags, work = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
torch.set_num_threads(1)

began = time.perf_counter()
log = None
if how == "tracelet":
    import tracelet_sync

    tracelet_sync.start_logging("overhead", project="overhead", backend="mlflow")
if how == "mlflow":
    import mlflow

    mlflow.set_experiment("overhead")
    mlflow.start_run()
    log = mlflow.log_metric
started = time.perf_counter()

writer = SummaryWriter("runs/overhead")
names = [f"train/metric-{number}" for number in range(tags)]
weights = torch.randn(64, 64)
time.sleep(2)

wall, cpu = time.perf_counter(), time.process_time()
for step in range(steps):
    until = time.thread_time() + work / 1000
    while time.thread_time() < until:
        weights = torch.tanh(weights @ weights)
    for name in names:
        writer.add_scalar(name, step * 0.1, step)
        if log is not None:
            log(name, step * 0.1, step=step)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu

writer.close()
ending = time.perf_counter()
if how == "tracelet":
    tracelet_sync.stop_logging(timeout=600)
if how == "mlflow":
    mlflow.end_run()
children = resource.getrusage(resource.RUSAGE_CHILDREN)
print(
    json.dumps(
        {
            "loop": wall,
            "cpu": cpu,
            "start": started - began,
            "stop": time.perf_counter() - ending,
            "children": children.ru_utime + children.ru_stime,
        }
    )
)
