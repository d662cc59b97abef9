"""Adds what `node scripts/wheel.mjs` has laid ready to a wheel: tracelet's JavaScript with its packages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class JavaScript(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        # An editable installation runs the dist/ of its checkout.
        if version == "editable":
            return
        javascript = Path(self.root, "build", "javascript")
        if not javascript.is_dir():
            raise FileNotFoundError(f"{javascript} is missing; build the wheel with: npm run wheel")
        build_data["force_include"][str(javascript)] = "tracelet_sync/javascript"
