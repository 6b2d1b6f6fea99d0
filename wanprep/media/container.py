"""Opening a file for demuxing, safely, and what to say of one that cannot be opened.

Files are opened so that a name cannot be taken for a protocol or an option and the content cannot point at another
file: an ffconcat script or a playlist named .mp4 is refused (measured: a protocol whitelist alone does not stop that).
"""

from __future__ import annotations

import contextlib
import re
import stat
from collections.abc import Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.stage import Reject

if TYPE_CHECKING:
    from av.container import InputContainer

# Demuxers that hold their own samples. Not in the list: concat, hls, dash, sdp, image2 (%03d), and whatever is new.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,flv,asf,ogg,mxf,gif,h264,hevc,ivf,dv,rm,nut,"
    "yuv4mpegpipe,obu,av1"
)
BRIEF = 0.1  # share of the longest stream's length
PICTURES = ("png", "mjpeg", "bmp", "gif", "webp", "tiff")
UNTRUNC = "untrunc can rebuild it with the help of a whole file of the same camera"


def check_file(path: Path) -> None:
    """Refuse what is not an ordinary file with bytes in it, without opening it (opening a FIFO would hang)."""
    try:
        status = path.stat()
    except OSError as error:
        if "symbolic links" in str(error):  # ELOOP
            raise Reject("not_a_file", "a loop of symbolic links") from error
        raise
    if not stat.S_ISREG(status.st_mode):
        raise Reject("not_a_file", f"not an ordinary file (mode {stat.filemode(status.st_mode)})")
    if status.st_size == 0:
        raise Reject("empty_file", "0 bytes")


def open_container(path: Path) -> InputContainer:
    """Open a checked file for demuxing, safely. Raises av.FFmpegError; the caller closes what is returned."""
    import av

    options = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    name = f"file:{path}"
    try:
        name.encode()
        target: Any = name
    except UnicodeEncodeError:  # a name that is not UTF-8: hand over an open file instead
        target = path.open("rb")
    return av.open(target, options=options, metadata_errors="ignore", buffer_size=1 << 18)


def ranked_streams(container: InputContainer, locked: Container[int] = ()) -> tuple[list[int], list[int], int]:
    """Indices of the video streams that can be decoded, best first; of those that are covers; how many there are.

    Best: the largest picture, then the longest, then the first; but one that is hardly more than a single picture
    beside another (a cover that was made an ordinary stream) is of the second list. Pictures that say themselves that
    they are covers are left out. locked: indices of films beside which one may be a cover, too. Reject: no_video,
    no_decoder.
    """
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        raise Reject("no_video", f"no video stream among {len(container.streams)} stream(s)")
    usable = [s for s in streams if s.codec_context is not None]
    if not usable:
        raise Reject("no_decoder", "no decoder for its video codec in this build of FFmpeg")
    longest = max(declared_seconds(stream) for stream in streams if stream in usable or stream.index in locked)

    def worse(stream: Any) -> tuple[int, float, int]:
        return -stream.codec_context.width * stream.codec_context.height, -declared_seconds(stream), stream.index

    def brief(stream: Any) -> bool:
        seconds = declared_seconds(stream)
        return seconds < longest * BRIEF if seconds else stream.codec_context.name in PICTURES

    ranked = sorted(usable, key=worse)
    films, covers = ([s.index for s in ranked if brief(s) == cover] for cover in (False, True))
    return films, covers, len(streams)


def declared_seconds(stream: Any) -> float:
    """How long a stream says it is, 0 if it does not. Of Matroska a tag does: DURATION, or DURATION-eng."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    tags = [text for name, text in stream.metadata.items() if name.upper().startswith("DURATION")]
    said = re.fullmatch(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)", tags[0].strip()) if tags else None
    return int(said[1]) * 3600 + int(said[2]) * 60 + float(said[3]) if said else 0.0


def cannot_open(path: Path, head: bytes, error: Exception) -> Exception:
    """The Reject for a file FFmpeg would not open, with FFmpeg's own words; machine errors pass unchanged."""
    import av

    if not isinstance(error, av.FFmpegError) or isinstance(error, OSError):
        return error
    video = _looks_like_video(head)
    return Reject("unreadable" if video else "not_video", f"{error.strerror}{_last_words(path, video)}")


def _last_words(path: Path, video: bool) -> str:
    """What FFmpeg logs on opening `path` once more: logging is off otherwise, since it can deadlock with threads.

    video: whether it starts like one; FFmpeg takes anything that is called .mp4 for a broken MP4.
    """
    import av
    import av.logging

    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)  # the second unfinished recording has the same words as the first
    try:
        with av.logging.Capture() as logs, contextlib.suppress(av.FFmpegError):
            open_container(path).close()
        said = [(name, text.strip()) for _, name, text in logs if text.strip()]
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)
    for name, text in reversed(said):
        if "whitelist" in text:  # its own words are the whole list
            return f": FFmpeg takes it for {name!r}, which is not read here (it holds no pictures or points elsewhere)"
        if "moov atom not found" in text:
            if not video:
                return ": it begins like no video, whatever its name says"
            return f": {text}: a recording that was not finished. {UNTRUNC}"
        return f": {text}"
    return ""


def _looks_like_video(head: bytes) -> bool:
    """Does it start like one of the common containers, so that "broken video" is the better word than "no video"?"""
    return (
        head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
        or head.startswith((b"\x1aE\xdf\xa3", b"FLV\x01", b"\x30\x26\xb2\x75", b"OggS", b"\x00\x00\x01\xba", b"GIF8"))
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
    )
