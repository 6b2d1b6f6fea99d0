"""Whether an H.264 keyframe's slice header says that block edges are smoothed (ITU-T H.264, section 7.3): FFmpeg's
decoder does not tell it.

Only what stands before it is read, of the first slice of a keyframe, which predicts from no other picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from wanprep.media import nal
from wanprep.media.bits import Bits, Broken

SLICE, PARAMETERS = 64, 2048  # bytes of a slice, and of a parameter set, that hold all that is read of them
_SLICES, _IDR, _SPS, _PPS = (1, 5), 5, 7, 8  # kinds of NAL units
_INTRA = 2  # kind of slice, or 7 where all of the picture are
_HIGH = (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135)  # profiles that say how samples are kept
_OFF = 1  # of disable_deblocking_filter_idc


class _Sequence(NamedTuple):
    """Of a sequence parameter set, what a slice header cannot be read without. order_bits: of the picture's place in
    order; 0 where it is told otherwise. deltas: whether slices say how far they are from their expected place."""

    planes_apart: bool
    number_bits: int
    order_bits: int
    deltas: bool
    frames_only: bool


class _Picture(NamedTuple):
    """Of a picture parameter set. deltas: as in _Sequence. steers: whether slices say how their edges are smoothed."""

    sequence: int
    deltas: bool
    steers: bool
    may_repeat: bool


def smoothed(extradata: bytes, packet: bytes) -> bool:
    """Whether block edges of a keyframe are smoothed; True where it cannot be told, for nearly all streams are.

    extradata: an avcC box's content, or NAL units after start codes, or nothing. packet: the start of the keyframe's,
    of lengths or start codes.
    """
    sequences: dict[int, _Sequence] = {}
    pictures: dict[int, _Picture] = {}
    try:
        length = (extradata[4] & 3) + 1 if extradata[:1] == b"\1" else 0
        for unit in itertools.chain(_boxed(extradata, length), nal.units(packet, length)):
            kind = unit[0] & 31
            if kind == _SPS:
                _read_sequence(nal.bits(unit, 1, PARAMETERS), sequences)
            elif kind == _PPS:
                _read_picture(nal.bits(unit, 1, PARAMETERS), pictures)
            elif kind in _SLICES:
                return _read_slice(nal.bits(unit, 1, SLICE), unit[0], sequences, pictures)
    except (Broken, LookupError):
        pass
    return True


def _boxed(extradata: bytes, length: int) -> Iterator[bytes]:
    """NAL units of the extradata (ISO/IEC 14496-15, 5.3.3.1)."""
    if not length:
        yield from nal.units(extradata, 0)
        return
    sequences, at = nal.listed(extradata, 6, extradata[5] & 31)
    pictures, _ = nal.listed(extradata, at + 1, extradata[at])
    yield from (*sequences, *pictures)


def _read_sequence(bits: Bits, found: dict[int, _Sequence]) -> None:
    profile = bits.take(8)
    bits.skip(16)
    number, chroma, planes_apart = bits.exp(), 1, False
    if profile in _HIGH:
        chroma = bits.exp()
        planes_apart = chroma == 3 and bool(bits.take(1))
        bits.exp(), bits.exp()  # depths
        bits.skip(1)
        if bits.take(1):
            for k in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling(bits, 16 if k < 6 else 64)
    number_bits, order_bits, deltas = bits.exp() + 4, 0, False
    order = bits.exp()
    if order == 0:
        order_bits = bits.exp() + 4
    elif order == 1:
        deltas = not bits.take(1)
        bits.signed(), bits.signed()
        for _ in range(bits.exp()):
            bits.signed()
    bits.exp()  # references
    bits.skip(1)
    bits.exp(), bits.exp()  # size
    found[number] = _Sequence(planes_apart, number_bits, order_bits, deltas, bool(bits.take(1)))


def _skip_scaling(bits: Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def _read_picture(bits: Bits, found: dict[int, _Picture]) -> None:
    number, sequence = bits.exp(), bits.exp()
    bits.skip(1)  # kind of entropy coder
    deltas = bool(bits.take(1))
    if bits.exp():
        raise Broken("slices in several groups are not read")
    bits.exp(), bits.exp()  # references
    bits.skip(1, 2)
    bits.signed(), bits.signed(), bits.signed()  # quantisers
    steers = bool(bits.take(1))
    bits.skip(1)
    found[number] = _Picture(sequence, deltas, steers, bool(bits.take(1)))


def _read_slice(bits: Bits, head: int, sequences: dict[int, _Sequence], pictures: dict[int, _Picture]) -> bool:
    bits.exp()  # where it begins
    kind, picture = bits.exp(), pictures[bits.exp()]
    sequence = sequences[picture.sequence]
    if not picture.steers:
        return True
    if kind % 5 != _INTRA:
        raise Broken("not of a keyframe")
    bits.skip(2 * sequence.planes_apart, sequence.number_bits)
    field = not sequence.frames_only and bool(bits.take(1))
    bits.skip(int(field))
    if head & 31 == _IDR:
        bits.exp()
    bits.skip(sequence.order_bits)
    if picture.deltas and not field and (sequence.order_bits or sequence.deltas):
        bits.signed()
    if sequence.deltas:
        bits.signed()
    if picture.may_repeat:
        bits.exp()
    if head >> 5 & 3:  # others refer to it
        _skip_marking(bits, whole=head & 31 == _IDR)
    bits.signed()  # quantiser
    return bits.exp() != _OFF


def _skip_marking(bits: Bits, *, whole: bool) -> None:
    """Which pictures are references from here on."""
    if whole:
        bits.skip(2)
    elif bits.take(1):
        while operation := bits.exp():
            for _ in range({3: 2, 5: 0}.get(operation, 1)):
                bits.exp()
