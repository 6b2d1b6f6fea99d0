"""Pictures that are encrypted: told before a decoder makes something up of them.

FFmpeg shows an encrypted MP4 as if it were a plain one, and decoders make a flat gray picture of the noise, or call it
damage. Of Common Encryption (ISO/IEC 23001-7) it tells packet by packet what is encrypted: a film may begin in the
clear. Other schemes are known only by what the container says of the track.
"""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import Any, BinaryIO

from wanprep.media.boxes import VISUAL_ENTRY, Place, elements, number, place, read, sample_entries, video_tracks
from wanprep.stage import Reject

COMMON = ("cenc", "cbc1", "cens", "cbcs")  # those that FFmpeg's own decryption knows
_COPY = ": `ffmpeg -decryption_key KEY -i FILE -c copy NEW.mp4`, if you hold its key"
_FAIRPLAY, _PROTECTED = b"drmi", b"encv"
_ENCODINGS, _ENCODING, _ENCRYPTION, _ALGORITHM = 0x6D80, 0x6240, 0x5035, 0x47E1  # RFC 9559, 5.1.4.1.31
_ALGORITHMS = {1: "DES", 2: "3DES", 3: "Twofish", 4: "Blowfish", 5: "AES"}  # 0: not encrypted, only signed
_LOOK, _SYNC, _PAYLOAD, _SCRAMBLED = 1 << 20, 0x47, 0x10, 0x80  # of a transport stream: bytes; bits of a packet
# What FFmpeg makes of the two Content Encryption objects of ASF.
_PROTECTION, _EXTENDED = "ASF_Protection_Type", ("encryption", "ASF Extended Content Encryption")


class EncryptedError(Exception):
    """A packet is encrypted. scheme: how."""

    def __init__(self, scheme: str) -> None:
        super().__init__(f"the rest is encrypted, {_told(scheme)}")
        self.scheme = scheme


def refusal(scheme: str) -> Reject:
    """What is said of a video none of which is in the clear."""
    return Reject("encrypted", _told(scheme))


def _told(scheme: str) -> str:
    remedy = _COPY if scheme in COMMON else ""
    return f"scheme {scheme}; wanprep does not decrypt, a decrypted copy is needed{remedy}"


def check(packet: Any) -> None:
    """Raises EncryptedError for a packet of which something is encrypted, by Common Encryption or a kin of it.

    The layout is that of libavutil's encryption_info.c. A packet of which no byte is protected is in the clear.
    """
    if not packet.has_sidedata("encryption_info"):
        return
    info = bytes(packet.get_sidedata("encryption_info"))
    scheme, _, _, key, vector, parts = struct.unpack_from(">4s5I", info)
    protected = struct.unpack_from(f">{2 * parts}I", info, 24 + key + vector)[1::2]
    if not parts or any(protected):
        raise EncryptedError(_word(scheme))


def declared(path: Path, container: Any) -> dict[int, str]:
    """Scheme by index of the video streams that are encrypted by what their container says. Of those of COMMON schemes
    parts may be in the clear, as `check` tells; streams with sample entries of both kinds are left out."""
    name, streams = container.format.name, container.streams.video
    said = container.metadata
    if name == "asf" and (_PROTECTION in said or _EXTENDED in said.items()):
        return {stream.index: "Windows Media DRM" for stream in streams}
    found: dict[int, str] = {}
    with path.open("rb") as file, contextlib.suppress(struct.error):
        size = os.fstat(file.fileno()).st_size
        if name.startswith("mov"):
            found = {stream.index: _of_entries(file, size, stream.id) for stream in streams}
        elif name.startswith("matroska"):
            found = {s.index: _of_encodings(file, entry) for s, entry in zip(streams, video_tracks(file, size))}
    return {index: scheme for index, scheme in found.items() if scheme}


def scrambled(path: Path, stream: Any) -> bool:
    """Of a transport stream that gave no picture: is all of it scrambled that lies near its start (ISO/IEC 13818-1,
    2.4.3.3)? A receiver without a key records it so."""
    with path.open("rb") as file:
        data = file.read(_LOOK)
    for size, first in ((188, 0), (192, 4), (204, 0)):
        packets = [data[at : at + 4] for at in range(first, len(data) - 3, size)]
        if all(packet[0] == _SYNC for packet in packets[:5]):
            own = [p for p in packets if (p[1] << 8 | p[2]) & 0x1FFF == stream.id and p[3] & _PAYLOAD]
            return bool(own) and all(packet[3] & _SCRAMBLED for packet in own)
    return False


def _of_entries(file: BinaryIO, size: int, track: int) -> str:
    schemes = [_of_entry(file, *entry) for entry in sample_entries(file, size, track)]
    return schemes[0] if schemes and all(schemes) else ""


def _of_entry(file: BinaryIO, kind: bytes, start: int, end: int) -> str:
    if kind == _FAIRPLAY:
        return "FairPlay"
    if kind != _PROTECTED:
        return ""
    at = place(file, start + VISUAL_ENTRY, end, b"sinf", b"schm")[0]
    return _word(read(file, at + 4, ">4s")[0]) if at else "not named"


def _of_encodings(file: BinaryIO, entry: dict[int, Place]) -> str:
    """Of a Matroska track. Encodings are compression, too."""
    for encoding, *where in elements(file, *entry.get(_ENCODINGS, (0, 0))):
        parts = {element: (a, b) for element, a, b in elements(file, *where)} if encoding == _ENCODING else {}
        encryption = {element: (a, b) for element, a, b in elements(file, *parts.get(_ENCRYPTION, (0, 0)))}
        algorithm = number(file, *encryption.get(_ALGORITHM, (0, 0)))
        if algorithm:
            return f"{_ALGORITHMS.get(algorithm, algorithm)} (Matroska)"
    return ""


def _word(four: bytes) -> str:
    return four.decode("ascii", "backslashreplace")
