"""One experiment: what a script logs by hand, and the watch that sends it with all that TensorBoard's writers write."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import math
import os
import secrets
from collections.abc import Mapping
from typing import Any, Optional, Union

from ..events import EventFile, media, summary
from ..frameworks.lightning import LightningFramework
from ..frameworks.pytorch import PyTorchFramework
from ..notice import never_raises, once, warn
from ..session import Session
from .records import metric_record, path_problem, records_of, reference_problem, short

#: Larger files are not copied into an event file: they are uploaded from where they are, bytes.
_MAX_COPIED = 16 << 20
#: A process that has joined a session cannot vouch for a file to its watch, and copies it if it fits into an event; bytes.
_MAX_JOINED = 100_000_000
_INT64 = range(-(1 << 63), 1 << 63)


class Experiment:
    """What `start_logging` returns.

    No method raises, whatever it is given: a value that cannot be logged is reported once, and the script goes on.
    """

    def __init__(
        self,
        name: Optional[str] = None,
        config: Any = None,
        backend: Union[str, list[str], None] = None,
        tags: Optional[list[str]] = None,
        *,
        project: Optional[str] = None,
        settings: Any = None,
    ) -> None:
        self._session = Session(name, project=project, backend=backend, config=config, settings=settings)
        self.name: str = self._session.name
        self.tags = list(tags or [])
        self._key = secrets.token_hex(32)
        self._events = EventFile(self._session.directory)
        self._iteration: Optional[int] = None
        self._counters: dict[str, Any] = {}
        self._frameworks: dict[str, Any] = {
            "pytorch": PyTorchFramework(),
            "lightning": LightningFramework(),
        }
        for framework in self._frameworks.values():
            framework.initialize(self)

    def start(self) -> Experiment:
        self._session.start(self._key)
        # That of the session it has joined.
        self._events.directory = self._session.directory
        if self.tags:
            self.set_tags(dict(tag.split(":", 1) if ":" in tag else (tag, "true") for tag in self.tags))
        return self

    @never_raises(False)
    def stop(self, timeout: Optional[float] = None, has_failed: bool = False) -> bool:
        """Send everything that has been logged. Returns whether it is all at the destination. See `stop_logging`."""
        if not self._events.close():
            warn(f"values that were logged could not be written to {self._events.directory}")
        return self._session.stop(timeout, has_failed)

    @property
    def iteration(self) -> int:
        return self._iteration or 0

    @never_raises()
    def set_iteration(self, iteration: int) -> None:
        """The step of what is logged without one, from now on."""
        self._iteration = _whole(iteration, "set_iteration")

    @never_raises()
    def log_metric(self, name: str, value: Any, iteration: Optional[int] = None) -> None:
        """A number, also a tensor of one element. Without an iteration a metric counts its own from 0."""
        try:
            number = float(value)
        except Exception:  # Whatever a foreign object does.
            once(f"log_metric({short(name)}): {short(value)} is no number; skipped")
            return
        self._add(summary.scalar(str(name), number), self._step(str(name), iteration))

    @never_raises()
    def log_metrics(self, metrics: Mapping[str, Any], iteration: Optional[int] = None) -> None:
        for name, value in metrics.items():
            self.log_metric(name, value, iteration)

    @never_raises()
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Hyperparameters; nested ones are named `outer/inner`."""
        for data in records_of(_flattened(params), "param"):
            self._add(summary.record("params", "tracelet/params", data), 0)

    @never_raises()
    def log_param(self, name: str, value: Any) -> None:
        self.log_params({name: value})

    log_hyperparameter = log_param

    @never_raises()
    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Labels of the run."""
        for data in records_of({str(name): str(value) for name, value in tags.items()}, "tag"):
            self._add(summary.record("tags", "tracelet/tags", data), 0)

    @never_raises()
    def log_text(self, name: str, text: str, iteration: Optional[int] = None) -> None:
        self._add(summary.text(str(name), str(text)), self._step(str(name), iteration))

    @never_raises()
    def log_image(self, name: str, image: Any, iteration: Optional[int] = None) -> None:
        """A PIL image, a matplotlib figure, encoded bytes, or an array or tensor: HW, HWC or CHW."""
        try:
            encoded = media.image_of(image)
        except Exception as error:
            once(f"log_image({name!r}): {error}; skipped")
            return
        self._add(summary.image(str(name), *encoded), self._step(str(name), iteration))

    log_figure = log_image

    @never_raises()
    def log_audio(self, name: str, samples: Any, sample_rate: int = 44100, iteration: Optional[int] = None) -> None:
        """Samples from -1 to 1, or int16: one channel, or an array with one dimension for channels."""
        try:
            sound = media.audio_of(samples, sample_rate)
        except Exception as error:
            once(f"log_audio({name!r}): {error}; skipped")
            return
        value = summary.audio(str(name), sound.wav, float(sample_rate), sound.channels, sound.frames)
        self._add(value, self._step(str(name), iteration))

    @never_raises()
    def log_histogram(self, name: str, values: Any, iteration: Optional[int] = None) -> None:
        """Any numbers, of any shape; those that are not finite are not counted."""
        try:
            numbers = [number for number in media.flat_numbers(values) if math.isfinite(number)]
        except Exception as error:
            once(f"log_histogram({name!r}): {error}; skipped")
            return
        if not numbers:
            once(f"log_histogram({name!r}): there are no finite numbers; skipped")
            return
        self._add(summary.histogram(str(name), numbers), self._step(str(name), iteration))

    @never_raises()
    def log_artifact(self, local_path: Any, artifact_path: Optional[str] = None) -> None:
        """A file, or all files of a directory.

        artifact_path is the directory at the destination, as MLflow's is; or the file's own path there, where it ends as
        the file does (`report.csv`, `tables/march.csv`). Of a directory's files it is the directory they are in; with a `/`
        at its end, the one that the directory itself is in. A file of more than 16 MiB is not copied: it has to stay as it
        is until it is uploaded.
        """
        local = os.fsdecode(local_path)
        name = os.path.basename(os.path.abspath(local))
        target = str(artifact_path) if artifact_path else name
        if target.endswith("/"):
            target += name
        elif artifact_path and not os.path.isdir(local) and not _is_file_name(target, name):
            target += f"/{name}"
        if not os.path.isdir(local):
            self._log_file(local, target)
            return
        for folder, _, files in os.walk(local):
            for file in sorted(files):
                path = os.path.join(folder, file)
                self._log_file(path, f"{target}/{os.path.relpath(path, local)}".replace(os.sep, "/"))

    def _log_file(self, local: str, target: str) -> None:
        problem = path_problem(target)
        if problem is not None:
            once(f"log_artifact({local!r}): its path at the destination, {short(target)}, {problem}; skipped")
            return
        try:
            stat = os.stat(local)
            copied = _MAX_JOINED if self._session.is_joined else _MAX_COPIED
            if stat.st_size > copied and self._session.is_joined:
                once(
                    f"log_artifact({local!r}): more than {_MAX_JOINED // 1_000_000} MB, which only the process can log that"
                    " has begun this run; skipped"
                )
                return
            if stat.st_size > copied:
                content, payload = self._reference(os.path.realpath(local), target, stat), b""
                problem = reference_problem(content)
                if problem is not None:
                    once(f"log_artifact({local!r}): {problem}; skipped")
                    return
            else:
                content = {"path": target}
                with open(local, "rb") as file:
                    payload = file.read()
        except OSError as error:
            warn(f"log_artifact({local!r}): {error.strerror or error}; skipped")
            return
        self._add(summary.record("artifact", f"tracelet/artifact/{target}", payload, **content), self.iteration)

    def _reference(self, file: str, target: str, stat: os.stat_result) -> dict[str, Any]:
        """A file that tracelet may read outside of the logdir, since only this process and the watch know the key."""
        mtime = stat.st_mtime_ns // 1_000_000
        text = f"{target}\n{file}\n{stat.st_size}\n{mtime}".encode("utf-8", "replace")
        mac = hmac.new(self._key.encode(), text, hashlib.sha256).hexdigest()
        return {"path": target, "file": file, "size": stat.st_size, "mtime": mtime, "mac": mac}

    @never_raises()
    def log_enhanced_metric(
        self,
        name: str,
        value: Any,
        metric_type: Any = None,
        iteration: Optional[int] = None,
        metadata: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """A metric with what it is (`loss`, `accuracy`, …) and anything else that is known of it."""
        step = self._step(str(name), iteration)
        kind = None if metric_type is None else str(getattr(metric_type, "value", metric_type)).lower()
        about = metric_record(str(name), step, kind, _flattened(metadata) if metadata else {})
        # First, so that it is known when the value comes.
        if about is not None:
            self._add(summary.record("metric", f"tracelet/metric/{name}", about), step)
        self.log_metric(name, value, step)

    def _add(self, value: bytes, step: int) -> None:
        if not self._events.add(value, step):
            once(f"{self.name!r} has ended: what is logged to it after stop_logging is skipped")

    def _step(self, name: str, iteration: Optional[int]) -> int:
        if iteration is None:
            if self._iteration is not None:
                return self._iteration
            return next(self._counters.setdefault(name, itertools.count()))
        return _whole(iteration, name)

    def _forget_after_fork(self) -> None:
        self._events.forget_after_fork()
        self._session.let_go()


def _is_file_name(target: str, name: str) -> bool:
    """Whether a path names the file, not a directory for it."""
    last = target.rsplit("/", 1)[-1]
    suffix = os.path.splitext(name)[1]
    return last == name or (suffix != "" and last.endswith(suffix))


def _whole(iteration: Any, what: str) -> int:
    step = int(iteration)
    if step in _INT64:
        return step
    once(f"{what}: step {short(iteration)} does not fit into 64 bits; 0 is taken")
    return 0


def _flattened(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(_flattened(value, f"{name}/"))
            continue
        try:
            flat[name] = _json_value(value)
        except Exception as error:  # Whatever a foreign object does.
            once(f"the value of {short(name)} cannot be logged: {error}; skipped")
    return flat


def _json_value(value: Any) -> Any:
    if value is None or isinstance(value, (bool, str)):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        # numpy's and torch's numbers.
        value = value.item()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    return int(value) if type(value) is int and value in _INT64 else str(value)
