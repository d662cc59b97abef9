"""What an integration needs of the experiment that it logs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional, Protocol


class Logger(Protocol):
    def log_metric(self, name: str, value: Any, iteration: Optional[int] = None) -> None: ...

    def log_enhanced_metric(
        self,
        name: str,
        value: Any,
        metric_type: Any = None,
        iteration: Optional[int] = None,
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> None: ...
