"""The names and units of MLflow's own system metrics, and the labels that its client sets for a file.

MLflow's monitors run as they are; what they ask (psutil, pynvml) is stood in for: one machine with two GPUs, of which the second
does not tell its power.

usage: system_metrics.py FILE
prints {metrics: {name: value}, tags: {name: value}}
"""

import json
import sys
from types import SimpleNamespace as Namespace


class NVMLError(Exception):
    pass


def power_of(gpu):
    if gpu == 1:
        raise NVMLError("Not Supported")
    return 301_300


MIB = 2**20
sys.modules["psutil"] = Namespace(
    cpu_percent=lambda: 12.5,
    virtual_memory=lambda: Namespace(used=4e9, total=16e9),
    disk_usage=lambda _: Namespace(percent=20.0, used=1e9, free=4e9),
    net_io_counters=lambda: Namespace(bytes_recv=5e6, bytes_sent=6e6),
)
sys.modules["pynvml"] = Namespace(
    NVMLError=NVMLError,
    nvmlInit=lambda: None,
    nvmlDeviceGetCount=lambda: 2,
    nvmlDeviceGetHandleByIndex=lambda index: index,
    nvmlDeviceGetMemoryInfo=lambda gpu: Namespace(used=(20321, 4)[gpu] * MIB, total=(81920, 24576)[gpu] * MIB),
    nvmlDeviceGetUtilizationRates=lambda gpu: Namespace(gpu=(87, 3)[gpu]),
    nvmlDeviceGetPowerUsage=power_of,
    nvmlDeviceGetEnforcedPowerLimit=lambda gpu: 400_000,
)

from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor  # noqa: E402
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor  # noqa: E402
from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor  # noqa: E402
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor  # noqa: E402
from mlflow.tracking.context import git_context  # noqa: E402

metrics = {}
for monitor in (CPUMonitor(), DiskMonitor(), NetworkMonitor(), GPUMonitor()):
    monitor.collect_metrics()
    metrics.update({f"system/{name}": value for name, value in monitor.aggregate_metrics().items()})
git_context._get_main_file = lambda: sys.argv[1]
json.dump({"metrics": metrics, "tags": git_context.GitRunContext().tags()}, sys.stdout)
