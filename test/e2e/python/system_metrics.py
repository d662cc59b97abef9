"""The names of MLflow's own system metrics of this machine, and the labels that its client sets for a file.

usage: system_metrics.py FILE
prints {metrics: [name], tags: {name: value}}
"""

import json
import sys

from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor
from mlflow.tracking.context import git_context

names = []
for monitor in (CPUMonitor(), DiskMonitor(), NetworkMonitor()):
    monitor.collect_metrics()
    names += [f"system/{name}" for name in monitor.aggregate_metrics()]
git_context._get_main_file = lambda: sys.argv[1]
json.dump({"metrics": names, "tags": git_context.GitRunContext().tags()}, sys.stdout)
