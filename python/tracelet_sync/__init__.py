"""Uploads TensorBoard logs to experiment trackers: every point, exactly once, resumable."""

from .launcher import LauncherError, command

__all__ = ["LauncherError", "command"]
