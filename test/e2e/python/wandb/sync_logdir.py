"""W&B's own TensorBoard sync of files that are there already: one W&B run for each directory with event files.

It follows what a program writes, and takes only files that are as new as its run and of this machine. It can be told to take
others, though not by wandb.init(sync_tensorboard=True). It reads the directories below one, too, as if all files there were one
after the other: so each directory is shown to it without those below, unless told otherwise.

usage: sync_logdir.py PROJECT LOGDIR [whole]   prints {directory below LOGDIR: id of the run}; "whole": with what is below
"""

import json
import os
import shutil
import sys
import tempfile

import wandb
from wandb.proto import wandb_internal_pb2


def sync(project, directory):
    settings = wandb.Settings(x_disable_stats=True, console="off")
    run = wandb.init(project=project, reinit="finish_previous", settings=settings)
    record = wandb_internal_pb2.TBRecord(
        log_dir=directory, namespace="", save=False, ignore_timestamp=True, ignore_hostname=True
    )
    run._interface._publish_tbdata(record)
    run.finish()
    return run.id


def main(project, logdir, *rest):
    ids = {}
    for folder, _, files in sorted(os.walk(logdir)):
        names = [name for name in files if "tfevents" in name]
        if not names:
            continue
        with tempfile.TemporaryDirectory() as alone:
            for name in names:
                shutil.copy(os.path.join(folder, name), alone)
            ids[os.path.relpath(folder, logdir)] = sync(project, folder if rest == ("whole",) else alone)
    print(json.dumps(ids))


main(*sys.argv[1:])
