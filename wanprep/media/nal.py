"""NAL units: how H.264 and HEVC wrap headers and coded data (ITU-T H.264 and H.265, annex B; ISO/IEC 14496-15)."""

from __future__ import annotations

from collections.abc import Iterator

from wanprep.media.bits import Bits


def units(packet: bytes, length_size: int) -> Iterator[bytes]:
    """The units of a packet, none of them empty; the last may be cut short. length_size: bytes before each that say its
    length; 0: they follow start codes."""
    if not length_size:
        yield from filter(None, packet.split(b"\0\0\1")[1:])
        return
    at = 0
    while at < len(packet):
        length = int.from_bytes(packet[at : at + length_size], "big")
        if unit := packet[at + length_size : at + length_size + length]:
            yield unit
        at += length_size + length


def listed(box: bytes, at: int, count: int) -> tuple[list[bytes], int]:
    """`count` units of the box with a stream's parameters from byte `at` on, each after its length in two bytes, and
    where the next one would begin. Empty ones are left out."""
    found = []
    for _ in range(count):
        length = int.from_bytes(box[at : at + 2], "big")
        found.append(box[at + 2 : at + 2 + length])
        at += 2 + length
    return [unit for unit in found if unit], at


def bits(unit: bytes, header: int, most: int) -> Bits:
    """After the header of a unit, at most its first `most` bytes, without those that keep start codes out of it."""
    return Bits(unit[header:most].replace(b"\0\0\3", b"\0\0"))
