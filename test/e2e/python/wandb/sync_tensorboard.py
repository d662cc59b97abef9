"""A run that writes event files with tensorboardX, and leaves the rest to wandb.init(sync_tensorboard=True).

usage: sync_tensorboard.py PROJECT ID LOGDIR   prints {"loss": [...], "pixels": [...]}, what was written
"""

import json
import sys

import numpy
import wandb
from tensorboardX import SummaryWriter

LOSSES = [0.5, 0.25, 0.1, float("nan")]


def main(project, name, logdir):
    run = wandb.init(project=project, id=name, sync_tensorboard=True)
    with SummaryWriter(logdir) as writer:
        for index, loss in enumerate(LOSSES):
            writer.add_scalar("loss", loss, index * 10, walltime=1.7e9 + index)
        pixels = numpy.arange(60, dtype=numpy.uint8).reshape(3, 4, 5)
        writer.add_image("image", pixels, 40, walltime=1.7e9 + 4)
        writer.add_histogram("histogram", numpy.arange(10), 50, walltime=1.7e9 + 5)
    run.finish()
    losses = [float(numpy.float32(loss)) for loss in LOSSES]
    print(json.dumps({"loss": losses, "pixels": pixels.transpose(1, 2, 0).tolist()}))


main(*sys.argv[1:])
