"""How coarsely a picture was quantised, as its own stream says: the surest sign of a low bitrate, where it is known.

FFmpeg's decoders of VP9 and MPEG-1 and -2 tell (`options` asks them to). Those of H.264 and MPEG-4 do, too, but with
several threads of pictures that are not finished yet (measured: other numbers in one of 60 runs). So of these only
keyframes tell, decoded once more by a decoder with one thread when they are asked (`Keyframe`). Those of HEVC, AV1 and
VP8 do not, so headers are read here (`hevc`, `av1`, `vp8`): that of the picture that is asked, and of those sent
before it. What a film went through before it was encoded for the last time is for `signals.compression` to see.

All are put on one scale, that of H.264 (0..51, where 6 more double the step): a step is 0.625 * 2 ** (qp / 6).
"""

from __future__ import annotations

import collections
import functools
import math
import statistics
import threading
from typing import Any, NamedTuple

import numpy as np

from wanprep.media import av1, avc, hevc, vp8
from wanprep.media.sidedata import side_data

_ASKS = {"export_side_data": "venc_params"}  # option of a decoder
_BY_KEYFRAME = {"h264": 2.9, "mpeg4": 0.0}  # how much finer keyframes are coded than the rest (x264: 1.4 times)
_CODED_BY = {"vp8": "vp8", "hevc": "hevc", "libdav1d": "av1", "libaom-av1": "av1", "av1": "av1"}
BY_HEADER = tuple(_CODED_BY)  # decoders that need `copy_opaque`, so that `Headers` go with a packet through them
# By how much pictures are better than most of them say, since what others are predicted from is coded finer: such that
# equal numbers are equal SSIM to the original (medians against x264 over 9 clips of half A of bench_quality, which
# differ by 2 to 3). x265 says in words whether blocks are coded so, too.
_FINER, _FINER_BY_TREE, _TREE = {"hevc": 2.0, "av1": 10.0, "vp9": 8.0}, 6.0, b" cutree "
_LEAVES = 1.6  # HEVC (x265 crf 20: none of half A, 2 % of half B look coarse then, instead of 11 and 6 %)
HELD = 64  # keyframes on their way through a decoder, at most: more than any holds back
RECENT = 16  # pictures whose headers are looked at: of one in six, all may be of the kind that is coded finely
HEADER = 4096  # bytes of a packet that hold the quantiser, and before it what others say
UNFILTERED = 6.0  # MPEG-1, -2 and -4 do not smooth block edges: they show as those of a step twice as large
_H264, _MPEG = 1, 2  # AVVideoEncParamsType


def options(codec: str) -> dict[str, str]:
    """What to tell a decoder so that its pictures speak."""
    return {} if codec in _BY_KEYFRAME else _ASKS


class Coded(NamedTuple):
    """quantiser: mean of one picture on H.264's scale, NaN where unknown. smoothed: whether its decoder smooths block
    edges; where not, they show in finely coded pictures too, and looks say less. leaves: by how much coarser a picture
    looks to `signals.hidden` than in H.264 when it is coded finely; NaN where traces of an earlier coder cannot be told
    from its own."""

    quantiser: float
    smoothed: bool
    leaves: float = math.nan


UNKNOWN = Coded(math.nan, True)
Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in decoded pixels


