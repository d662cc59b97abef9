"""How many points an Aim repository holds: count_aim.py REPOSITORY"""

import sys

from aim import Repo

print(sum(len(metric.values.sparse_list()[0]) for run in Repo(sys.argv[1]).iter_runs() for metric in run.metrics()))
