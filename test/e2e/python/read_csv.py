"""The scalars that `--backend csv` has written, read with nothing but Python's csv module.

usage: read_csv.py OUT   prints {run: {tag: [["scalar", step, wall time, value], ...]}}; numbers as text
"""

import csv
import json
import os
import sys


def read(out):
    """All runs below a directory."""
    runs = {}
    for folder, _, names in os.walk(out):
        if "scalars.csv" not in names:
            continue
        with open(os.path.join(folder, "scalars.csv"), encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, strict=True):
                point = ["scalar", row["step"], row["wall_time"], row["value"]]
                runs.setdefault(row["run"], {}).setdefault(row["tag"], []).append(point)
    return runs


if __name__ == "__main__":
    json.dump(read(sys.argv[1]), sys.stdout)