class Blocks(NamedTuple):
    """What a decoder tells of one picture's blocks. kind: AVVideoEncParamsType. bits: of a sample. qp: of the picture.
    blocks: int32[B, 5], left, top, width and height in pixels, and what is added to qp."""

    kind: int
    bits: int
    qp: float
    blocks: np.ndarray

    def coded(self, box: Box | None = None) -> Coded:
        """Of the picture, or of the part in `box`: that of black bars says nothing, for they are coded finely."""
        said = _on_scale(self.kind, self._mean(box), self.bits)
        return Coded(said, self.kind != _MPEG, 0.0 if self.kind == _H264 else math.nan)

    def _mean(self, box: Box | None) -> float:
        deltas = self.blocks[:, 4]
        if box is not None:
            x, y = (self.blocks[:, k] + self.blocks[:, k + 2] // 2 for k in (0, 1))
            deltas = deltas[(x >= box[0]) & (x < box[2]) & (y >= box[1]) & (y < box[3])]
        return float(self.qp + deltas.mean()) if len(deltas) else self.qp


class Keyframes:
    """The keyframes among the packets of one stream, and which of them each picture follows.

    context: the decoder of the stream, of which only the name and what it knows of the stream are used.
    """

    def __init__(self, context: Any) -> None:
        self._stream, self._alone = context, _Alone(context)
        self._sent: dict[int, Keyframe] = {}
        self._last: Keyframe | None = None
        self._extradata = context.extradata or b""
        self._parameters = b""  # start of the last keyframe's packet
        self._by_tree = _TREE in self._extradata
        self._recent: collections.deque[Header] = collections.deque(maxlen=1 if context.name == "vp8" else RECENT)

    def send(self, packet: Any) -> None:
        """Note a packet that goes to the decoder."""
        codec = _CODED_BY.get(self._stream.name)
        if codec and packet.size:
            start = bytes(memoryview(packet)[:HEADER])
            if packet.is_keyframe:
                self._parameters, self._by_tree = start, self._by_tree or _TREE in start
            self._recent.append(Header(codec, self._by_tree, self._extradata, self._parameters, start))
            packet.opaque = Headers(self._recent)
        if self._stream.name in _BY_KEYFRAME and packet.is_keyframe and _time(packet) is not None:
            self._sent[_time(packet)] = Keyframe(packet, self._alone)
            if len(self._sent) > HELD:  # of one that never comes out (damage) the packet would be kept for good
                del self._sent[next(iter(self._sent))]

    def follow(self, picture: Any) -> None:
        """Let a picture that came out of the decoder know its keyframe."""
        coming = self._sent.pop(_time(picture), None)
        if coming is not None and self._last is not None and self._last.asked:
            coming.begin()  # who asked that one will ask this one, too
        self._last = coming or self._last
        if self._last is not None:
            picture.opaque = (self._last,)  # an object of its own: PyAV forgets it with the first picture that has it


class Header:
    """The start of a picture's packet, and what it cannot be read without. by_tree: see `_FINER`."""

    def __init__(self, codec: str, by_tree: bool, *parts: bytes) -> None:
        self.codec, self._by_tree, self._parts = codec, by_tree, parts

    @functools.cached_property
    def said(self) -> float:
        """The quantiser on H.264's scale, NaN where unknown."""
        if self.codec == "vp8":
            return _of_step(vp8.step(self._parts[-1]))
        if self.codec == "hevc":
            return hevc.quantiser(*self._parts) - (_FINER_BY_TREE if self._by_tree else _FINER["hevc"])
        index = av1.quantiser(*self._parts)
        return max(0.0, _of_index(index) - _FINER["av1"]) if math.isfinite(index) else index


class Headers(tuple[Header, ...]):
    """Those of a picture and of some that came before it."""

    def coded(self) -> Coded:
        known = [header.said for header in self if math.isfinite(header.said)]
        leaves = _LEAVES if any(header.codec == "hevc" for header in self) else math.nan
        return Coded(statistics.median(known) if known else math.nan, True, leaves)


class Keyframe:
    """A keyframe's packet, and what it says once it is asked. asked: whether it was."""

    def __init__(self, packet: Any, alone: _Alone) -> None:
        self._packet, self._alone = packet, alone
        self._beside: threading.Thread | None = None
        self._found: Blocks | None = None
        self._smoothed = True
        self._looked = False
        self.asked = False

    def begin(self) -> None:
        """Decode it in a thread of its own: 10 ms at 1080p, in which other pictures can be looked at."""
        self._beside = threading.Thread(target=self._look)
        self._beside.start()

    @property
    def coded(self) -> Coded:
        return self.within(None)

    def within(self, box: Box | None) -> Coded:
        """What it says of the picture, or of the part in `box`."""
        self.asked = True
        if self._beside is not None:
            self._beside.join()
        if not self._looked:
            self._look()
        if self._found is None:
            return UNKNOWN
        found = self._found.coded(box)
        said = found.quantiser + _BY_KEYFRAME[self._alone.name]
        return found._replace(quantiser=said, smoothed=found.smoothed and self._smoothed)

    def _look(self) -> None:
        import av

        with self._alone.lock:
            context = self._alone.decoder
            try:
                # MPEG-4's decoder says nothing of the last picture that comes out of it; so a second one follows.
                push = self._packet if context.name == "mpeg4" else None
                pictures = context.decode(self._packet) or context.decode(push)
            except av.FFmpegError:
                pictures = []
            context.flush_buffers()
        self._found = _told(pictures[0]) if pictures else None
        if context.name == "h264":
            self._smoothed = avc.smoothed(context.extradata or b"", bytes(memoryview(self._packet)[:HEADER]))
        self._looked, self._packet = True, None


class _Alone:
    """A decoder with one thread of the stream that `context` decodes, made when it is first needed; who uses it locks.

    Keyframes refer to this and not to `Keyframes`, which refers to them: decoders of short files, which a cycle would
    keep, are megabytes that the garbage collector does not see.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self.name = context.name
        self.lock = threading.Lock()

    @functools.cached_property
    def decoder(self) -> Any:
        import av

        made = av.CodecContext.create(self._context.name, "r")
        made.extradata, made.thread_count = self._context.extradata, 1
        made.options = _ASKS | {"skip_loop_filter": "all", "skip_idct": "all"}  # nobody looks at its pictures
        return made


def _time(timed: Any) -> Any:
    return timed.pts if timed.pts is not None else timed.dts


def of(picture: Any, box: Box | None = None) -> Coded:
    """What decoder, keyframe or header tell of an av.VideoFrame; the first two, of its part in `box`."""
    kept = picture.opaque
    if isinstance(kept, Headers):
        return kept.coded()
    if isinstance(kept, tuple):
        return kept[0].within(box)
    told = _told(picture)
    return UNKNOWN if told is None else told.coded(box)


def _told(picture: Any) -> Blocks | None:
    """Its AVVideoEncParams, each of whose blocks begins with five int32."""
    for data in side_data(picture):
        if type(data).__name__ == "VideoEncParams":
            shape, steps = (data.nb_blocks, 5), (data.block_size, 4)
            blocks = np.zeros((0, 5), "<i4")
            if data.nb_blocks:
                blocks = np.ndarray(shape, "<i4", memoryview(data), data.blocks_offset, steps).copy()
            return Blocks(int(data.codec_type), picture.format.components[0].bits, float(data.qp), blocks)
    return None


def _on_scale(kind: int, value: float, bits: int) -> float:
    if kind == _H264:
        return max(0.0, value - 6 * (bits - 8))  # deeper samples have finer steps below 0
    if kind == _MPEG:
        return _of_step(value) + UNFILTERED
    return max(0.0, _of_index(value) - _FINER["vp9"])


def _of_index(index: float) -> float:
    """Of VP9 and AV1: steps of an eighth, one by one up to 100, then 1.85 % apart (their table, to 1 of 51)."""
    return _of_step((8 + index if index < 100 else 108 * math.exp(0.01825 * (index - 100))) / 8)


def _of_step(step: float) -> float:
    return max(0.0, 6 * math.log2(step / 0.625)) if step > 0 else 0.0
