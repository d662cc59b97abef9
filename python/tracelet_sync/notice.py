"""What is said to the user: by `logging`, as `tracelet_sync`. Warnings reach standard error with no set-up at all."""

from __future__ import annotations

import functools
import logging
from typing import Any, Callable, TypeVar, cast

_Method = TypeVar("_Method", bound=Callable[..., Any])

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


def never_raises(otherwise: Any = None) -> Callable[[_Method], _Method]:
    """Of a method that a training calls: whatever it raises is reported once. otherwise: what it returns then."""

    def guarded(method: _Method) -> _Method:
        @functools.wraps(method)
        def called(*args: Any, **kwargs: Any) -> Any:
            try:
                return method(*args, **kwargs)
            except Exception as error:
                once(f"{method.__name__} failed: {type(error).__name__}: {error}; skipped")
                log.debug("tracelet: %s", method.__name__, exc_info=True)
                return otherwise

        return cast(_Method, called)

    return guarded
