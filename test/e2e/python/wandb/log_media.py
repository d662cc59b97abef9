"""Media as W&B's client logs them by hand, of files that are there already; all in row 0.

usage: log_media.py PROJECT ID FOLDER   logs <key>.<ending> of the folder under <key>, and all of a sub-directory as a list
"""

import os
import sys

import wandb

TYPES = {".png": wandb.Image, ".wav": wandb.Audio, ".gif": wandb.Video, ".html": lambda path: wandb.Html(path, inject=False)}


def medium(path):
    return TYPES[os.path.splitext(path)[1]](path)


def main(project, run_id, folder):
    settings = wandb.Settings(x_disable_stats=True, console="off")
    run = wandb.init(project=project, id=run_id, settings=settings)
    values = {}
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            values[name] = [medium(os.path.join(path, each)) for each in sorted(os.listdir(path))]
        else:
            values[os.path.splitext(name)[0]] = medium(path)
    run.log(values)
    run.finish()


main(*sys.argv[1:])
