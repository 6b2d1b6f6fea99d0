"""Do the pieces of a file follow one another without a break? Demuxers pass over what is none without a word.

Matroska's elements (RFC 8794 and 9559), pages of Ogg (RFC 3533), packets of ASF, blocks of a GIF, frames of an IVF,
chunks in the index of an AVI: each says where the next one begins. Where none does, bytes were lost (zeroed, replaced,
cut out), and pictures with them. A pause, late sound, a stream without a length break no chain. Read along with the
packets, a few bytes a piece.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from wanprep.media.seek import MATROSKA

BREAK = "the rest is damaged: its container is broken there"  # of pictures that are left out
# Where a piece begins, and whether a break ends there. A break up to the end ends at infinity.
Piece = tuple[float, bool]
_END = float("inf")
_BLOCK = 1 << 20  # bytes read at once in search of the next piece
_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_MARK = _CLUSTER.to_bytes(4, "big")
# First in a cluster: its time, a sum, a void, its place, the size of the one before.
_FIRST = {b"\xe7", b"\xbf", b"\xec", b"\xa7", b"\xab"}
_KNOWN = {
    *(0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367, _CLUSTER),  # of a segment
    *(0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF, 0xEC, 0xBF),  # of a cluster
}
_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_OF_GROUP = {
    b"\xa1",
    b"\x75",
    b"\x9b",
    b"\xfa",
    b"\xfb",
    b"\xa4",
    b"\xbf",
    b"\xec",
}  # first bytes of what a group of a block has
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_SYNC = b"\x82\0\0"  # error correction data, as FFmpeg wants them


class Chain:
    """The pieces of one file from its start on, asked for in the order of its packets."""

    def __init__(self, path: Path, container: str) -> None:
        self._pieces = _pieces(path, KINDS[container]) if container in KINDS else iter(())
        self._next: Piece | None = next(self._pieces, None)

    def broken_before(self, place: float) -> bool:
        """Is there a break, not told of yet, before the piece that holds this byte?"""
        found = False
        while self._next is not None and self._next[0] <= place:
            found |= self._next[1]
            self._next = next(self._pieces, None)
        return found

    def broken_inside(self, place: int, size: int) -> bool:
        """Does a break lie in the packet that begins here, or follow it at once? It seldom begins just between two."""
        return self.broken_before(place + size - 1) or (self._next is not None and self._next[1])


Read = Callable[[int, int], bytes]  # bytes from a place of the file on, that many


def _pieces(path: Path, kind: Callable[[Read, int], Iterator[Piece]]) -> Iterator[Piece]:
    with path.open("rb", buffering=0) as file:
        handle = file.fileno()
        yield from kind(lambda at, count: os.pread(handle, count, at), os.fstat(handle).st_size)


def _matroska(read: Read, size: int) -> Iterator[Piece]:
    at, stop = _segment(read, size)
    end, whole = size if stop is None else min(stop, size), stop is not None and stop <= size
    cluster = 0  # where it ends
    broken = False
    while at < end:
        bound = cluster if at < cluster else end
        found = _element(read(at, 12))
        behind = end if found is None or found[1] is None else at + found[2] + found[1]
        if found is not None and found[0] == _CLUSTER:
            yield at, broken
            at, cluster, broken = at + found[2], min(behind, end), False
            continue
        fits = found is not None and behind <= bound and _is_sound(read, at, found, bound)
        if fits:
            yield at, broken
            at, broken = behind, False
            continue
        following = _next_cluster(read, at + 1, end)
        if following is None and found is not None and not whole:  # the file is cut off, or so it may be
            yield at, broken
            return
        at, cluster, broken = end if following is None else following, 0, True
    if broken:
        yield _END, True


def _segment(read: Read, size: int) -> tuple[int, int | None]:
    """Where the body of the first segment begins and ends (None: not known); (size, size) without one."""
    at = 0
    for _ in range(8):
        found = _element(read(at, 12))
        if found is None or (found[1] is None and found[0] != _SEGMENT):
            break
        at += found[2]
        if found[0] == _SEGMENT:
            return at, None if found[1] is None else at + found[1]
        at += found[1] or 0
    return size, size


def _element(head: bytes) -> tuple[int, int | None, int] | None:
    """(identifier, length of the body, of the head) of the element with these first bytes; length None: unknown."""
    if len(head) < 2 or head[0] < 0x10:
        return None
    width = 9 - head[0].bit_length()
    if len(head) <= width or not head[width]:
        return None
    places = 9 - head[width].bit_length()
    body = head[width : width + places]
    length = int.from_bytes(body, "big") & ((1 << 7 * places) - 1)
    unknown = length == (1 << 7 * places) - 1
    return int.from_bytes(head[:width], "big"), None if unknown else length, width + places


def _is_sound(read: Read, at: int, found: tuple[int, int | None, int], bound: int) -> bool:
    """Is an element what it says, as far as its first bytes can tell? One that is not known must be followed by one."""
    element, length, head = found
    body = read(at + head, 4)
    if element in (0xA3, 0xAF):  # of the first 127 tracks; bits of the flags that are reserved
        return len(body) == 4 and (body[0] < 0x80 or not body[3] & 0x70)
    if element == 0xA0:
        return body[:1] in _OF_GROUP
    if element in (0xE7, 0xA7, 0xAB, 0xBF):
        return length is not None and length <= 8
    if element in _KNOWN:
        return True
    behind = at + head + (length or 0)
    following = _element(read(behind, 12))
    return behind == bound or (
        following is not None and following[0] in _KNOWN and _is_sound(read, behind, following, bound)
    )


def _next_cluster(read: Read, at: int, end: int) -> int | None:
    while at < end:
        block = read(at, _BLOCK + 12)
        where = block.find(_MARK)
        while where >= 0:
            found = _element(block[where : where + 12])
            if found is not None and block[where + found[2] : where + found[2] + 1] in _FIRST:
                return at + where
            where = block.find(_MARK, where + 1)
        at += _BLOCK
    return None


def _asf(read: Read, size: int) -> Iterator[Piece]:
    """Packets of one size, as FFmpeg's writer and most others make them; of other files nothing is said."""
    head = read(0, 1 << 16)
    facts, at = head.find(_ASF_FILE), head.find(_ASF_DATA)
    if min(facts, at) < 0 or head[facts + 92 : facts + 96] != head[facts + 96 : facts + 100]:
        return
    step = int.from_bytes(head[facts + 92 : facts + 96], "little")
    length = int.from_bytes(head[at + 16 : at + 24], "little")
    first, end = at + 50, min(size, at + length if length > 50 else size)
    if not step or read(first, 3) != _ASF_SYNC:
        return
    broken, at = False, first
    while at + step <= end:
        if read(at, 3) == _ASF_SYNC:
            yield at, broken
            broken, at = False, at + step
            continue
        broken, at = True, _next(read, at + 1, end, _ASF_SYNC)
        while at + step < end and read(at + step, 3) != _ASF_SYNC:  # three such bytes may be anywhere
            at = _next(read, at + 1, end, _ASF_SYNC)
    if broken:
        yield _END, True


