"""CRC-32C as TFRecord masks it.

Python has no CRC-32C of its own. Byte by byte it takes some 70 ns a byte: nothing for a scalar's 60 bytes, a second for
16 MB. So long data are cut into lanes that numpy works on side by side, where the script has numpy anyway.
"""

from __future__ import annotations

import sys

#: The reflected polynomial of Castagnoli.
_POLYNOMIAL = 0x82F63B78
_MASK_DELTA = 0xA282EAD8
#: Bytes of a lane. With the data of one image or file there are enough of them to keep numpy busy.
_LANE = 1024
#: Below this Python alone is as fast, bytes.
_MANY = 32 * _LANE


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()
#: By byte of the register: what it becomes after a lane of zeros. Filled when first needed.
_PAST_LANE: list[list[int]] = []


def masked_crc(data: bytes) -> int:
    """The checksum that follows a TFRecord's length and its data."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    numpy = sys.modules.get("numpy") if len(data) >= _MANY else None
    if numpy is None:
        return _advance(0xFFFFFFFF, data) ^ 0xFFFFFFFF
    head = len(data) % _LANE
    state = _advance(0xFFFFFFFF, data[:head])
    lanes = numpy.frombuffer(data, numpy.uint8, offset=head).reshape(-1, _LANE)
    table = numpy.array(_TABLE, numpy.uint32)
    states = numpy.zeros(len(lanes), numpy.uint32)
    for column in numpy.ascontiguousarray(lanes.T):
        states = table[(states ^ column) & 0xFF] ^ states >> 8
    # The register is linear: what it was before a lane, moved past it, and what the lane alone makes of zero.
    past = _past_lane()
    for lane in states.tolist():
        state = (
            past[0][state & 0xFF]
            ^ past[1][state >> 8 & 0xFF]
            ^ past[2][state >> 16 & 0xFF]
            ^ past[3][state >> 24]
            ^ lane
        )
    return state ^ 0xFFFFFFFF


def _advance(state: int, data: bytes) -> int:
    table = _TABLE
    for byte in data:
        state = table[(state ^ byte) & 0xFF] ^ state >> 8
    return state


def _past_lane() -> list[list[int]]:
    if not _PAST_LANE:
        zeros = bytes(_LANE)
        bits = [_advance(1 << bit, zeros) for bit in range(32)]
        tables = []
        for first in range(0, 32, 8):
            table = [0] * 256
            for byte in range(1, 256):
                low = byte & -byte
                table[byte] = table[byte ^ low] ^ bits[first + low.bit_length() - 1]
            tables.append(table)
        _PAST_LANE.extend(tables)
    return _PAST_LANE
