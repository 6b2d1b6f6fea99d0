"""What a file is: one look at its bytes and its first decoded frame, before anything else is believed.

Containers lie about duration, rate and frame count, so those are kept as hints and never used for counting; the
picture's size, rotation, colour and first timestamp come from the first frame that really decodes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

from wanprep.media import encrypted
from wanprep.media.container import cannot_open, check_file, open_container, ranked_streams
from wanprep.media.sidedata import side_data
from wanprep.stage import Reject

# Bare streams: pictures without times. What FFmpeg makes up for them is 25 frames a second.
NO_TIMES = ("h264", "hevc", "m4v", "obu", "av1", "mjpeg")
REWRAP = "Put it into a container at its true rate: ffmpeg -framerate 24 -i IN -c copy OUT.mp4"
MAX_VIDEO_PIXELS = 7680 * 4320 * 2
TRANSFERS = {1: "bt709", 6: "smpte170m", 8: "linear", 13: "srgb", 14: "bt2020-10", 15: "bt2020-12", 16: "pq", 18: "hlg"}
PRIMARIES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020", 11: "dci-p3", 12: "display-p3"}
MATRICES = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c"}
RANGES = {1: "limited", 2: "full"}
UNSUPPORTED_MATRICES = {8: "YCgCo", 14: "ICtCp", 15: "IPT (Dolby Vision)", 16: "YCgCo-Re", 17: "YCgCo-Ro"}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What one source is. Sizes in pixels, times in `time_base` units; `header_*` are hints, never counts.

    width, height: as shown: square pixels, after rotation. coded_*: the decoded picture; margins: (left, top, right,
    bottom) that the container cuts off it.
    rotation: degrees clockwise the decoded picture must be turned; mirrored: flipped left-right before that.
    stream_index: the chosen one of n_video_streams (largest area, then longest; cover pictures do not count), of which
    n_encrypted cannot be read.
    transfer, primaries, matrix, colour_range: names, "unspecified" when the file does not say.
    interlaced: hint from the first frame; every frame is looked at when read.
    fields: "tff" or "bff" when fields were seen though the file has no interlace flags: then all are deinterlaced.
    decode_order: the times stored are those of decoding (`order.py`), so a picture's packet tells its time.
    """

    kind: str  # "video" | "image"
    container: str
    codec: str
    pix_fmt: str
    coded_width: int
    coded_height: int
    width: int
    height: int
    rotation: int = 0
    mirrored: bool = False
    margins: tuple[int, int, int, int] = (0, 0, 0, 0)
    sar: Fraction = Fraction(1)
    time_base: Fraction = Fraction(1)
    start_pts: int = 0
    stream_index: int = 0
    n_video_streams: int = 1
    n_encrypted: int = 0
    transfer: str = "unspecified"
    primaries: str = "unspecified"
    matrix: str = "unspecified"
    colour_range: str = "unspecified"
    hdr: bool = False
    bit_depth: int = 8
    interlaced: bool = False
    fields: str = ""
    decode_order: bool = False
    alpha: bool = False
    header_duration_s: float | None = None
    header_rate: Fraction | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("video", "image"):
            raise ValueError(f'kind must be "video" or "image", got {self.kind!r}')
        if self.rotation not in (0, 90, 180, 270):
            raise ValueError(f"rotation must be 0, 90, 180 or 270 degrees clockwise, got {self.rotation}")
        if min(self.width, self.height, self.coded_width, self.coded_height) < 1:
            raise ValueError(
                f"empty picture: {self.coded_width}x{self.coded_height} shown as {self.width}x{self.height}"
            )


def probe(path: Path) -> Probe:
    """Look at `path`. Raises Reject when its bytes are at fault, OSError when this machine cannot read them.

    Reasons: not_a_file, empty_file, not_video, no_video, no_frames, no_decoder, no_timestamps, unreadable, encrypted,
    unsupported_image, image_too_large, video_too_large, unsupported_colour.
    """
    from wanprep.media import animation, stills

    check_file(path)
    with path.open("rb") as file:
        head = file.read(64)
    if stills.sniff(head):
        still = stills.probe_still(path)
        return animation.as_video(still, path) or still
    return _probe_video(path, head)


def display_transform(frame: Any) -> tuple[int, bool]:
    """(degrees clockwise in steps of 90, mirrored first) from a frame's display matrix; (0, False) without one.

    The 3x3 matrix maps (right, down) to (a·p + c·q, b·p + d·q) (ISO 14496-12, 8.2.2). A mirrored picture has a
    negative determinant; the second column is the same with and without mirroring.
    """
    data = side_data(frame).get("DISPLAYMATRIX")
    if data is None:
        return 0, False
    a, b, _, c, d, _, *_ = struct.unpack("=9i", bytes(data)[:36])
    if a * d - b * c == 0:
        return 0, False
    turned = math.degrees(math.atan2(-c, d))
    return round(turned / 90) * 90 % 360, a * d - b * c < 0


def _probe_video(path: Path, head: bytes) -> Probe:
    try:
        container = open_container(path)
    except Exception as error:
        raise cannot_open(path, head, error) from error
    with contextlib.ExitStack() as opened:
        opened.enter_context(container)
        name = container.format.name
        if name in NO_TIMES:
            raise Reject("no_timestamps", f"a bare {name} stream: nobody can know its frame rate. {REWRAP}")
        return _best(path, container, opened)


