"""Decoded pictures to arrays: the one place where size, rotation, pixel shape, matrix, range and HDR are settled.

Colour rule: the matrix the frame names; when it names none, BT.709 for pictures at least 1280 wide or more than 576
high and BT.601 below (what mpv does; FFmpeg's scaler would take 601 for everything and turn HD skin orange). Range:
what the frame says; when it says nothing, limited for YUV and full for RGB and the old yuvj formats. Output is
full-range RGB in BT.709 curve and primaries; PQ, HLG, BT.2020 and Display P3 pictures go through `tonemap`. Alpha
lies on black.
Scaling is Lanczos with its support widened when shrinking (no aliasing) for `rgb`, which is trained on; averages for
`bgr` and `gray`, which are measured (`planes`, three times faster). Bit-exact scaler flags and one thread: the same
picture gives the same RGB bytes everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wanprep.media import planes, quantiser
from wanprep.media.probe import Probe
from wanprep.media.tonemap import to_bt709

Crop = tuple[int, int, int, int]  # x, y, width, height in display pixels

_SWS_709, _SWS_601 = 1, 5
# AVCOL_SPC_* of a frame to the SWS_CS_* of the scaler (libswscale/swscale.h)
_SWS_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_FULL, _LIMITED = 2, 1


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How a decoded picture becomes the shown one: margins cut off, pixels square, mirrored, then turned clockwise."""

    width: int
    height: int
    rotation: int = 0
    mirrored: bool = False
    margins: tuple[int, int, int, int] = (0, 0, 0, 0)  # left, top, right, bottom, in decoded pixels

    @classmethod
    def of(cls, probe: Probe) -> Shape:
        return cls(
            width=probe.width,
            height=probe.height,
            rotation=probe.rotation,
            mirrored=probe.mirrored,
            margins=probe.margins,
        )

    @property
    def whole(self) -> Crop | None:
        """The crop that is the whole shown picture; None: the decoded one as it is."""
        return (0, 0, self.width, self.height) if any(self.margins) else None


