"""VP8's quantiser, from a picture's header (RFC 6386); it counts for the whole picture."""

from __future__ import annotations

# RFC 6386, section 14.1
_STEPS = (*range(4, 59), *range(60, 117, 2), *range(119, 174, 3), *range(177, 230, 4), 234, 239, 245)
_STEPS += tuple(range(249, 285, 5))


def step(header: bytes) -> float:
    """Of the quantiser of a picture whose first bytes these are, in levels of luma."""
    return _STEPS[index(header)] / 2


def index(header: bytes) -> int:
    """y_ac_qi (0..127) of a VP8 frame's first bytes."""
    read = _Bools(header[10:] if not header[0] & 1 else header[3:])
    if not header[0] & 1:
        read.bits(2)  # colour space, clamping
    if read.bits(1):  # segments
        by_map, by_data = read.bits(1), read.bits(1)
        if by_data:
            read.bits(1)
            for width in (7, 7, 7, 7, 6, 6, 6, 6):
                read.optional(width + 1)
        for _ in range(3 * by_map):
            read.optional(8)
    read.bits(1 + 6 + 3)  # loop filter
    if read.bits(1) and read.bits(1):
        for _ in range(8):
            read.optional(6 + 1)
    read.bits(2)  # partitions
    return read.bits(7)


class _Bools:
    """RFC 6386, section 7, for even odds."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 2
        self._value = int.from_bytes(data[:2].ljust(2, b"\0"), "big")
        self._range, self._shifts = 255, 0

    def bits(self, count: int) -> int:
        found = 0
        for _ in range(count):
            found = 2 * found + self._bool()
        return found

    def optional(self, count: int) -> None:
        if self.bits(1):
            self.bits(count)

    def _bool(self) -> int:
        split = 1 + ((self._range - 1) >> 1)
        said = self._value >= split << 8
        if said:
            self._range -= split
            self._value -= split << 8
        else:
            self._range = split
        while self._range < 128:
            self._value, self._range = self._value << 1, self._range << 1
            self._shifts += 1
            if self._shifts == 8:
                self._shifts = 0
                self._value |= self._data[self._at] if self._at < len(self._data) else 0
                self._at += 1
        return int(said)
