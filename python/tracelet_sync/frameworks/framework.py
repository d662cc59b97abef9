"""What the integrations have in common: logging by hand. All that TensorBoard's writers write is followed anyway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from ..notice import once
from .logger import Logger


class Framework:
    def __init__(self) -> None:
        self._experiment: Optional[Logger] = None

    def initialize(self, experiment: Logger) -> None:
        """Log to this experiment from now on."""
        self._experiment = experiment

    def start_tracking(self) -> None:
        """Nothing to do: the experiment's watch follows the files."""

    def stop_tracking(self) -> None:
        """Nothing to do: `stop_logging` ends the watch."""

    def log_metric(self, name: str, value: Any, iteration: Optional[int] = None) -> None:
        if self._experiment is None:
            once(f"{type(self).__name__}.log_metric before initialize(experiment); skipped")
            return
        self._experiment.log_metric(name, value, iteration)

    def log_enhanced_metric(
        self,
        name: str,
        value: Any,
        metric_type: Any = None,
        iteration: Optional[int] = None,
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """A metric with what it is (`loss`, `accuracy`, …) and anything else that is known of it."""
        if self._experiment is None:
            once(f"{type(self).__name__}.log_enhanced_metric before initialize(experiment); skipped")
            return
        self._experiment.log_enhanced_metric(name, value, metric_type, iteration, metadata)
