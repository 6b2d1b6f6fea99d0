"""Pictures out of a decoder, past what is broken: at the start, in the middle and at the end of a stream.

Damage in the middle costs the pictures up to the next keyframe, and that there is a hole is said: what lies before and
what lies after it are no longer neighbours. Everything here is strict (`decoder`): a picture that refers to a missing
one is left out, however well a decoder would make it up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wanprep.media import av1, quantiser
from wanprep.media.chain import BREAK, Chain
from wanprep.media.container import declared_seconds
from wanprep.media.decoder import MAX_BAD_STARTS, of_the_machine, said
from wanprep.media.early import with_early_time
from wanprep.media.encrypted import EncryptedError, check
from wanprep.media.seek import MATROSKA, TRUE_PTS
from wanprep.media.strays import without_strays
from wanprep.media.wholeness import cut_short, ends_in_zeros

MAX_BAD_READS = 3  # in a row, that a container may fail to give a packet
DERIVED = ("ogg", "gif")  # whose length FFmpeg derives from what can be read
EARLY_S = 0.25  # what a header says is rounded, and may be longer by the last picture or two
STALL = 1 << 14  # bytes, at least, that FFmpeg passes over when it finds no packet of a transport stream (64 KiB now)


class Flow:
    """The pictures of one stream, once, in the order in which the decoder gives them.

    mends: go on after damage; False: the stream ends there. It needs a decoder with one thread: with more, what comes
    out before a break differs from run to run. needless: pictures shown before this pts are not wanted, so those that
    no other refers to are not decoded; None: all are wanted. chain: the pieces of the file, if they are watched.

    truncated: "" or why the stream ended early (its good part was delivered). skipped: packets before the first
    picture that could not be decoded, and refused: why the last of them could not; beheaded: the very first was,
    in a container whose files begin with a whole picture. packets: how many there were; encrypted: some of them were.
    late: "" or that pictures before the first are missing.
    hole: a picture that was just given comes after a hole; whoever sees it sets it back.
    """

    def __init__(
        self,
        path: Path,
        container: Any,
        stream: Any,
        context: Any,
        *,
        mends: bool,
        needless: int | None = None,
        chain: Chain | None = None,
    ) -> None:
        self._path, self._container, self._stream, self._context = path, container, stream, context
        self._mends, self._needless = mends, needless
        self._bad = self._bad_reads = self._stalls = self._delivered = 0
        self._patience = path.stat().st_size // STALL + 1
        self._first_pts: int | None = None
        self._keyframes = quantiser.Keyframes(context)
        self._sent: set[int] = set()  # pts of packets whose picture has not come out yet
        self._broken = ""  # why pictures are left out now
        self._resumed: int | None = None  # pts of the keyframe after it
        self._accepted = False  # a packet was decoded
        self._partial = False  # the next packet lies across a stretch without packets, or a break
        self._chain = chain
        self._by_obus = context.name in ("libdav1d", "av1") and container.format.name in (*TRUE_PTS, "ivf")
        self._until = 0  # where the packets end, in the stream's units
        self._clean = True  # the first complete picture after it has been seen
        self.truncated = ""
        self.packets = self.skipped = 0
        self.refused, self.beheaded, self.encrypted = "", False, False
        self.hole, self.late = False, ""

    def pictures(self) -> Iterator[Any]:
        """All pictures; see the class. OSError when the disk is at fault."""
        import av

        packets, packet = self._container.demux(self._stream), None
        while True:
            reading = True
            try:
                packet = next(packets, None)
                self._bad_reads, reading = 0, False
                if packet is None:
                    self.truncated = self._broken or self._ends_early()
                    return
                if packet.is_corrupt and self._container.format.name in TRUE_PTS:  # a decoder may invent the rest
                    self.truncated = "a packet is cut short"
                    yield from self._finished(packet)
                    return
                packet = with_early_time(packet, self._path, self._container.format.name)
                self._follow(packet)
                broken = self._breaks(packet)
                if broken and self.packets == 1:
                    self.late = self._begins_late(packet)
                elif broken:
                    yield from self._damage(None, BREAK)
                    if self.truncated:
                        return
                if self._left_out(packet):
                    continue
                check(packet)
                packet = without_strays(packet, self._context)
                pictures = self._decoded(packet)
                self._accepted = True
            except (av.FFmpegError, EncryptedError) as error:
                if isinstance(error, av.EOFError):
                    self.truncated = self._broken or self._ends_early()
                    return
                if of_the_machine(error):
                    raise
                self.encrypted |= isinstance(error, EncryptedError)
                why = said(error)
                packets = self._container.demux(self._stream) if reading else packets
                self._partial = isinstance(error, BlockingIOError)
                if self._recording_begins(packet, why) or self._refers_to_the_hole(packet):
                    continue  # a recording cut anywhere begins with pictures that refer to missing ones
                self._stalls += self._partial
                self._bad_reads += reading and not self._partial
                yield from self._damage(packet, why)
                if self.truncated:
                    return
                continue
            yield from self._good(pictures)

    def _decoded(self, packet: Any) -> Any:
        """What comes out of the decoder when it is given this one."""
        if packet.pts is not None:
            self._sent.add(packet.pts)
            self._context.skip_frame = "NONREF" if self._is_needless(packet.pts) else "DEFAULT"
        self._keyframes.send(packet)
        return self._context.decode(packet if packet.size else None)

    def _ends_early(self) -> str:
        """Why there may be more than was read, "" when nothing says so."""
        empty = self._is_early() and ends_in_zeros(self._path)
        return cut_short(self._path) or ("the rest of the file is empty" if empty else "")

    def _is_early(self) -> bool:
        """Does the container say that there is more? (An index or sums may be broken behind the last picture.)"""
        said = declared_seconds(self._stream) or (self._container.duration or 0) / 1e6
        until = float((self._until - min(0, self._stream.start_time or 0)) * self._stream.time_base)
        return said - until > EARLY_S

    def _says_its_length(self) -> bool:
        return bool(self._container.duration) and self._container.format.name not in DERIVED

    def _is_needless(self, pts: int) -> bool:
        return self._needless is not None and pts < self._needless

    def _left_out(self, packet: Any) -> bool:
        """A frame left out when recording (not the end), or one that nothing can be made of after damage."""
        if not packet.size:
            return packet.dts is not None
        if self._partial:
            self._partial = False
            return True
        if self._broken and self._resumed is None and packet.is_keyframe:
            self._resumed, self._clean = packet.pts, False
        return bool(self._broken) and self._resumed is None

    def _breaks(self, packet: Any) -> bool:
        """Is there a break in the file before or in this packet? Of one that it may be in nothing is taken."""
        if not packet.size:  # behind the last one: those before a break are not waited for, since others may miss
            at_end = packet.dts is None and self._chain is not None and self._chain.broken_before(float("inf"))
            return at_end and (self._is_early() or not self._says_its_length())
        before = False
        if self._chain is not None and packet.pos is not None:
            before = self._chain.broken_before(packet.pos)
            self._partial |= self._chain.broken_inside(packet.pos, packet.size)
        self._partial |= self._by_obus and not av1.shows(memoryview(packet))
        return before or self._partial

    def _begins_late(self, packet: Any) -> str:
        """What is broken before the first picture may be an index; in Matroska times count from the film's start."""
        late = self._container.format.name == MATROSKA and (packet.pts or 0) * self._stream.time_base > EARLY_S
        return "its beginning is damaged" if late else ""

    def _follow(self, packet: Any) -> None:
        """Note a packet, and how far packets go now."""
        self.packets += bool(packet.size)
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None:
            self._until = max(self._until, time + (packet.duration or 0))

    def _recording_begins(self, packet: Any, why: str) -> bool:
        self._bad += 1
        leading = packet is not None and None not in (packet.pts, self._first_pts) and packet.pts < self._first_pts
        begins = (not self._delivered or leading) and self._bad <= MAX_BAD_STARTS
        if begins:
            self.skipped, self.refused = self._bad, why
            self.beheaded |= not self._accepted and self._container.format.name in TRUE_PTS
        return begins

    def _refers_to_the_hole(self, packet: Any) -> bool:
        """Is it shown before the keyframe that ends the hole (an open group of pictures)?"""
        return packet is not None and None not in (packet.pts, self._resumed) and packet.pts < self._resumed

    def _damage(self, packet: Any, why: str) -> Iterator[Any]:
        if not self._broken:
            yield from self._finished(packet)
        self._broken = self._broken or why
        self._resumed = None
        if not self._mends or self._bad_reads > MAX_BAD_READS or self._stalls > self._patience:
            self.truncated = self._broken
        else:
            self._context.flush_buffers()
            self._sent.clear()

    def _good(self, pictures: list[Any]) -> Iterator[Any]:
        if pictures and not self._delivered:
            self._first_pts = pictures[0].pts
        for picture in pictures:
            if self._broken:
                self._clean = self._clean or (picture.key_frame and not picture.is_corrupt)
                early = None not in (picture.pts, self._resumed) and picture.pts < self._resumed
                if not self._clean or early:  # it refers to a picture in the hole
                    continue
                self._broken, self.hole = "", True
            self._delivered += 1
            self._keyframes.follow(picture)
            self._sent = {pts for pts in self._sent if picture.pts is not None and pts > picture.pts}
            yield picture

    def _finished(self, broken: Any) -> list[Any]:
        """Pictures still inside the decoder when a packet is broken, up to the first that is missing: with the error
        a picture may be lost that was due then."""
        import av

        avi = self._container.format.name == "avi"  # has no pts to tell by
        if self._context.thread_count > 1 or broken is None or broken.pts is None or avi:
            return []
        try:
            pictures = self._context.decode(None)
        except av.FFmpegError:
            return []
        finished = []
        for picture in pictures:
            if picture.pts is None or picture.pts != min(self._sent, default=None) or picture.pts >= broken.pts:
                break
            self._sent.discard(picture.pts)
            finished.append(picture)
        self._delivered += len(finished)
        return finished
