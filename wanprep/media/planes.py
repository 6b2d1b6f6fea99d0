"""The planes of a decoded picture as arrays, and the small pictures that the analysis makes of them.

FFmpeg's scaler is exact and general, and at 1080p it takes as long as the decoder; averaging the planes as they are
and settling colour on the small picture takes a third of that. What is not planar YUV of 8 to 16 bits has no planes
here (`views` says None) and goes through the scaler.

Legend: planes_PHW is one array [rows, columns] a plane, luma first, of the plane's own size.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

_PLANAR = re.compile(r"yuvj?4[0-4][0-4]p(?:(9|10|12|14|16)le)?")
# Red and blue weights of luma by SWS_CS_* (ITU-R BT.709, FCC, BT.601, SMPTE 240M, BT.2020)
_WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in decoded pixels

NEAR = 1 << 20  # bytes that stay in a core's own cache, or nearly
SMALLEST = 64  # pixels of a crop's side: a pixel less is hardly more than 1 %


def views(frame: Any) -> tuple[list[NDArray[Any]], int] | None:
    """(planes_PHW, bits a sample) of an av.VideoFrame, uint8 or uint16, sharing its memory; None if not planar YUV."""
    known = _PLANAR.fullmatch(frame.format.name)
    if known is None or any(plane.line_size <= 0 for plane in frame.planes):
        return None
    bits = int(known[1] or 8)
    kind = np.dtype(np.uint8 if bits == 8 else "<u2")
    planes = []
    for plane in frame.planes:
        rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
        planes.append(rows[:, : plane.width * kind.itemsize].view(kind))
    return planes, bits


def gray(planes_PHW: Sequence[NDArray[Any]], bits: int, size: tuple[int, int], *, limited: bool) -> NDArray[np.uint8]:
    """uint8 [height, width]: luma stretched to 0..255. size: (width, height).

    Smaller both ways it is averaged as in `small_bgr`; a picture made wider or narrower only is area-averaged, which
    keeps more of the traces that coding left in it.
    """
    import cv2

    luma: Any = planes_PHW[0]
    if luma.shape[1] > size[0] and luma.shape[0] > size[1]:
        luma = _shrunk(luma, size)
    elif (luma.shape[1], luma.shape[0]) != size:
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    luma = _eight(luma, bits)
    if limited:  # to the level what a table would say, in half its time
        luma = cv2.subtract(luma, 16)  # type: ignore[call-overload]
        cv2.convertScaleAbs(luma, dst=luma, alpha=255 / 219)
    return luma if luma.base is None else luma.copy()  # the decoder may use its memory again


def small_bgr(
    planes_PHW: Sequence[NDArray[Any]], bits: int, size: tuple[int, int], *, matrix: int, limited: bool
) -> NDArray[np.uint8]:
    """uint8 [height, width, 3] as OpenCV has it. size: (width, height). matrix: SWS_CS_* of libswscale.

    Means of 2x2 as long as they fit, which is exact and as fast as memory, then a last step of less than 2 by linear
    interpolation. Right to about one level.
    """
    import cv2

    small = [_eight(_shrunk(plane, size), bits) for plane in planes_PHW]
    bgr: Any = cv2.transform(cv2.merge(small), to_bgr(matrix, limited))
    return bgr


def cropped(frame: Any, box: Box) -> Any | None:
    """The pixels x0 <= x < x1, y0 <= y < y1 of `frame` in its own format, sharing its memory; box: (x0, y0, x1, y1),
    its corner on a chroma sample (see `around`).

    None when it is not planar YUV, or so small that a pixel matters. By FFmpeg's crop filter, because its result still
    knows where the chroma samples lie: a frame of our own does not, the scaler then takes them to lie between the
    pixels, and colour moves by half a pixel in nearly everything but MPEG-1 and JPEG.
    """
    x0, y0, x1, y1 = box
    if views(frame) is None or min(x1 - x0, y1 - y0) < SMALLEST:
        return None
    if box == (0, 0, frame.width, frame.height):
        return frame
    crop = _cropper(frame.width, frame.height, frame.format.name, box)
    crop.vpush(frame)
    return crop.vpull()


def around(frame: Any, box: Box) -> Box:
    """The box itself where its corner lies on a chroma sample of `frame`; else the least one around it that begins and
    ends on one (or where the picture ends)."""
    across, down = 16 // frame.format.chroma_width(16), 16 // frame.format.chroma_height(16)
    x0, y0, x1, y1 = box
    if x0 % across == 0 and y0 % down == 0:
        return box
    x1, y1 = min(frame.width, -(-x1 // across) * across), min(frame.height, -(-y1 // down) * down)
    return x0 // across * across, y0 // down * down, x1, y1


def with_full_chroma(pix_fmt: str) -> str:
    """The planar YUV format with as many chroma as luma samples, else the same."""
    return re.sub("4[0-4][0-4]p", "444p", pix_fmt)


@functools.lru_cache(maxsize=16)
def _cropper(width: int, height: int, pix_fmt: str, box: Box) -> Any:
    import av

    graph = av.filter.Graph()
    graph.threads = 1
    x0, y0, x1, y1 = box
    nodes = [
        graph.add_buffer(width=width, height=height, format=av.VideoFormat(pix_fmt), time_base=Fraction(1, 1000)),
        graph.add("crop", f"{x1 - x0}:{y1 - y0}:{x0}:{y0}:exact=1"),
        graph.add("buffersink"),
    ]
    graph.link_nodes(*nodes).configure()
    return graph


@functools.cache
def to_bgr(matrix: int, limited: bool) -> NDArray[np.float32]:
    """float32 [3, 4]: (Y, Cb, Cr, 1) in 8-bit codes -> full-range (B, G, R). ITU-R BT.709, section 3."""
    red, blue = _WEIGHTS.get(matrix, _WEIGHTS[5])
    green = 1 - red - blue
    y, c, zero = (255 / 219, 255 / 224, 16.0) if limited else (1.0, 1.0, 0.0)
    rows = np.array(
        [
            [y, 2 * (1 - blue) * c, 0.0],
            [y, -2 * blue * (1 - blue) / green * c, -2 * red * (1 - red) / green * c],
            [y, 0.0, 2 * (1 - red) * c],
        ]
    )
    return np.column_stack([rows, -rows @ (zero, 128.0, 128.0)]).astype(np.float32)


def _eight(plane: Any, bits: int) -> Any:
    import cv2

    return plane if bits == 8 else cv2.convertScaleAbs(plane, alpha=1 / (1 << (bits - 8)))


def _shrunk(plane: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    import cv2

    width, height = size
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        plane = _halved(plane)
    if plane.shape == (height, width):
        return plane
    narrow = plane.shape[1] < 2 * width and plane.shape[0] < 2 * height
    return cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR if narrow else cv2.INTER_AREA)


def _halved(plane: NDArray[Any]) -> NDArray[Any]:
    """Means of 2x2; an odd last line is left out.

    Two lines at a time are not what a processor fetches ahead, and the decoder's picture has left its cache. So each
    part is read once from end to end before (its sum is not wanted): half the time of waiting for memory.
    """
    import cv2

    rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
    half = np.empty((rows, columns), plane.dtype)
    step = max(1, NEAR // (2 * columns * plane.itemsize))  # pairs of lines
    for top in range(0, rows, step):
        part = plane[2 * top : 2 * min(rows, top + step), : 2 * columns]
        cv2.sumElems(part)
        cv2.resize(part, (columns, len(part) // 2), dst=half[top : top + step], interpolation=cv2.INTER_AREA)
    return half
