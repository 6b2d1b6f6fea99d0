"""Videos to look at: H.264 as every browser and player takes it (8 bit, 4:2:0, BT.709, index in front).

Not for training: `write.py` keeps the chroma, which hardly anything plays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wanprep.ids import write_atomic

QUALITY = "16"  # x264's crf; 18 is said to be transparent
BT709, LIMITED = 1, 1  # as numbered in ISO/IEC 23001-8


def write_film(path: Path, frames_FHWC: NDArray[np.uint8], *, rate: int) -> str:
    """Write RGB frames (uint8 [F, H, W, 3], H and W even) as an mp4 at `rate` frames a second; returns its digest.

    The bytes may differ from run to run: x264's AVX-512 code for 8-bit 4:2:0 does not always compute what its C code
    does (docs/measured/preparation.md). ValueError for other arrays. On any error nothing is left.
    """
    if frames_FHWC.dtype != np.uint8 or frames_FHWC.ndim != 4 or frames_FHWC.shape[3] != 3 or not len(frames_FHWC):
        raise ValueError(f"frames must be uint8 [F, H, W, 3], got {frames_FHWC.dtype} {list(frames_FHWC.shape)}")
    if frames_FHWC.shape[1] % 2 or frames_FHWC.shape[2] % 2:
        raise ValueError(f"{frames_FHWC.shape[2]}x{frames_FHWC.shape[1]}: 4:2:0 needs an even width and height")
    if rate < 1:
        raise ValueError(f"rate must be a whole number of frames a second, at least 1, got {rate}")
    return write_atomic(path, lambda temporary: _encode(temporary, frames_FHWC, rate))


def _encode(path: Path, frames_FHWC: NDArray[np.uint8], rate: int) -> None:
    import av

    container: Any = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"})
    with container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": QUALITY, "flags": "+bitexact"})
        stream.height, stream.width = frames_FHWC.shape[1:3]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.thread_count = 1  # it runs beside training
        context.color_range, context.colorspace = LIMITED, BT709
        context.color_primaries = context.color_trc = BT709
        for frame in frames_FHWC:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            shown = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
            container.mux(stream.encode(shown))
        container.mux(stream.encode())
