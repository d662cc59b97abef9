"""A run that logs numbers, and goes on where an earlier run of the id ended.

usage: log_numbers.py PROJECT ID FIRST END   logs {"x": FIRST} to {"x": END - 1}
"""

import sys

import wandb


def main(project, name, first, end):
    run = wandb.init(project=project, id=name, resume="allow")
    for x in range(int(first), int(end)):
        run.log({"x": x})
    run.finish()


main(*sys.argv[1:])
