"""What a container cuts off the picture, against the ffmpeg program, which cuts it off, too."""

import struct

import numpy as np
import pytest

from wanprep.media.aperture import margins
from wanprep.media.container import open_container
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.write import psnr

CODED, SHOWN = (208, 128), (192, 108)
LEFT, TOP = 4, 6  # right 12, bottom 14


def bordered(number, width, height, footage):
    if (width, height) != CODED:
        return footage.numbered(number, width, height)
    picture = np.full((height, width, 3), (200, 40, 40), np.uint8)
    picture[TOP : TOP + SHOWN[1], LEFT : LEFT + SHOWN[0]] = footage.numbered(number, *SHOWN)
    return picture


def make(path, footage, **more):
    pictures = {"picture": lambda number, w, h: bordered(number, w, h, footage)}
    return footage.make_video(path, frames=6, rate=25, size=CODED, pix_fmt="yuv444p", **pictures, **more)


def with_clean_aperture(path, size, offset, footage):
    data = bytearray(path.read_bytes())
    box = struct.pack(">I4s4IiIiI", 40, b"clap", size[0], 1, size[1], 1, *offset)
    footage.grow_box(data, (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1"), box)
    path.write_bytes(data)
    return path


def with_pixel_crop(path, left, top, right, bottom, footage):
    data = bytearray(path.read_bytes())
    crops = ((0x54CC, left), (0x54BB, top), (0x54DD, right), (0x54AA, bottom))
    box = b"".join(struct.pack(">HBH", name, 0x82, value) for name, value in crops)
    footage.grow_element(data, [0x18538067, 0x1654AE6B, 0xAE, 0xE0], box)
    path.write_bytes(data)
    return path


def check(path, footage):
    found = probe(path)
    assert found.margins == (LEFT, TOP, CODED[0] - SHOWN[0] - LEFT, CODED[1] - SHOWN[1] - TOP)
    assert (found.width, found.height) == SHOWN
    with open_video(path, found) as reader:
        frames = list(reader.frames())
    assert [footage.read_number(f.rgb(*SHOWN)) for f in frames] == list(range(6))
    for number in (0, 5):
        assert psnr(frames[number].rgb(*SHOWN), footage.numbered(number)) >= 36
    small = frames[3].bgr(96, 54)[..., ::-1].astype(int)
    assert np.abs(small - frames[3].rgb(96, 54)).mean() < 3
    assert frames[3].gray(96, 54).shape == (54, 96)
    part = frames[2].rgb(96, 54, crop=(96, 0, 96, 54))
    assert (part == frames[2].rgb(*SHOWN)[:54, 96:]).all()


@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_a_clean_aperture(suffix, tmp_path, footage):
    path = make(tmp_path / f"a.{suffix}", footage)
    assert probe(path).margins == (0, 0, 0, 0)
    check(with_clean_aperture(path, SHOWN, (-4, 1, -4, 1), footage), footage)


def test_an_aperture_that_leaves_the_picture_is_nonsense(tmp_path, footage):
    path = with_clean_aperture(make(tmp_path / "a.mp4", footage), (400, 108), (0, 1, 0, 1), footage)
    assert probe(path).margins == (0, 0, 0, 0)
    path = with_clean_aperture(make(tmp_path / "b.mp4", footage), (192, 108), (0, 0, 0, 0), footage)
    assert probe(path).margins == (0, 0, 0, 0)


def test_a_matroska_crop(tmp_path, footage):
    path = make(tmp_path / "a.mkv", footage)
    assert probe(path).margins == (0, 0, 0, 0)
    check(with_pixel_crop(path, LEFT, TOP, 12, 14, footage), footage)


def test_turned_after_cutting(tmp_path, footage):
    path = make(tmp_path / "a.mp4", footage, rotation=90)
    found = probe(with_clean_aperture(path, SHOWN, (-4, 1, -4, 1), footage))
    assert (found.width, found.height) == SHOWN[::-1]
    with open_video(path, found) as reader:
        upright = np.rot90(next(reader.frames()).rgb(*SHOWN[::-1]))
    assert psnr(upright, footage.numbered(0)) >= 36


def test_of_the_right_stream(tmp_path, footage):
    path = with_clean_aperture(make(tmp_path / "a.mp4", footage, second=(96, 64)), SHOWN, (-4, 1, -4, 1), footage)
    with open_container(path) as container:
        found = [margins(path, container, stream) for stream in container.streams.video]
    assert found == [(4, 6, 12, 14), (0, 0, 0, 0)]