class Converter:
    """Scalers for the pictures of one source, kept because setting one up costs more than using it."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._scalers: dict[tuple[Any, ...], Any] = {}

    def rgb(
        self, frame: Any, width: int, height: int, *, deep: bool = False, area: bool = False, like: Any = None
    ) -> NDArray[Any]:
        """An av.VideoFrame as [height, width, 3], uint8 or (deep) uint16, still in the decoded orientation.

        By way of separate planes: FFmpeg has vector code for those and none for packed RGB, which takes three times
        as long. like: the frame that says which matrix and range it is, when `frame` is a copy that does not know.
        """
        import cv2

        out = self._reformatted(frame, width, height, "gbrp16le" if deep else "gbrp", area, like or frame)
        kind = np.dtype("<u2" if deep else np.uint8)
        lines: list[Any] = []
        for plane in out.planes:
            lines.append(np.frombuffer(plane, kind).reshape(height, plane.line_size // kind.itemsize)[:, :width])
        green, blue, red = lines
        return cv2.merge([red, green, blue])

    def scaled(self, frame: Any, width: int, height: int, pix_fmt: str, area: bool = False) -> NDArray[Any]:
        """An av.VideoFrame as an array of width x height in `pix_fmt`, still in the decoded orientation."""
        return self._reformatted(frame, width, height, pix_fmt, area, frame).to_ndarray()

    def full_chroma(self, frame: Any, *, like: Any) -> Any:
        """The same luma with a chroma sample for each, so that it can be cut anywhere. like: as for `rgb`."""
        pix_fmt = planes.with_full_chroma(frame.format.name)
        return self._reformatted(frame, frame.width, frame.height, pix_fmt, False, like, _range(like))

    def _reformatted(
        self, frame: Any, width: int, height: int, pix_fmt: str, area: bool, like: Any, to_range: int = _FULL
    ) -> Any:
        from av.video.reformatter import Interpolation, VideoReformatter

        key = (frame.width, frame.height, frame.format.name, width, height, pix_fmt, area)
        scaler = self._scalers.setdefault(key, VideoReformatter())
        how = Interpolation.AREA if area else Interpolation.LANCZOS
        how |= Interpolation.ACCURATE_RND | Interpolation.BITEXACT
        how |= Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
        matrix = _matrix(like)
        return scaler.reformat(
            frame,
            width=width,
            height=height,
            format=pix_fmt,
            src_colorspace=matrix,
            dst_colorspace=matrix,
            interpolation=how,
            src_color_range=_range(like),
            dst_color_range=to_range,
            threads=1,
        )


class Frame:
    """One shown picture. `pts` and `duration` in the source's time_base units; pixels are made when asked for.

    Holds the decoder's picture until dropped (3 MB at 1080p): use it and let go. Crops are (x, y, width, height) in
    display pixels, cut to the nearest decoded pixel; the default is the whole picture.
    """

    __slots__ = ("_converter", "_frame", "_whole", "duration", "pts")

    def __init__(self, frame: Any, converter: Converter, pts: int, duration: int) -> None:
        self.pts = pts
        self.duration = duration
        self._frame = frame
        self._converter = converter
        self._whole: NDArray[Any] | None = None

    def __repr__(self) -> str:
        return f"<Frame pts={self.pts} duration={self.duration}>"

    def rgb(self, width: int, height: int, crop: Crop | None = None) -> NDArray[np.uint8]:
        """uint8 [height, width, 3], full-range BT.709 RGB. ValueError for a crop outside the picture."""
        return self._picture(width, height, crop or self._shape.whole, area=False)

    def bgr(self, width: int, height: int, crop: Crop | None = None) -> NDArray[np.uint8]:
        """uint8 [height, width, 3] as OpenCV has it; averaged, right to about a level: for detectors and thumbnails."""
        crop = crop or self._shape.whole
        found = self._planes(crop)
        if found is not None:
            inner, limited = self._inner_size(width, height), _range(self._frame) == _LIMITED
            return self._upright(planes.small_bgr(*found, inner, matrix=_matrix(self._frame), limited=limited))
        return np.ascontiguousarray(self._picture(width, height, crop, area=True)[..., ::-1])

    def gray(self, width: int, height: int, crop: Crop | None = None) -> NDArray[np.uint8]:
        """uint8 [height, width], luma stretched to 0..255, averaged: the cheapest way to look at a picture."""
        crop = crop or self._shape.whole
        found = self._planes(crop)
        if found is not None:
            inner = self._inner_size(width, height)
            return self._upright(planes.gray(*found, inner, limited=_range(self._frame) == _LIMITED))
        if crop is not None or _needs_tonemap(self._frame) or _has_alpha(self._frame):
            rgb = self._picture(width, height, crop, area=True)
            weights = (0.2126, 0.7152, 0.0722) if _matrix(self._frame) != _SWS_601 else (0.299, 0.587, 0.114)
            return np.rint(rgb @ np.array(weights, dtype=np.float32)).astype(np.uint8)
        inner = self._inner_size(width, height)
        return self._upright(self._converter.scaled(self._frame, *inner, "gray", area=True))

    def coded(self, crop: Crop | None = None) -> quantiser.Coded:
        """How coarsely the picture (of `crop`) was quantised, as its stream says."""
        return quantiser.of(self._frame, self._box(crop) if crop else None)

    def _planes(self, crop: Crop | None) -> tuple[list[NDArray[Any]], int] | None:
        """What `planes` can make small pictures of; None: only the scaler can."""
        return None if crop is not None or _needs_tonemap(self._frame) else planes.views(self._frame)

    def _picture(self, width: int, height: int, crop: Crop | None, *, area: bool) -> NDArray[np.uint8]:
        if width < 1 or height < 1:
            raise ValueError(f"asked for a picture of {width}x{height}: both must be at least 1")
        inner = self._inner_size(width, height)
        deep = _needs_tonemap(self._frame)
        native = self._native(crop)
        if native is not None:
            pixels = self._converter.rgb(native, *inner, deep=deep, area=area, like=self._frame)
        else:
            pixels = self._part(crop, deep)
            if (pixels.shape[1], pixels.shape[0]) != inner:
                wrapped = _wrap(pixels, "rgb48le" if deep else "rgb24")
                pixels = self._converter.rgb(wrapped, *inner, deep=deep, area=area)
        if deep:
            pixels = to_bt709(pixels, _transfer(self._frame), _primaries(self._frame))
        return self._upright(pixels)

    def _native(self, crop: Crop | None) -> Any | None:
        """The picture (of `crop`) in the decoder's own format; None when it cannot be cut there or has alpha."""
        if _has_alpha(self._frame):
            return None
        if crop is None:
            return self._frame
        box = self._box(crop)
        x0, y0, *_ = outer = planes.around(self._frame, box)
        part = planes.cropped(self._frame, outer)
        if part is None or outer == box:
            return part
        full = self._converter.full_chroma(part, like=self._frame)
        return planes.cropped(full, (box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0))

    def _part(self, crop: Crop | None, deep: bool) -> NDArray[Any]:
        """The cropped decoded picture as RGB at its own size; the conversion of the whole is kept for other crops."""
        if self._whole is None:
            size = self._frame.width, self._frame.height
            if _has_alpha(self._frame):
                rgba = self._converter.scaled(self._frame, *size, "rgba64le" if deep else "rgba")
                top = 65535 if deep else 255
                self._whole = (rgba[..., :3].astype(np.uint32) * rgba[..., 3:] // top).astype(rgba.dtype)
            else:
                self._whole = self._converter.rgb(self._frame, *size, deep=deep)
        if crop is None:
            return self._whole
        x0, y0, x1, y1 = self._box(crop)
        return np.ascontiguousarray(self._whole[y0:y1, x0:x1])

    @property
    def _shape(self) -> Shape:
        return self._converter.shape

    def _box(self, crop: Crop) -> tuple[int, int, int, int]:
        return decoded_box(crop, self._shape, self._frame.width, self._frame.height)

    def _inner_size(self, width: int, height: int) -> tuple[int, int]:
        return (width, height) if self._shape.rotation % 180 == 0 else (height, width)

    def _upright(self, pixels: NDArray[Any]) -> NDArray[Any]:
        shape = self._shape
        if shape.mirrored:
            pixels = pixels[:, ::-1]
        if shape.rotation:
            pixels = np.rot90(pixels, k=-shape.rotation // 90)
        return np.ascontiguousarray(pixels)


def still_frame(rgb_HWC: NDArray[np.uint8], pts: int = 0, duration: int = 1) -> Frame:
    """A still picture (uint8 [H, W, 3], as shown) with the methods of a video frame."""
    height, width = rgb_HWC.shape[:2]
    return Frame(_wrap(rgb_HWC, "rgb24"), Converter(Shape(width=width, height=height)), pts, duration)


def decoded_box(crop: Crop, shape: Shape, coded_width: int, coded_height: int) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1) in decoded pixels of a crop given in display pixels. ValueError when it leaves the picture."""
    x, y, w, h = crop
    if x < 0 or y < 0 or w < 1 or h < 1 or x + w > shape.width or y + h > shape.height:
        raise ValueError(f"crop {crop} (x, y, width, height) leaves the picture of {shape.width}x{shape.height}")
    u0, u1 = Fraction(x, shape.width), Fraction(x + w, shape.width)
    v0, v1 = Fraction(y, shape.height), Fraction(y + h, shape.height)
    for _ in range(shape.rotation // 90):  # undo one clockwise quarter turn: (u, v) was at (v, 1 - u)
        u0, u1, v0, v1 = v0, v1, 1 - u1, 1 - u0
    if shape.mirrored:
        u0, u1 = 1 - u1, 1 - u0
    left, top, right, bottom = shape.margins
    across, down = coded_width - left - right, coded_height - top - bottom
    x0, y0 = left + round(u0 * across), top + round(v0 * down)
    return x0, y0, max(x0 + 1, left + round(u1 * across)), max(y0 + 1, top + round(v1 * down))


def _wrap(pixels: NDArray[Any], pix_fmt: str) -> Any:
    import av

    return av.VideoFrame.from_ndarray(pixels, format=pix_fmt)


def _matrix(frame: Any) -> int:
    known = _SWS_MATRIX.get(frame.colorspace)
    if known is not None:
        return known
    return _SWS_709 if frame.width >= 1280 or frame.height > 576 else _SWS_601


def _range(frame: Any) -> int:
    name = frame.format.name
    if name.startswith("yuvj") or frame.format.is_rgb:
        return _FULL
    return frame.color_range if frame.color_range in (_LIMITED, _FULL) else _LIMITED


def _transfer(frame: Any) -> str:
    return {16: "pq", 18: "hlg"}.get(frame.color_trc, "sdr")


def _primaries(frame: Any) -> str:
    """HDR that names none has those of BT.2020."""
    named = {9: "bt2020", 12: "display-p3"}.get(frame.color_primaries)
    return named or ("bt2020" if frame.color_trc in (16, 18) else "bt709")


def _needs_tonemap(frame: Any) -> bool:
    return _transfer(frame) != "sdr" or _primaries(frame) != "bt709"


def _has_alpha(frame: Any) -> bool:
    return any(component.is_alpha for component in frame.format.components)
