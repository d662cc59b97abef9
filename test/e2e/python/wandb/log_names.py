"""What W&B's client calls things that are no rows. Runs in a git work tree with changes.

usage: log_names.py PROJECT ID   ends once the working directory has a file `enough`: samples of the machine have come through
"""

import os
import sys
import time

import numpy as np
import wandb

project, name = sys.argv[1:]
# Without `save_code` the client keeps no diff.
settings = wandb.Settings(save_code=True, x_stats_sampling_interval=0.5, x_file_stream_transmit_interval=1)
run = wandb.init(project=project, id=name, settings=settings, config={"optimizer": {"name": "adam", "betas": [0.9, 0.99]}})
run.define_metric("loss", step_metric="global_step", summary="min,last")
run.define_metric("acc", step_metric="global_step", summary="max,last")
points = np.array([[0, 0.5, 1], [2, 3, 4]], dtype=np.float32)
colored = np.array([[0, 0.5, 1, 255, 0, 7], [2, 3, 4, 1, 2, 3]], dtype=np.float32)
for step, (loss, acc) in enumerate([(3.0, 0.1), (1.0, 0.9), (2.0, 0.5)]):
    run.log({"loss": loss, "acc": acc, "global_step": step})
run.log(
    {
        "cloud": wandb.Object3D(points),
        "colored": wandb.Object3D(colored),
        "both": [wandb.Object3D(points), wandb.Object3D(points + 1)],
        "global_step": 3,
    }
)
while not os.path.exists("enough"):
    time.sleep(0.1)
run.finish()
