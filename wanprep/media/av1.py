"""The quantiser that an AV1 picture's frame header says (AV1 specification, sections 5.3 to 5.9): its decoders do not.

Only what stands before it is read. It is what the picture's blocks start from; segments and blocks may differ.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from wanprep.media.bits import Bits, Broken

_SEQUENCE, _HEADER, _FRAME = 1, 3, 6  # kinds of OBUs
_KEY, _INTER, _INTRA, _SWITCH = range(4)  # kinds of frames
_LOWEST = 1 | 1 << 8  # layers of what says none
_BY_FRAME = 2  # what a sequence header says where each frame says for itself
_TILE_WIDTH, _TILE_AREA, _MOST_TILES = 4096, 4096 * 2304, 64


class _Sequence(NamedTuple):
    """What a frame header cannot be read without. points: of each operating point, the layers in it and whether times
    are given for it."""

    still: bool = False
    equal_intervals: bool = False
    times: bool = False
    removal_bits: int = 0
    shown_bits: int = 0
    points: tuple[tuple[int, bool], ...] = ()
    width_bits: int = 0
    height_bits: int = 0
    width: int = 0
    height: int = 0
    number_bits: int = 0
    back_bits: int = 0
    large_blocks: bool = False
    screen: int = _BY_FRAME
    whole_motion: int = _BY_FRAME
    order_bits: int = 0
    field_of_motion: bool = False
    narrows: bool = False


def quantiser(extradata: bytes, keyframe: bytes, packet: bytes) -> float:
    """base_q_idx (0..255) of the picture that a packet shows; NaN where it cannot be read, and of a picture that an
    earlier packet held.

    extradata: an av1C box's content, or OBUs, or nothing. keyframe: the start of the last keyframe's packet, for the
    sequence header in it. packet: the start of the picture's, of OBUs with their sizes.
    """
    boxed = extradata[:1] == b"\x81"
    sequence: _Sequence | None = None
    try:
        before = itertools.chain(_units(extradata[4 * boxed :]), _units(keyframe))
        for own, (kind, layers, payload) in itertools.chain(
            zip(itertools.repeat(False), before), zip(itertools.repeat(True), _units(packet))
        ):
            if kind == _SEQUENCE:
                sequence = _read_sequence(Bits(payload))
            elif own and kind in (_HEADER, _FRAME) and sequence is not None:
                shown, index = _read_frame(Bits(payload), sequence, layers)
                if shown:
                    return index
    except (Broken, IndexError):
        pass
    return math.nan


def shows(packet: bytes | memoryview) -> bool:
    """Is there a picture among the OBUs of a packet, as there is in each of a file? Decoders pass over zeros."""
    try:
        return any(kind in (_HEADER, _FRAME) for kind, _, _ in _units(packet))
    except IndexError:
        return False


def _units(data: bytes | memoryview) -> Iterator[tuple[int, int, bytes]]:
    """(kind, temporal and spatial layer as a mask of an operating point, first bytes of the payload) of each OBU."""
    at = 0
    while at < len(data):
        head, layers, at = data[at], _LOWEST, at + 1
        if head & 4:
            layers, at = 1 << (data[at] >> 5) | 1 << (8 + (data[at] >> 3 & 3)), at + 1
        size = len(data) - at
        if head & 2:
            size = shift = 0
            while True:
                size |= (data[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if not data[at - 1] & 128:
                    break
        yield head >> 3 & 15, layers, bytes(data[at : at + min(size, 512)])
        at += size


def _read_sequence(bits: Bits) -> _Sequence:
    bits.skip(3, 1)
    found = _Sequence(still=bool(bits.take(1)))
    if found.still:
        bits.skip(5)
    else:
        found = _read_points(bits, found)
    width_bits, height_bits = bits.take(4) + 1, bits.take(4) + 1
    found = found._replace(
        width_bits=width_bits,
        height_bits=height_bits,
        width=bits.take(width_bits) + 1,
        height=bits.take(height_bits) + 1,
    )
    if not found.still and bits.take(1):
        back_bits = bits.take(4) + 2
        found = found._replace(back_bits=back_bits, number_bits=back_bits + bits.take(3) + 1)
    found = found._replace(large_blocks=bool(bits.take(1)))
    bits.skip(2)
    if not found.still:
        bits.skip(4)
        ordered = bits.take(1)
        field_of_motion = bool(ordered and bits.take(2) & 1)
        screen = _BY_FRAME if bits.take(1) else bits.take(1)
        whole_motion = _BY_FRAME if not screen or bits.take(1) else bits.take(1)
        order_bits = bits.take(3) + 1 if ordered else 0
        found = found._replace(
            screen=screen, whole_motion=whole_motion, order_bits=order_bits, field_of_motion=field_of_motion
        )
    return found._replace(narrows=bool(bits.take(1)))


def _read_points(bits: Bits, found: _Sequence) -> _Sequence:
    """Timing and operating points."""
    wait_bits = 0
    if bits.take(1):
        bits.skip(32, 32)
        equal = bool(bits.take(1))
        if equal:
            bits.exp()
        found = found._replace(equal_intervals=equal, times=bool(bits.take(1)))
        if found.times:
            wait_bits = bits.take(5) + 1
            bits.skip(32)
            found = found._replace(removal_bits=bits.take(5) + 1, shown_bits=bits.take(5) + 1)
    delays, points = bits.take(1), []
    for _ in range(bits.take(5) + 1):
        layers = bits.take(12)
        if bits.take(5) > 7:
            bits.skip(1)
        timed = bool(found.times and bits.take(1))
        if timed:
            bits.skip(2 * wait_bits + 1)
        if delays and bits.take(1):
            bits.skip(4)
        points.append((layers, timed))
    return found._replace(points=tuple(points))


def _read_frame(bits: Bits, sequence: _Sequence, layers: int) -> tuple[bool, float]:
    """Whether the frame is shown, and its base_q_idx (5.9.2); NaN if it is one of before that is shown now."""
    shown, kind = True, _KEY
    if not sequence.still:
        if bits.take(1):
            return True, math.nan
        kind, shown = bits.take(2), bool(bits.take(1))
        if shown and sequence.times and not sequence.equal_intervals:
            bits.skip(sequence.shown_bits)
        bits.skip(not shown)
    resilient = kind == _SWITCH or (kind == _KEY and shown) or bool(bits.take(1))
    fixed_odds = bits.take(1)
    screen = bits.take(1) if sequence.screen == _BY_FRAME else sequence.screen
    whole_motion = 0
    if screen:
        whole_motion = bits.take(1) if sequence.whole_motion == _BY_FRAME else sequence.whole_motion
    bits.skip(sequence.number_bits)
    own_size = kind == _SWITCH or (not sequence.still and bool(bits.take(1)))
    bits.skip(sequence.order_bits)
    alone = kind in (_KEY, _INTRA)
    bits.skip(0 if alone or resilient else 3)
    if sequence.times and bits.take(1):
        for mask, timed in sequence.points:
            bits.skip(sequence.removal_bits if timed and (not mask or mask & layers == layers) else 0)
    refreshed = 255 if kind == _SWITCH or (kind == _KEY and shown) else bits.take(8)
    if resilient and not (alone and refreshed == 255):
        bits.skip(8 * sequence.order_bits)
    if not alone:
        _skip_references(bits, sequence)
        if own_size and not resilient and any(bits.take(1) for _ in range(7)):
            raise Broken("its size is that of another frame")
    width, height, narrowed = _size(bits, sequence, own_size)
    if alone:
        bits.skip(bool(screen and not narrowed))
    else:
        bits.skip(not whole_motion)
        bits.skip(0 if bits.take(1) else 2)  # filter
        bits.skip(1 + (sequence.field_of_motion and not resilient))
    bits.skip(not sequence.still and not fixed_odds)
    _skip_tiles(bits, width, height, sequence.large_blocks)
    return shown, float(bits.take(8))


def _skip_references(bits: Bits, sequence: _Sequence) -> None:
    short = sequence.order_bits and bits.take(1)
    bits.skip(6 if short else 0)
    bits.skip(7 * ((0 if short else 3) + sequence.back_bits))


def _size(bits: Bits, sequence: _Sequence, own_size: bool) -> tuple[int, int, bool]:
    """Coded width and height, and whether the frame is coded narrower than it is."""
    width, height = sequence.width, sequence.height
    if own_size:
        width, height = bits.take(sequence.width_bits) + 1, bits.take(sequence.height_bits) + 1
    coded = width
    if sequence.narrows and bits.take(1):
        part = bits.take(3) + 9
        coded = (8 * width + part // 2) // part
    bits.skip(32 * bits.take(1))  # size to be shown in
    return coded, height, coded != width


def _skip_tiles(bits: Bits, width: int, height: int, large_blocks: bool) -> None:
    """tile_info() (5.9.15)."""
    side = 128 if large_blocks else 64
    columns, rows = (-(-size // side) for size in (width, height))
    widest, area = _TILE_WIDTH // side, _TILE_AREA // side**2
    least_columns = _log2(widest, columns)
    least = max(least_columns, _log2(area, rows * columns))
    if bits.take(1):
        across = _counted(bits, least_columns, _log2(1, min(columns, _MOST_TILES)))
        down = _counted(bits, max(least - across, 0), _log2(1, min(rows, _MOST_TILES)))
    else:
        sizes = _sizes(bits, columns, widest)
        across = _log2(1, len(sizes))
        area = rows * columns >> (least + 1 if least else 0)
        down = _log2(1, len(_sizes(bits, rows, max(area // max(sizes), 1))))
    if across or down:
        bits.skip(across, down, 2)


def _counted(bits: Bits, least: int, most: int) -> int:
    while least < most and bits.take(1):
        least += 1
    return least


def _sizes(bits: Bits, total: int, most: int) -> list[int]:
    sizes: list[int] = []
    while sum(sizes) < total:
        sizes.append(bits.below(min(total - sum(sizes), most)) + 1)
    return sizes


def _log2(size: int, target: int) -> int:
    """The least k for which size * 2 ** k >= target."""
    return max(0, (-(-target // size) - 1).bit_length())
