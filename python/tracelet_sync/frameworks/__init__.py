"""Where scripts that used the `tracelet` of PyPI look for its integrations. Here nothing has to be patched."""

from .lightning import LightningFramework
from .pytorch import PyTorchFramework

__all__ = ["LightningFramework", "PyTorchFramework"]