def _best(path: Path, container: Any, opened: contextlib.ExitStack) -> Probe:
    """Of the best stream with a picture. A cover is none of a film whose pictures are encrypted."""
    schemes = encrypted.declared(path, container)
    hidden = {stream.index for stream in container.streams.video if stream.codec_context is None} & schemes.keys()
    refusals = [encrypted.refusal(schemes[index]) for index in sorted(hidden)]
    try:
        films, covers, count = ranked_streams(container, hidden)
    except Reject as refusal:
        raise (refusals or [refusal])[0] from None
    for nth, index in enumerate((*films, *covers)):  # a large stream without one good picture must not hide a good one
        if index in covers and hidden:
            break
        if nth:  # from its start again; the first look needs no second opening
            container = opened.enter_context(open_container(path))
        try:
            found = _probe_stream(path, container, container.streams[index], schemes.get(index, ""))
            return dataclasses.replace(found, n_video_streams=count, n_encrypted=len(hidden))
        except Reject as refusal:
            refusals.append(refusal)
            if refusal.reason == "encrypted":
                hidden.add(index)
    raise refusals[0]


def _probe_stream(path: Path, container: Any, stream: Any, scheme: str) -> Probe:
    """scheme: how the container says that it is encrypted, "" when it does not."""
    from wanprep.media.decoder import first_frame
    from wanprep.media.interlace import could_be_interlaced

    context = stream.codec_context
    if scheme and scheme not in encrypted.COMMON:
        raise encrypted.refusal(scheme)
    if context.width * context.height > MAX_VIDEO_PIXELS:
        raise Reject("video_too_large", f"{context.width}x{context.height} (limit {MAX_VIDEO_PIXELS} pixels)")
    try:
        frame, pts, waited = first_frame(container, stream)
    except Reject as refusal:
        if container.format.name == "mpegts" and encrypted.scrambled(path, stream):
            raise encrypted.refusal("of a scrambled broadcast") from refusal
        raise
    colour = unsupported_colour(frame)
    if colour:
        raise Reject("unsupported_colour", f"{colour} cannot be turned into RGB here")
    bytes_of = _bytes_of(path, stream)
    return Probe(
        kind="video",
        container=container.format.name,
        codec=context.name,
        time_base=stream.time_base,
        start_pts=pts,
        stream_index=stream.index,
        fields=_fields(*bytes_of) if could_be_interlaced(frame, stream.average_rate) else "",
        decode_order=waited and _decode_order(*bytes_of),
        header_duration_s=container.duration / 1e6 if container.duration else None,
        header_rate=stream.average_rate or None,
        **_geometry(path, container, stream, frame),
        **_pixels(frame),
    )


def _geometry(path: Path, container: Any, stream: Any, frame: Any) -> dict[str, Any]:
    """Fields of a `Probe`: how large a picture is, as coded and as shown."""
    from wanprep.media import shapes
    from wanprep.media.aperture import margins
    from wanprep.media.clock import BROADCAST

    rotation, mirrored = display_transform(frame)
    coded_width, coded_height, sar = shapes.drawn(frame, stream.sample_aspect_ratio)
    if container.format.name in BROADCAST:
        shape = coded_width, coded_height, sar
        coded_width, coded_height, sar = shapes.usual(*_bytes_of(path, stream), shape)
    left, top, right, bottom = cut_off = margins(path, container, stream)
    shown = (max(1, round((coded_width - left - right) * sar)), coded_height - top - bottom)
    width, height = shown if rotation % 180 == 0 else shown[::-1]
    size = {"coded_width": coded_width, "coded_height": coded_height, "width": width, "height": height}
    return size | {"rotation": rotation, "mirrored": mirrored, "margins": cut_off, "sar": sar}


def _pixels(frame: Any) -> dict[str, Any]:
    """Fields of a `Probe`: what the numbers of a picture mean."""
    components = frame.format.components
    return {
        "pix_fmt": frame.format.name,
        "transfer": _named(TRANSFERS, frame.color_trc),
        "primaries": _named(PRIMARIES, frame.color_primaries),
        "matrix": _named(MATRICES, frame.colorspace),
        "colour_range": "full" if frame.format.name.startswith("yuvj") else _named(RANGES, frame.color_range),
        "hdr": frame.color_trc in (16, 18),
        "bit_depth": max((c.bits for c in components), default=8),
        "interlaced": frame.interlaced_frame,
        "alpha": any(c.is_alpha for c in components),
    }


def _bytes_of(path: Path, stream: Any) -> tuple[Path, int, int, int]:
    """What is remembered of a stream goes by this."""
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns, stream.index


def unsupported_colour(frame: Any) -> str:
    """What kind of colour a decoded frame has that would come out wrong, "" when none.

    Dolby Vision profile 5 says nothing in its colour fields: it is known by its metadata without PQ or HLG beside it.
    """
    if frame.colorspace in UNSUPPORTED_MATRICES:
        return UNSUPPORTED_MATRICES[frame.colorspace]
    if frame.color_trc not in (16, 18) and side_data(frame).get("DOVI_METADATA") is not None:
        return "Dolby Vision without an HDR10 or HLG base layer"
    return ""


@lru_cache(maxsize=256)
def _decode_order(path: Path, size: int, mtime_ns: int, stream_index: int) -> bool:
    """Of containers that store a time for each picture; remembered, as fields are."""
    from wanprep.media.order import in_decode_order
    from wanprep.media.seek import TRUE_PTS

    with open_container(path) as container:
        return container.format.name in TRUE_PTS and in_decode_order(container, container.streams[stream_index])


@lru_cache(maxsize=256)
def _fields(path: Path, size: int, mtime_ns: int, stream_index: int) -> str:
    """Field order of a file without interlace flags; remembered, since every clip asks again."""
    from wanprep.media.interlace import unflagged_fields

    with open_container(path) as container:
        return unflagged_fields(container, container.streams[stream_index])


def _named(names: dict[int, str], value: int) -> str:
    return names.get(value, "unspecified" if value in (0, 2) else str(value))
