"""Files whose pictures carry the times of decoding: written by tools that copy packets of B-frames and count them.

A picture that waits for a later one then comes out with a time that belongs to another, and every second or third
one seems to lie before its predecessor. Its packet's decoding time is right up to a constant, as in AVI; ffmpeg
changes over to it too, after the first picture that falls back.
"""

from __future__ import annotations

import itertools
from typing import Any

LOOK = 48  # packets: streams with B-frames have the first of them within the first few


def in_decode_order(container: Any, stream: Any) -> bool:
    """Do pts rise from packet to packet although pictures come out in another order? Reads on from where it stands.

    In a sound file with B-frames pts fall back within a few packets, and only those are read then.
    """
    import av

    from wanprep.media.decoder import decoder
    from wanprep.media.strays import without_strays

    packets: list[Any] = []
    try:
        for packet in itertools.islice(container.demux(stream), LOOK):
            if packet.pts is None or (packets and packet.pts <= packets[-1].pts):
                if packet.size:
                    return False
                break
            packets.append(packet)
        context = decoder(stream)
        context.options |= {"skip_loop_filter": "all"}  # nobody looks at the pixels
        times = [picture.pts for packet in packets for picture in context.decode(without_strays(packet, context))]
    except av.FFmpegError:
        return False
    return any(after < before for before, after in itertools.pairwise(times))
