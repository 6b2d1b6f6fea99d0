"""Where chroma samples lie: colour stays beside the luma it belongs to, cropped or not, in every kind of stream."""

import numpy as np
import pytest

from wanprep.media import planes
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.write import psnr

SIZE = (256, 144)
CROP = (64, 32, 160, 96)  # x, y, width, height
SCALE = "scale=256:144:flags=lanczos+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
COLOUR = "in_color_matrix=bt601:out_color_matrix=bt601:in_range=tv:out_range=pc"


def chequered(number: int, width: int, height: int) -> np.ndarray:
    """Edges in colour alone, upright ones mostly: what half a pixel of shift shows on."""
    x = (np.arange(width) + 3 * number) // 12 % 2
    y = np.arange(height)[:, None] // 24 % 2
    red = 40 + 160 * (x ^ y)
    blue = 220 - 170 * x + 0 * y
    return np.stack([red, np.full_like(red, 90), blue], axis=-1).astype(np.uint8)


def shown(path, **how) -> np.ndarray:
    with open_video(path, probe(path)) as reader:
        frames = reader.frames()
        next(frames)
        return next(frames).rgb(*((CROP[2:]) if how else SIZE), **how)


def by_ffmpeg(path, tmp_path, footage, place: str) -> np.ndarray:
    """The second picture by the ffmpeg program, told where the chroma samples lie."""
    raw = tmp_path / f"{place}.rgb"
    chain = f"select=eq(n\\,1),{SCALE}:{COLOUR}:in_chroma_loc={place},format=gbrp"
    footage.run_ffmpeg("-i", path, "-vf", chain, "-frames:v", "1", "-f", "rawvideo", raw)
    green, blue, red = np.frombuffer(raw.read_bytes(), np.uint8).reshape(3, *SIZE[::-1])
    return np.stack([red, green, blue], axis=-1)


CODECS = {
    "libx264": ("a.mp4", "left"),
    "mpeg2video": ("a.ts", "left"),
    "mpeg4": ("a.avi", "left"),
    "mpeg1video": ("a.mpg", "center"),
}


@pytest.mark.parametrize("codec", CODECS)
def test_colour_lies_where_the_codec_says(codec, tmp_path, footage):
    name, place = CODECS[codec]
    options = {"crf": "4"} if codec == "libx264" else {"b": "20M"}
    path = footage.make_video(
        tmp_path / name, frames=4, rate=25, size=SIZE, codec=codec, options=options, picture=chequered, matrix=5
    )
    right, wrong = (by_ffmpeg(path, tmp_path, footage, p) for p in (place, {"left": "center", "center": "left"}[place]))
    whole = shown(path)
    assert psnr(whole, right) >= 50
    assert psnr(whole, wrong) < 40  # or else this test could not fail
    x, y, w, h = CROP
    part = shown(path, crop=CROP)
    inner = np.s_[4:-4, 4:-4]
    inside = [picture[y : y + h, x : x + w][inner] for picture in (right, wrong)]
    assert psnr(np.ascontiguousarray(part[inner]), np.ascontiguousarray(inside[0])) >= 50
    assert psnr(np.ascontiguousarray(part[inner]), np.ascontiguousarray(inside[1])) < 40


def test_a_crop_shares_the_memory_and_the_colour_of_its_picture(tmp_path, footage):
    path = footage.make_video(tmp_path / "a.mp4", frames=3, size=SIZE, matrix=1, colour_range=2)
    with open_video(path, probe(path)) as reader:
        frame = next(reader.frames())._frame
    part = planes.cropped(frame, (64, 32, 224, 128))
    assert part is not None
    assert (part.width, part.height, part.pts) == (160, 96, frame.pts)
    assert (part.colorspace, part.color_range) == (frame.colorspace, frame.color_range)
    theirs, ours = (found[0][0] for f in (frame, part) if (found := planes.views(f)))
    assert np.shares_memory(theirs, ours) or theirs[32:128, 64:224].ctypes.data == ours.ctypes.data
    assert (theirs[32:128, 64:224] == ours).all()
