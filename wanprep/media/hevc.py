"""The quantiser that an HEVC picture's slice header says (ITU-T H.265, section 7.3): FFmpeg's decoder does not tell it.

Only what stands before it is read, and only of the first slice. It is what the picture's blocks start from; how much
each is coded finer or coarser than that lies in the coded data.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

from wanprep.media import nal
from wanprep.media.bits import Bits, Broken

SLICE, PARAMETERS = 512, 2048  # bytes of a slice, and of a parameter set, that hold all that is read of them
_KEYS, _IDR, _SPS, _PPS, _SLICES = range(16, 24), (19, 20), 33, 34, range(32)  # kinds of NAL units
_B, _P = 0, 1
References = tuple[int, int]  # short-term reference pictures of a set, and how many of them the picture itself uses


class _Sequence(NamedTuple):
    """Of a sequence parameter set, what a slice header cannot be read without. long_term: of each reference that is
    listed there, whether it is used; None: there are no long-term references."""

    planes_apart: bool
    chroma: bool
    order_bits: int
    offset_filter: bool
    sets: tuple[References, ...]
    long_term: tuple[int, ...] | None
    motion_prediction: bool


class _Picture(NamedTuple):
    """Of a picture parameter set. active: references of either list unless a slice says otherwise."""

    sequence: int
    output_flag: bool
    extra_bits: int
    odds_flag: bool
    active: tuple[int, int]
    quantiser: int
    weighted: tuple[bool, bool]  # by slice type
    may_bypass: bool
    reorders: bool


def quantiser(extradata: bytes, keyframe: bytes, packet: bytes) -> float:
    """QP of the first slice of the picture in a packet, -48..51 in 6 a doubling of the step, the same at every bit
    depth; NaN where it cannot be read, or where blocks may be coded without loss whatever it says.

    extradata: an hvcC box's content, or NAL units after start codes, or nothing. keyframe: the start of the last
    keyframe's packet, for the parameter sets in it. packet: the start of the picture's, of lengths or start codes.
    """
    sequences: dict[int, _Sequence] = {}
    pictures: dict[int, _Picture] = {}
    try:
        length = _length_size(extradata)
        before = itertools.chain(_boxed(extradata), nal.units(keyframe, length))
        for own, units in ((False, before), (True, nal.units(packet, length))):
            for unit in units:
                kind = unit[0] >> 1 & 63
                if len(unit) < 3 or (unit[0] & 1) << 5 | unit[1] >> 3:  # of a second eye, or of an alpha plane
                    continue
                if kind == _SPS:
                    _read_sequence(nal.bits(unit, 2, PARAMETERS), sequences)
                elif kind == _PPS:
                    _read_picture(nal.bits(unit, 2, PARAMETERS), pictures)
                elif kind in _SLICES and own:
                    return _read_slice(nal.bits(unit, 2, SLICE), kind, sequences, pictures)
    except (Broken, LookupError):
        pass
    return math.nan


def _length_size(extradata: bytes) -> int:
    """Bytes before each NAL unit that say its length; 0: they follow start codes."""
    return (extradata[21] & 3) + 1 if extradata[:1] == b"\1" else 0


def _boxed(extradata: bytes) -> Iterator[bytes]:
    """NAL units of the extradata (ISO/IEC 14496-15, 8.3.3.1)."""
    if not _length_size(extradata):
        yield from nal.units(extradata, 0)
        return
    at = 23
    for _ in range(extradata[22]):
        found, at = nal.listed(extradata, at + 3, int.from_bytes(extradata[at + 1 : at + 3], "big"))
        yield from found


def _read_sequence(bits: Bits, found: dict[int, _Sequence]) -> None:
    bits.skip(4)
    layers = bits.take(3)
    bits.skip(1)
    _skip_profile(bits, layers)
    number, chroma = bits.exp(), bits.exp()
    planes_apart = chroma == 3 and bool(bits.take(1))
    _skip_exps(bits, 2)  # size
    _skip_exps(bits, 4 * bits.take(1))  # of which is shown
    _skip_exps(bits, 2)  # depths
    order_bits = bits.exp() + 4
    _skip_exps(bits, 3 * (layers + 1 if bits.take(1) else 1))
    _skip_exps(bits, 6)  # sizes of blocks
    if bits.take(1) and bits.take(1):
        _skip_scaling_lists(bits)
    bits.skip(1)
    offset_filter = bool(bits.take(1))
    if bits.take(1):  # blocks of plain samples
        bits.skip(4, 4)
        _skip_exps(bits, 2)
        bits.skip(1)
    sets: list[References] = []
    for _ in range(_limited(bits.exp(), 64)):
        sets.append(_reference_set(bits, sets, in_slice=False))
    long_term = None
    if bits.take(1):
        long_term = tuple(bits.take(order_bits + 1) & 1 for _ in range(_limited(bits.exp(), 32)))
    found[number] = _Sequence(
        planes_apart, bool(chroma) and not planes_apart, order_bits, offset_filter, tuple(sets), long_term,
        bool(bits.take(1)),
    )  # fmt: skip


def _read_picture(bits: Bits, found: dict[int, _Picture]) -> None:
    number, sequence = bits.exp(), bits.exp()
    bits.skip(1)
    output_flag, extra_bits = bool(bits.take(1)), bits.take(3)
    bits.skip(1)
    odds_flag = bool(bits.take(1))
    active = bits.exp() + 1, bits.exp() + 1
    quantiser = 26 + bits.signed()
    bits.skip(2)
    if bits.take(1):
        _skip_exps(bits, 1)
    _skip_exps(bits, 2)
    bits.skip(1)
    weighted_p, weighted_b, may_bypass, tiles = (bool(bits.take(1)) for _ in range(4))
    bits.skip(1)
    if tiles:
        across, down = bits.exp(), bits.exp()
        if not bits.take(1):
            _skip_exps(bits, across + down)
        bits.skip(1)
    bits.skip(1)
    if bits.take(1):  # deblocking
        bits.skip(1)
        if not bits.take(1):
            _skip_exps(bits, 2)
    if bits.take(1):
        _skip_scaling_lists(bits)
    found[number] = _Picture(
        sequence, output_flag, extra_bits, odds_flag, active, quantiser, (weighted_b, weighted_p), may_bypass,
        bool(bits.take(1)),
    )  # fmt: skip


def _read_slice(bits: Bits, kind: int, sequences: dict[int, _Sequence], pictures: dict[int, _Picture]) -> float:
    if not bits.take(1):
        return math.nan
    bits.skip(kind in _KEYS)
    picture = pictures[bits.exp()]
    sequence = sequences[picture.sequence]
    if picture.may_bypass:
        return math.nan
    bits.skip(picture.extra_bits)
    slice_type = _limited(bits.exp(), 2)
    bits.skip(picture.output_flag + 2 * sequence.planes_apart)
    used = motion_prediction = 0
    if kind not in _IDR:
        bits.skip(sequence.order_bits)
        used = _references(bits, sequence)
        motion_prediction = sequence.motion_prediction and bits.take(1)
    bits.skip(sequence.offset_filter * (1 + sequence.chroma))
    if slice_type in (_B, _P):
        _skip_prediction(bits, slice_type, picture, used, bool(motion_prediction), sequence.chroma)
    return float(min(51, max(-48, picture.quantiser + bits.signed())))


def _references(bits: Bits, sequence: _Sequence) -> int:
    """How many pictures this one refers to."""
    if not bits.take(1):
        used = _reference_set(bits, list(sequence.sets), in_slice=True)[1]
    else:
        used = sequence.sets[bits.take((len(sequence.sets) - 1).bit_length() if sequence.sets else 0)][1]
    if sequence.long_term is None:
        return used
    listed = bits.exp() if sequence.long_term else 0
    for k in range(_limited(listed + bits.exp(), 33)):
        if k < listed:
            used += sequence.long_term[bits.take((len(sequence.long_term) - 1).bit_length())]
        else:
            used += bits.take(sequence.order_bits + 1) & 1
        _skip_exps(bits, bits.take(1))
    return used


def _skip_prediction(bits: Bits, kind: int, picture: _Picture, used: int, motion: bool, chroma: bool) -> None:
    """What a slice that refers to others says of them."""
    lists = (0, 1) if kind == _B else (0,)
    active = picture.active
    if bits.take(1):
        active = bits.exp() + 1, bits.exp() + 1 if kind == _B else 1
    active = _limited(active[0], 16), _limited(active[1], 16)
    if picture.reorders and used > 1:
        for k in lists:
            bits.skip(bits.take(1) * active[k] * (used - 1).bit_length())
    bits.skip((kind == _B) + picture.odds_flag)
    if motion:
        first = kind == _P or bits.take(1)
        _skip_exps(bits, active[0 if first else 1] > 1)
    if picture.weighted[kind]:
        _skip_exps(bits, 1 + chroma)
        for k in lists:
            luma = [bits.take(1) for _ in range(active[k])]
            colour = [chroma and bits.take(1) for _ in range(active[k])]
            _skip_exps(bits, 2 * sum(luma) + 4 * sum(colour))
    _skip_exps(bits, 1)


def _reference_set(bits: Bits, before: list[References], *, in_slice: bool) -> References:
    """A short-term reference picture set (7.3.7), after those `before`."""
    if before and bits.take(1):  # by what changes from another
        back = _limited(bits.exp() + 1, len(before)) if in_slice else 1
        bits.skip(1)
        _skip_exps(bits, 1)
        count = used = 0
        for _ in range(before[-back][0] + 1):
            uses = bits.take(1)
            used += uses
            count += uses or bits.take(1)
        return count, used
    count = _limited(bits.exp(), 16) + _limited(bits.exp(), 16)
    used = 0
    for _ in range(count):
        _skip_exps(bits, 1)
        used += bits.take(1)
    return count, used


def _skip_profile(bits: Bits, layers: int) -> None:
    bits.skip(88, 8)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    bits.skip(2 * (8 - layers) if layers else 0)
    for profile, level in present:
        bits.skip(88 * profile, 8 * level)


def _skip_scaling_lists(bits: Bits) -> None:
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.take(1):
                _skip_exps(bits, 1)
            else:
                _skip_exps(bits, min(64, 16 << 2 * size) + (size > 1))


def _skip_exps(bits: Bits, count: int | bool) -> None:
    for _ in range(count):
        bits.exp()


def _limited(value: int, most: int) -> int:
    if value > most:
        raise Broken(f"{value} where there are at most {most}")
    return value
