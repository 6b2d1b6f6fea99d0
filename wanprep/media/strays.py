"""What decoders refuse at the beginning of a packet although players show the picture behind it."""

from __future__ import annotations

from typing import Any

_IDR = 5  # nal_unit_type of a slice of an IDR picture; in the same byte nal_ref_idc, which "shall not be 0" (7.4.1)


def without_strays(packet: Any, context: Any) -> Any:
    """`packet`, without a first NAL unit that can be no part of its picture (H.264 in MP4 and Matroska).

    VLC's MP4 (seen in 2.1 and 2.2) has the encoder's note before the first picture with a byte too few, so that its
    type reads as a slice that refers to others: a strict decoder refuses the keyframe and all that depends on it,
    others leave the unit out without a word.
    """
    if context.name != "h264" or not packet.is_keyframe or not packet.size:
        return packet
    extradata = context.extradata or b""
    if extradata[:1] != b"\x01" or len(extradata) < 5:  # units begin with their length only where there is an avcC
        return packet
    size = (extradata[4] & 3) + 1
    view = memoryview(packet)
    if len(view) <= size or view[size] & 0x7F != _IDR:
        return packet
    rest = bytes(view[size + int.from_bytes(view[:size], "big") :])
    return _copy(packet, rest) if rest else packet


def _copy(packet: Any, data: bytes) -> Any:
    import av

    made = av.Packet(data)
    made.pts, made.dts, made.duration, made.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    made.is_keyframe = packet.is_keyframe
    return made
