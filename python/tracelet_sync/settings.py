"""What a session is told, by the names that `tracelet config` knows; tracelet itself checks them."""

from __future__ import annotations

import os
from typing import Any


class TraceletSettings:
    """Options of `start_logging`, as keyword arguments: `project`, `backend`, `track_system`, …

    Names and values are passed on as they are. What tracelet does not know it refuses, with the name and a suggestion.
    """

    def __init__(self, **values: Any) -> None:
        self._values = values

    def __getattr__(self, name: str) -> Any:
        """None for what was not given."""
        if name.startswith("_"):
            raise AttributeError(name)
        return self._values.get(name)

    def __repr__(self) -> str:
        return f"TraceletSettings({', '.join(f'{name}={value!r}' for name, value in self._values.items())})"

    def as_dict(self) -> dict[str, Any]:
        return dict(self._values)


def merged(*layers: Any) -> dict[str, Any]:
    """Of settings and configurations, the later ones count."""
    values: dict[str, Any] = {}
    for layer in layers:
        if layer is None:
            continue
        given = layer.as_dict() if isinstance(layer, TraceletSettings) else _as_dict(layer)
        values.update({name: value for name, value in given.items() if value is not None})
    return values


def plain(value: Any) -> Any:
    """For `json.dumps(default=…)`: paths, enums, sets and the like as tracelet reads them."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "item"):
        return value.item()
    return str(value)


def _as_dict(layer: Any) -> dict[str, Any]:
    """A mapping, a pydantic model, or any other object with attributes."""
    if hasattr(layer, "model_dump"):
        return dict(layer.model_dump())
    if hasattr(layer, "keys"):
        return dict(layer)
    return dict(vars(layer))
