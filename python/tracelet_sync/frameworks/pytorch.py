"""torch."""

from __future__ import annotations

from ..notice import once
from .framework import Framework
from .logger import Logger


class PyTorchFramework(Framework):
    """`SummaryWriter` is not patched: what it writes is read from its files."""

    def __init__(self, patch_tensorboard: bool = True) -> None:
        super().__init__()
        self._patch_tensorboard = patch_tensorboard

    def initialize(self, experiment: Logger) -> None:
        super().initialize(experiment)
        if not self._patch_tensorboard:
            once(
                "PyTorchFramework(patch_tensorboard=False): nothing is ever patched, and SummaryWriters are followed all"
                ' the same; start_logging(config={"track_tensorboard": False}) sends what is logged by hand alone'
            )
