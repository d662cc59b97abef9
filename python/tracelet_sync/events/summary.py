"""Values → TensorBoard's `Summary.Value`, as bytes.

The fields are those of tensorboard/compat/proto/summary.proto and tensor.proto.
"""

from __future__ import annotations

import bisect
import json
import math
import struct
import sys
from typing import Any, Optional

from .wire import double, doubles, integer, message, single

_DT_DOUBLE, _DT_STRING = 2, 7
#: A tensor of rank 0; of rank 1 with one element.
_SCALAR_SHAPE = b""
_ONE = message(2, integer(1, 1))

def _limits() -> list[float]:
    """The right edges of the buckets that TensorBoard's own writers use: a tenth more each, on both sides of 0."""
    edges = [1e-12]
    while edges[-1] < 1e20:
        edges.append(edges[-1] * 1.1)
    edges[-1] = sys.float_info.max
    return [*(-edge for edge in reversed(edges)), 0.0, *edges]


_LIMITS = _limits()


def scalar(tag: str, value: float) -> bytes:
    """A double, exactly: 0.95 arrives as 0.95."""
    tensor = integer(1, _DT_DOUBLE) + message(2, _SCALAR_SHAPE) + message(4, struct.pack("<d", value))
    return _value(tag, message(8, tensor) + _metadata("scalars"))


def text(tag: str, content: str) -> bytes:
    return _value(tag, _strings([content.encode("utf-8", "replace")]) + _metadata("text"))


def image(tag: str, data: bytes, height: int, width: int, colorspace: int) -> bytes:
    """An encoded image. colorspace: its number of channels."""
    summary = integer(1, height) + integer(2, width) + integer(3, colorspace) + message(4, data)
    return _value(tag, message(4, summary))


def audio(tag: str, wav: bytes, rate: float, channels: int, frames: int) -> bytes:
    summary = single(1, rate) + integer(2, channels) + integer(3, frames) + message(4, wav)
    return _value(tag, message(6, summary + message(5, b"audio/wav")))


def histogram(tag: str, numbers: list[float]) -> bytes:
    """The finite ones of these numbers, in TensorBoard's own buckets."""
    counts: dict[int, int] = {}
    for number in numbers:
        # A bucket ends before its limit; only the last one has it.
        bucket = min(bisect.bisect_right(_LIMITS, number), len(_LIMITS) - 1)
        counts[bucket] = counts.get(bucket, 0) + 1
    # Where counts are apart, empty buckets say so: a bucket begins where the one before it ends.
    wanted = sorted({near for bucket in counts for near in (max(0, bucket - 1), bucket)})
    summary = double(1, min(numbers)) + double(2, max(numbers)) + double(3, float(len(numbers)))
    summary += double(4, math.fsum(numbers)) + double(5, math.fsum(number * number for number in numbers))
    summary += doubles(6, [_LIMITS[bucket] for bucket in wanted])
    summary += doubles(7, [float(counts.get(bucket, 0)) for bucket in wanted])
    return _value(tag, message(5, summary))


def record(kind: str, tag: str, payload: bytes, **content: Any) -> bytes:
    """One of tracelet's own records, which TensorBoard passes over."""
    about = json.dumps({"v": 1, "kind": kind, **content}, ensure_ascii=False).encode("utf-8", "replace")
    return _value(tag, _strings([payload]) + _metadata("tracelet", about))


def _value(tag: str, fields: bytes) -> bytes:
    return message(1, tag.encode("utf-8", "replace")) + fields


def _strings(parts: list[bytes]) -> bytes:
    tensor = integer(1, _DT_STRING) + message(2, _ONE)
    return message(8, tensor + b"".join(message(8, part) for part in parts))


def _metadata(plugin: str, content: Optional[bytes] = None) -> bytes:
    data = message(1, plugin.encode())
    if content is not None:
        data += message(2, content)
    return message(9, message(1, data))
