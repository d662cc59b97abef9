"""A run that logs wide rows until a file appears.

usage: log_until.py PROJECT ID FILE   prints the number of rows, as JSON
"""

import json
import os
import sys

import wandb


def main(project, name, stop):
    run = wandb.init(project=project, id=name)
    rows = 0
    while not os.path.exists(stop):
        run.log({f"metric/{i}": rows for i in range(300)})
        rows += 1
    run.finish()
    json.dump(rows, sys.stdout)


main(*sys.argv[1:])
