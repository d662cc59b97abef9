"""Uploads TensorBoard logs to experiment trackers: every point, exactly once, resumable."""

from .active import get_active_experiment, start_logging, stop_logging
from .core.experiment import Experiment
from .frameworks import LightningFramework, PyTorchFramework
from .launcher import LauncherError, command
from .settings import TraceletSettings

__all__ = [
    "Experiment",
    "LauncherError",
    "LightningFramework",
    "PyTorchFramework",
    "TraceletSettings",
    "command",
    "get_active_experiment",
    "start_logging",
    "stop_logging",
]