def _ivf(read: Read, size: int) -> Iterator[Piece]:
    """Nobody can tell where the frame after a broken one begins."""
    at = int.from_bytes(read(6, 2), "little")
    while 0 < at < size:
        length = int.from_bytes(read(at, 4), "little")
        if length > size or not any(read(at, 12)):
            yield _END, True
            return
        yield at, False
        at += 12 + length


def _gif(read: Read, size: int) -> Iterator[Piece]:
    head = read(0, 13)
    at = 13 + _palette(head[10:11])
    while at < size:
        kind = read(at, 10)
        if kind[:1] == b";":
            return
        body = at + 2 if kind[:1] == b"!" else at + 11 + _palette(kind[9:10]) if kind[:1] == b"," else 0
        if not body:
            yield _END, True
            return
        yield at, False
        while length := read(body, 1)[:1].lstrip(b"\0"):
            body += 1 + length[0]
        at = body + 1


def _palette(flags: bytes) -> int:
    """Bytes of the table of colours that a GIF's descriptor announces."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _ogg(read: Read, size: int) -> Iterator[Piece]:
    """Pages are numbered, those of each stream by themselves. A break is told of again one page later: the packets of a
    stream's first page behind it carry on the times before it."""
    at, numbers, late = 0, dict[bytes, int](), dict[bytes, int]()
    broken = False
    while at < size:
        head = read(at, 27 + 255)
        if head[:4] != b"OggS" or len(head) < 28:
            broken, at = True, _next(read, at + 1, size, b"OggS")
            continue
        length = 27 + head[26] + sum(head[27 : 27 + head[26]])
        if at + length <= size and not _sum_is_right(read(at, length)):  # FFmpeg leaves such a page out
            broken, at = True, _next(read, at + 1, size, b"OggS")
            continue
        serial, number = head[14:18], int.from_bytes(head[18:22], "little")
        broken |= number != numbers.get(serial, number - 1) + 1 and not head[5] & 2
        numbers[serial] = number
        again = late.get(serial) == number
        yield at, broken or again
        late = dict.fromkeys(numbers, -1) if broken else late
        if late.get(serial) == -1:
            late[serial] = number + 1
        broken = False
        at += length
    if broken:
        yield _END, True


def _sum_is_right(page: bytes) -> bool:
    """zlib's sum of the page with the bits of each byte the other way round is Ogg's, bits the other way round."""
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    found = zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF
    return found.to_bytes(4, "big").translate(_MIRRORED) == page[22:26]


def _next(read: Read, at: int, end: int, mark: bytes) -> int:
    """Where these bytes are found next, the end where they are not."""
    for start in range(at, end, _BLOCK):
        where = read(start, _BLOCK + len(mark) - 1).find(mark)
        if where >= 0:
            return start + where
    return end


def _avi(read: Read, size: int) -> Iterator[Piece]:
    """Do the chunks of its index lie where it says? Between chunks there may be anything."""
    at, movie, index, length = 12, 0, 0, 0
    while at + 12 <= size and not index:
        kind, count, list_kind = struct.unpack("<4sI4s", read(at, 12))
        movie = at + 8 if (kind, list_kind) == (b"LIST", b"movi") else movie
        index, length = (at + 8, count) if kind == b"idx1" else (0, 0)
        at += 8 + count + count % 2
    origin: int | None = None
    broken, last = False, 0
    for place in range(index, min(index + length, size) - 15, 16):
        name, _, offset, count = struct.unpack("<4s3I", read(place, 16))
        if not name[:2].isdigit():  # a list of chunks
            continue
        if origin is None:  # offsets count from the list or from the start of the file
            origin = next((zero for zero in (movie, 0) if read(zero + offset, 4) == name), -1)
        if origin < 0 or origin + offset < last:
            return
        last = origin + offset
        if read(last, 2) != name[:2]:
            broken = True
        elif count:
            yield last, broken
            broken = False
    if broken:
        yield _END, True


KINDS = {"avi": _avi, "ogg": _ogg, MATROSKA: _matroska, "asf": _asf, "ivf": _ivf, "gif": _gif}
