"""What is said to the user: by `logging`, as `tracelet_sync`. Warnings reach standard error with no set-up at all."""

from __future__ import annotations

import logging

log = logging.getLogger("tracelet_sync")

_said: set[str] = set()


def once(message: str) -> None:
    """Warn, the first time only."""
    if message in _said:
        return
    _said.add(message)
    log.warning("tracelet: %s", message)


def warn(message: str) -> None:
    log.warning("tracelet: %s", message)
