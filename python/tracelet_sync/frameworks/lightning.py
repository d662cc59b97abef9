"""Lightning."""

from __future__ import annotations

from .framework import Framework


class LightningFramework(Framework):
    """Lightning is not hooked into: what its TensorBoardLogger writes is read from its files."""
