"""Small pictures made of planes: the same as from exact arithmetic, whatever the format, and crops to the pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from wanprep.media import planes
from wanprep.media.pixels import Converter, Frame, Shape, still_frame
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.write import psnr

WEIGHTS = {"709": (1, 0.2126, 0.0722), "601": (5, 0.299, 0.114)}


def frame_of(pix_fmt: str, levels: list[np.ndarray]):
    """An av.VideoFrame whose planes hold `levels` (codes of its own depth)."""
    import av

    height, width = levels[0].shape
    frame = av.VideoFrame(width, height, pix_fmt)
    for target, level in zip(planes.views(frame)[0], levels, strict=True):
        target[:] = level
    return frame


def codes(rgb: np.ndarray, red: float, blue: float, limited: bool, bits: int) -> list[np.ndarray]:
    """Y, Cb, Cr of RGB 0..1 by the book (ITU-R BT.709, BT.601, section 3), rounded."""
    luma = rgb @ np.array([red, 1 - red - blue, blue])
    chroma = [(rgb[..., 2] - luma) / (2 - 2 * blue), (rgb[..., 0] - luma) / (2 - 2 * red)]
    top = 1 << (bits - 8)
    if limited:
        return [np.rint((16 + 219 * luma) * top), *(np.rint((128 + 224 * c) * top) for c in chroma)]
    return [np.rint(255 * luma), *(np.rint(np.clip(128 + 255 * c, 0, 255)) for c in chroma)]


def colours(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x / (width - 1), y / (height - 1), (x + y) / (width + height - 2)], axis=-1)


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize(
    ("pix_fmt", "limited", "bits"), [("yuv444p", True, 8), ("yuvj444p", False, 8), ("yuv444p10le", True, 10)]
)
def test_colours_are_those_of_the_book(matrix, pix_fmt, limited, bits):
    code, red, blue = WEIGHTS[matrix]
    rgb = colours(48, 64)
    frame = frame_of(pix_fmt, codes(rgb, red, blue, limited, bits))
    bgr = planes.small_bgr(*planes.views(frame), (64, 48), matrix=code, limited=limited)
    error = np.abs(bgr[..., ::-1] - 255 * rgb)
    assert error.max() < 2.5  # 8-bit codes alone are up to two levels off in blue
    assert error.mean() < 0.6
    other = planes.small_bgr(*planes.views(frame), (64, 48), matrix={1: 5, 5: 1}[code], limited=limited)
    assert np.abs(other[..., ::-1] - 255 * rgb).max() > 15  # the wrong matrix would be seen
    gray = planes.gray(*planes.views(frame), (64, 48), limited=limited)
    assert np.abs(gray - 255 * (rgb @ np.array([red, 1 - red - blue, blue]))).max() < 1.2


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuv420p10le"])
@pytest.mark.parametrize("size", [(256, 144), (200, 150), (300, 33), (640, 360), (700, 400)])
def test_shrinking_keeps_every_part_where_it_is(pix_fmt, size):
    """A smooth picture shrunk is the smooth picture drawn small: nothing shifted, in any format and ratio."""
    width, height = 640, 360

    def smooth(h, w, top):  # a plane [h, w] of the picture, codes 50..200 at 8 bits
        y, x = (np.arange(h) + 0.5) / h, (np.arange(w) + 0.5) / w
        return top * (125 + 45 * np.sin(5 * x)[None] + 30 * np.cos(4 * y)[:, None])

    import av

    blank = planes.views(av.VideoFrame(width, height, pix_fmt))
    top = 1 << (blank[1] - 8)
    levels = [np.rint(smooth(*plane.shape, top)) for plane in blank[0]]
    levels[1:] = [np.full_like(level, 128 * top) for level in levels[1:]]
    bgr = planes.small_bgr(*planes.views(frame_of(pix_fmt, levels)), size, matrix=1, limited=False)
    expected = smooth(size[1], size[0], 1)
    inner = np.s_[2:-2, 2:-2]
    assert np.abs(bgr[..., 0] - expected)[inner].max() < 2.0
    assert np.abs(planes.gray(*planes.views(frame_of(pix_fmt, levels)), size, limited=False) - expected).max() < 2.5


def test_shrinking_averages_instead_of_picking():
    stripes = [np.tile(np.array([0, 255], np.uint8), (360, 320)), *(np.full((180, 320), 128, np.uint8),) * 2]
    bgr = planes.small_bgr(*planes.views(frame_of("yuvj420p", stripes)), (256, 144), matrix=1, limited=False)
    assert bgr.min() > 120
    assert bgr.max() < 136
    gray = planes.gray(*planes.views(frame_of("yuvj420p", stripes)), (256, 144), limited=False)
    assert gray.min() > 120
    assert gray.max() < 136


def test_other_formats_have_no_planes():
    import av

    for name in ("rgb24", "gbrp", "yuva420p", "nv12", "yuyv422", "gray", "yuv420p10be", "pal8"):
        assert planes.views(av.VideoFrame(64, 48, name)) is None


def test_both_ways_to_a_small_picture_agree(tmp_path, footage, monkeypatch):
    path = footage.make_video(tmp_path / "a.mp4", frames=3, size=(640, 360), matrix=1)
    with open_video(path, probe(path)) as reader:
        frame = list(reader.frames())[1]
        quick, luma = frame.bgr(256, 144), frame.gray(640, 360)
        monkeypatch.setattr(planes, "views", lambda _: None)
        exact, rgb = frame.bgr(256, 144), frame.rgb(640, 360)
    assert np.abs(quick.astype(int) - exact).mean() < 1.5
    # Not compared with the scaler's own gray, which takes BT.601 weights whatever the matrix.
    assert np.abs(luma - rgb @ np.array([0.2126, 0.7152, 0.0722])).mean() < 1


@pytest.mark.parametrize("rotation", [0, 90])
def test_small_pictures_stand_upright(rotation, tmp_path, footage):
    path = footage.make_video(tmp_path / "a.mp4", frames=2, size=(320, 192), rotation=rotation)
    facts = probe(path)
    size = (160, 96) if rotation == 0 else (96, 160)
    with open_video(path, facts) as reader:
        frame = next(reader.frames())
        rgb = frame.rgb(*size)
        assert np.abs(frame.bgr(*size)[..., ::-1].astype(int) - rgb).mean() < 3
        assert frame.gray(*size).shape == rgb.shape[:2]


@pytest.mark.parametrize(
    ("pix_fmt", "outer"),
    [
        ("yuv420p", (8, 4, 102, 92)),
        ("yuv422p", (8, 5, 102, 91)),
        ("yuv444p", (9, 5, 101, 91)),
        ("yuv411p", (8, 5, 104, 91)),
        ("yuv420p10le", (8, 4, 102, 92)),
    ],
)
def test_a_native_crop_is_the_same_pixels(pix_fmt, outer):
    import av

    generator = np.random.default_rng(1)
    blank = planes.views(av.VideoFrame(128, 96, pix_fmt))[0]
    frame = frame_of(pix_fmt, [generator.integers(0, 255, plane.shape) for plane in blank])
    whole = planes.views(frame)[0]
    assert planes.around(frame, (8, 4, 81, 75)) == (8, 4, 81, 75)
    assert planes.around(frame, (9, 5, 101, 91)) == outer
    for box in ((8, 4, 81, 75), outer):
        x0, y0, x1, y1 = box
        part = planes.cropped(frame, box)
        assert (part.width, part.height) == (x1 - x0, y1 - y0)
        assert part.format.name == pix_fmt
        cut = planes.views(part)[0]
        assert np.array_equal(cut[0], whole[0][y0:y1, x0:x1])
        for a, b in zip(cut[1:], whole[1:], strict=True):
            y, x = y0 * b.shape[0] // 96, x0 * b.shape[1] // 128
            assert np.array_equal(a, b[y : y + a.shape[0], x : x + a.shape[1]])
    assert planes.around(frame, (9, 5, 127, 96))[2:] == ((128, 96) if "444" not in pix_fmt else (127, 96))
    assert planes.cropped(frame, (8, 4, 41, 91)) is None  # so small that a pixel matters
    assert planes.cropped(av.VideoFrame(128, 96, "rgb24"), (0, 0, 80, 80)) is None


@pytest.mark.parametrize("size", [(150, 90), (75, 45)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
def test_a_crop_begins_where_it_says_it_does(pix_fmt, size, tmp_path, footage):
    """Also between two chroma samples: cut and done the same as out of the whole picture in colour."""
    path = footage.make_video(tmp_path / "a.mp4", frames=2, size=(192, 108), pix_fmt=pix_fmt)
    with open_video(path, probe(path)) as reader:
        frame = next(reader.frames())
    whole = frame.rgb(192, 108)
    for x, y in ((8, 4), (9, 4), (8, 5), (9, 5)):
        cut = still_frame(np.ascontiguousarray(whole[y : y + 90, x : x + 150])).rgb(*size)
        assert psnr(frame.rgb(*size, crop=(x, y, 150, 90)), cut) >= 44, (x, y)


def test_a_picture_outlives_its_frame():
    """Planes share the decoder's memory; what is handed out must not change when the frame is reused."""
    frame = frame_of("yuvj444p", [np.full((48, 64), 77, np.uint8)] * 3)
    gray = Frame(frame, Converter(Shape(width=64, height=48)), 0, 1).gray(64, 48)
    planes.views(frame)[0][0][:] = 5
    assert (gray == 77).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("size", [(1080, 1920), (721, 1281), (2, 3)])
def test_halves_made_part_by_part_are_those_of_the_whole(size, kind, monkeypatch):
    plane = np.random.default_rng(7).integers(0, np.iinfo(kind).max, size, kind, endpoint=True)
    even = plane[: size[0] // 2 * 2, : size[1] // 2 * 2]
    whole = cv2.resize(even, (size[1] // 2, size[0] // 2), interpolation=cv2.INTER_AREA)
    for near in (1, 10_000, 1 << 30):
        monkeypatch.setattr(planes, "NEAR", near)
        assert np.array_equal(planes._halved(plane), whole)


def test_limited_luma_is_stretched_to_the_nearest_level():
    codes = np.arange(256, dtype=np.uint8)
    wanted = np.rint(np.clip((codes - 16.0) * (255 / 219), 0, 255))
    assert np.array_equal(planes.gray([codes.reshape(16, 16)], 8, (16, 16), limited=True).ravel(), wanted)
    assert np.array_equal(planes.gray([codes.reshape(16, 16)], 8, (16, 16), limited=False).ravel(), codes)
