"""What people log → encoded images and sound, with the standard library alone."""

from __future__ import annotations

import io
import struct
import sys
import wave
import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple


class Image(NamedTuple):
    data: bytes
    height: int
    width: int
    colorspace: int


class Audio(NamedTuple):
    wav: bytes
    channels: int
    frames: int


def image_of(source: Any) -> Image:
    """A PIL image, a matplotlib figure, an encoded image as bytes, or an array.

    An array, also torch's, is HW, HWC or CHW with 1, 3 or 4 channels: uint8, or numbers from 0 to 1.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(source, (bytes, bytearray)):
        return _encoded(bytes(source))
    if hasattr(source, "savefig"):
        return _encoded(_saved(source.savefig, format="png"))
    if hasattr(source, "save") and hasattr(source, "getbands"):
        return _encoded(_saved(source.save, format="PNG"))
    return _png(_rows(source))


def audio_of(samples: Any, rate: int) -> Audio:
    """Samples from -1 to 1, or int16: one channel, or [channels, frames] or [frames, channels].

    Raises:
        ValueError: these are no samples.
    """
    values = as_lists(samples)
    if not values:
        raise ValueError("there are no samples")
    if not isinstance(values[0], list):
        values = [[value] for value in values]
    if len(values) < len(values[0]):
        values = [list(frame) for frame in zip(*values)]
    is_whole = all(isinstance(value, int) for value in values[0])
    flat = [value for frame in values for value in frame]
    scaled = flat if is_whole else [round(value * 32767) for value in flat]
    clipped = [max(-32768, min(32767, value)) for value in scaled]
    out = io.BytesIO()
    with wave.open(out, "wb") as writer:
        writer.setnchannels(len(values[0]))
        writer.setsampwidth(2)
        writer.setframerate(int(rate))
        writer.writeframes(struct.pack(f"<{len(clipped)}h", *clipped))
    return Audio(out.getvalue(), len(values[0]), len(values))


def as_lists(values: Any) -> list[Any]:
    """Nested lists of Python numbers: of a tensor on whatever device, an array, or any nested iterable."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    if hasattr(values, "tolist"):
        listed = values.tolist()
        return listed if isinstance(listed, list) else [listed]
    return [as_lists(part) if _is_nested(part) else _number(part) for part in values]


def flat_numbers(values: Any) -> list[float]:
    """The same in one list."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(values, "__array__"):
        if hasattr(values, "detach"):
            values = values.detach().cpu().float()
        return numpy.asarray(values, dtype=float).ravel().tolist()
    flat: list[float] = []

    def collect(part: Any) -> None:
        if isinstance(part, list):
            for inner in part:
                collect(inner)
        else:
            flat.append(float(part))

    collect(as_lists(values))
    return flat


def _is_nested(part: Any) -> bool:
    return isinstance(part, (list, tuple)) or getattr(part, "ndim", 0) > 0


def _number(part: Any) -> Any:
    return part.item() if hasattr(part, "item") else part


def _saved(save: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    save(out, **options)
    return out.getvalue()


def _encoded(data: bytes) -> Image:
    """Sizes are for TensorBoard's page; of what is no PNG they are left to whoever decodes it."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 26:
        width, height = struct.unpack(">II", data[16:24])
        return Image(data, height, width, {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(data[25], 3))
    if data[:3] == b"\xff\xd8\xff" or data[:4] == b"GIF8" or data[8:12] == b"WEBP":
        return Image(data, 0, 0, 3)
    raise ValueError("these bytes are no PNG, JPEG, GIF or WebP")


def _rows(source: Any) -> list[list[tuple[int, ...]]]:
    """Pixels as tuples of bytes."""
    values = as_lists(source)
    while _depth(values) > 3 and len(values) == 1:
        values = values[0]
    depth = _depth(values)
    if depth == 2:
        values = [[(pixel,) for pixel in row] for row in values]
    elif depth == 3 and len(values) in (1, 3, 4) and len(values[0][0]) not in (1, 3, 4):
        values = [list(zip(*rows)) for rows in zip(*values)]
    elif depth != 3 or len(values[0][0]) not in (1, 3, 4):
        raise ValueError("an image is HW, HWC or CHW, with 1, 3 or 4 channels")
    is_whole = all(isinstance(channel, int) for row in values for channel in row[0])
    return [[tuple(_byte(channel, is_whole) for channel in pixel) for pixel in row] for row in values]


def _depth(values: Any) -> int:
    depth = 0
    while isinstance(values, list):
        if not values:
            raise ValueError("an image without pixels")
        values, depth = values[0], depth + 1
    return depth


def _byte(channel: Any, is_whole: bool) -> int:
    scaled = channel if is_whole else channel * 255
    # NaN is neither above nor below anything.
    return min(255, int(scaled)) if scaled > 0 else 0


def _png(rows: list[list[tuple[int, ...]]]) -> Image:
    height, width, channels = len(rows), len(rows[0]), len(rows[0][0])
    # Each line begins with its filter: none.
    pixels = b"".join(b"\0" + bytes(_flat(row)) for row in rows)
    colour = {1: 0, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(pixels)) + _chunk(b"IEND", b"")
    return Image(b"\x89PNG\r\n\x1a\n" + chunks, height, width, channels)


def _flat(row: list[tuple[int, ...]]) -> Iterable[int]:
    return (channel for pixel in row for channel in pixel)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
