"""Which decoder a stream gets, and how strict it is.

Strict, because decoders conceal damage: a picture with half of another one in it passes as whole (measured on single
flipped bits and on files cut short: without `explode` every cut MPEG-TS, MPEG-PS, AVI and WMV ended in a wrong picture,
with it none; intact real footage decodes to the same pictures). libvpx for VP8 and VP9 with transparency, which
FFmpeg's own decoders ignore: they show what lies under the transparent parts.
"""

from __future__ import annotations

import errno
from typing import Any

from wanprep.media import encrypted, quantiser
from wanprep.media.strays import without_strays
from wanprep.stage import Reject

AHEAD = 2  # threads beside those asked for, each with a picture of its own: some are ready when they are wanted
MAX_BAD_STARTS = 500  # packets without a picture that a recording cut anywhere may begin with
# Players hide errors; what they show can be made a file of, by whoever has seen that it is good.
HIDES = "If it plays well, `ffmpeg -i FILE -c:v libx264 -crf 12 NEW.mp4` makes a whole file of what players show"
_OF_DAMAGE = {errno.EAGAIN: "a stretch holds no packets", errno.ENOMEM: "a packet has an impossible size"}
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}


def decoder(stream: Any, *, threads: int = 1, drains: bool = False) -> Any:
    """A codec context for `stream`. drains: every packet will be decoded to the end, so frame threads are safe
    (they hold pictures back, which breaks early exits and inferred timestamps: PyAV #1849, #1861). There are AHEAD more
    of these: one that is done waits until its picture is taken, and who takes it is busy with the one before."""
    context = stream.codec_context
    if stream.metadata.get("alpha_mode") == "1" and context.name in _WITH_ALPHA:
        context = _transparent(context)
    context.options = {"err_detect": "explode", **quantiser.options(context.name)}
    context.copy_opaque = context.name in quantiser.BY_HEADER
    by_frame = drains and threads > 1
    context.thread_count = threads + AHEAD if by_frame else threads
    context.thread_type = "AUTO" if by_frame else "SLICE"
    return context


def _transparent(plain: Any) -> Any:
    import av
    from av.codec.codec import UnknownCodecError

    try:
        context = av.CodecContext.create(_WITH_ALPHA[plain.name], "r")
    except UnknownCodecError:
        return plain
    context.extradata = plain.extradata
    return context


def first_frame(container: Any, stream: Any) -> tuple[Any, int, bool]:
    """The first picture that decodes, its pts, and whether it waited for others although times rise from packet to
    packet (no picture comes between two then, so it need not have). Reject: no_frames, encrypted."""
    import av

    context = decoder(stream)
    context.options |= {"skip_loop_filter": "all"}  # nobody looks at its pixels
    bad, why = 0, ""
    sent: list[int] = []
    packets = container.demux(stream)
    while bad <= MAX_BAD_STARTS:
        try:
            reading = True
            packet = next(packets, None)
            reading = False
            if packet is not None:
                encrypted.check(packet)
                packet = without_strays(packet, context)
            pictures = context.decode(packet if packet.size else None) if packet is not None else []
        except encrypted.EncryptedError as error:
            raise encrypted.refusal(error.scheme) from error
        except av.FFmpegError as error:
            if of_the_machine(error) and not isinstance(error, av.EOFError):
                raise
            bad, why = bad + 1, said(error)
            packets = container.demux(stream) if reading and not isinstance(error, av.EOFError) else packets
            continue
        if packet is None:
            break
        sent.append(packet.pts or 0)
        if pictures:
            pts = pictures[0].pts if pictures[0].pts is not None else pictures[0].dts
            return pictures[0], pts or 0, len(sent) > 1 and sent == sorted(set(sent))
    raise Reject("no_frames", undecodable(bad, why) if bad else "the stream holds no pictures")


def of_the_machine(error: Exception) -> bool:
    """Can the disk not be read, as against bytes that make no sense? Where a transport stream has no packets FFmpeg
    says EAGAIN: try again, further on."""
    return isinstance(error, OSError) and error.errno != errno.EAGAIN


def said(error: Exception) -> str:
    """Why something could not be decoded, for people: of damage FFmpeg's words may tell of the machine."""
    number, words = getattr(error, "errno", None), getattr(error, "strerror", None)
    return _OF_DAMAGE.get(number or 0) or str(words or error)


def beheaded(packets: int, why: str) -> str:
    """What people are told of a stream whose beginning does not decode."""
    some = f"its first {packets} packets" if packets > 1 else "its first packet, and what depends on it,"
    return f"{some} could not be decoded strictly ({why}). {HIDES}"


def lone(packets: int) -> str:
    """What people are told of a film of which one picture came out, "" where that may be all there is of it: a still
    that was made a video has one packet, or two (fields)."""
    return f"of its {packets} packets came one picture. {HIDES}" if packets > 2 else ""


def undecodable(packets: int, why: str) -> str:
    """What people are told of a stream none of whose first `packets` gave a picture."""
    return f"none of {packets} packets could be decoded strictly ({why}). {HIDES}"
