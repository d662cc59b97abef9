"""Send points to a W&B server with its own client.

usage: wandb_client.py log RUNS POINTS TAGS     a run.log a step, all tags in it: the points that bench/shapes.mjs writes
       wandb_client.py tensorboard LOGDIR       its own TensorBoard sync, a W&B run for each directory

The project is WANDB_PROJECT. What is timed begins when the first run is there, and ends when the last is finished: all is
acknowledged then. Prints JSON: seconds."""

import json
import math
import os
import sys
import time

import wandb
from wandb.proto import wandb_internal_pb2

SETTINGS = wandb.Settings(x_disable_stats=True, console="off", silent=True)


def start():
    return wandb.init(reinit="finish_previous", settings=SETTINGS)


def log(run, points, tags):
    for first in range(0, points, tags):
        run.log({f"train/metric_{i % tags}": math.sin(i / 1000) for i in range(first, first + tags)})


def tensorboard(run, directory):
    # As wandb.init(sync_tensorboard=True) does, but for files that are there already, and from another machine.
    record = wandb_internal_pb2.TBRecord(
        log_dir=directory, namespace="", save=False, ignore_timestamp=True, ignore_hostname=True
    )
    run._interface._publish_tbdata(record)


def main(how, *args):
    if how == "log":
        runs, points, tags = map(int, args)
        work = [lambda run: log(run, points, tags)] * runs
    else:
        (logdir,) = args
        folders = sorted(os.path.join(logdir, name) for name in os.listdir(logdir))
        work = [lambda run, folder=folder: tensorboard(run, folder) for folder in folders]
    began = None
    for send in work:
        run = start()
        if began is None:
            began = time.monotonic()
        send(run)
        run.finish()
    print(json.dumps({"seconds": time.monotonic() - began}))


main(*sys.argv[1:])
