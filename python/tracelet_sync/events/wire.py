"""protobuf's wire format: fields as bytes, to be joined."""

from __future__ import annotations

import struct

_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")
_INT64 = 1 << 64


def varint(number: int) -> bytes:
    """An int64, as two's complement, or anything that is not negative."""
    if 0 <= number < 0x80:
        return bytes((number,))
    number %= _INT64
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def integer(field: int, number: int) -> bytes:
    return varint(field << 3) + varint(number)


def double(field: int, number: float) -> bytes:
    return varint(field << 3 | 1) + _DOUBLE.pack(number)


def single(field: int, number: float) -> bytes:
    return varint(field << 3 | 5) + _FLOAT.pack(number)


def message(field: int, data: bytes) -> bytes:
    """A message, a string or bytes."""
    return varint(field << 3 | 2) + varint(len(data)) + data


def doubles(field: int, numbers: list[float]) -> bytes:
    """A packed field."""
    return message(field, struct.pack(f"<{len(numbers)}d", *numbers))
