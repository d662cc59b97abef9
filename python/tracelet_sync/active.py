"""The one experiment of a script."""

from __future__ import annotations

import atexit
import os
import threading
from typing import Any, Optional, Union

from .core.experiment import Experiment
from .notice import log, warn
from .outcome import begin, has_failed, script_has_failed
from .session import join_starter

_lock = threading.RLock()
_active: Optional[Experiment] = None


def start_logging(
    exp_name: Optional[str] = None,
    project: Optional[str] = None,
    backend: Union[str, list[str], None] = None,
    config: Any = None,
    settings: Any = None,
) -> Experiment:
    """Send what is logged from now on, by TensorBoard's writers and by hand, as one run.

    It returns at once; the work is done by `tracelet watch` in a process of its own, which also sends the rest should this
    one be killed. Nothing that goes wrong there stops the script: it is reported by `logging`.

    Args:
        exp_name: what the run is called. Default: as the script
        project: where it belongs: MLflow's experiment, W&B's project
        backend: one or several destinations. Default: `TRACELET_BACKEND`, or MLflow
        config: options, by the names of `tracelet config`; `tensorboard_log_dir` says what is followed (one directory or
            several; default: `runs` and `lightning_logs`). Or the path of a tracelet.config file
        settings: the same, as `TraceletSettings`; `config` counts more

    Called again for the same run, it returns the active experiment. Another one ends that first.
    """
    global _active
    with _lock:
        made = Experiment(exp_name, config, backend, project=project, settings=settings)
        if _active is not None:
            if _active._session.is_same(made._session):
                log.info("tracelet: %r is being logged already", _active.name)
                return _active
            warn(f"{_active.name!r} is still being logged; it ends here, since {made.name!r} begins")
            stop_logging()
        begin()
        _active = made.start()
        return _active


def stop_logging(timeout: Optional[float] = None) -> bool:
    """Send what is left, and wait until it is there. Called while an exception is handled or passes through, as in
    `finally`, it ends the run as failed; after a Ctrl-C that the script handles it does not.

    Args:
        timeout: how long to wait at most, in seconds (default: 60). After it the rest is sent all the same, by the process
            that is doing so, and a warning says how much it is, and which command sends it should that one be stopped.

    Returns:
        Whether everything is at the destination; True if nothing was being logged. In a process that has joined the run of
        another (a rank, a child), whether that one is there, which sends what this one has written.
    """
    global _active
    with _lock:
        experiment, _active = _active, None
        return True if experiment is None else experiment.stop(timeout, has_failed())


def get_active_experiment() -> Optional[Experiment]:
    return _active


def _forget_after_fork() -> None:
    """A child goes on with a file of its own; the watch is its parent's."""
    global _lock
    _lock = threading.RLock()
    if _active is not None:
        _active._forget_after_fork()


join_starter()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
def _stop_at_exit() -> None:
    global _active
    with _lock:
        experiment, _active = _active, None
        if experiment is not None:
            experiment.stop(None, script_has_failed())


atexit.register(_stop_at_exit)
