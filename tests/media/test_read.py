"""Frames as they are shown: timestamps, spans, geometry and colour, with the ffmpeg program as second opinion."""

import itertools
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from wanprep.media.container import open_container
from wanprep.media.decoder import AHEAD, decoder
from wanprep.media.pixels import Shape, decoded_box
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.write import psnr


def read(path, **kwargs):
    found = probe(path)
    with open_video(path, found, **kwargs) as reader:
        frames = list(reader.frames())
    return found, reader, frames


def numbers(frames, footage, size=(192, 108)):
    return [footage.read_number(f.rgb(*size)) for f in frames]


# -- colour and geometry ------------------------------------------------------------------------------------------

COLOURS: dict[str, tuple[dict[str, Any], str]] = {
    "unspecified_small_is_601": ({"matrix": 2}, ":in_color_matrix=bt601:in_range=tv"),
    "bt601": ({"matrix": 6}, ":in_color_matrix=bt601:in_range=tv"),
    "bt709": ({"matrix": 1}, ":in_color_matrix=bt709:in_range=tv"),
    "full_range": ({"matrix": 1, "colour_range": 2}, ":in_color_matrix=bt709:in_range=pc"),
    "yuvj": ({"matrix": 6, "pix_fmt": "yuvj420p", "colour_range": 2}, ":in_color_matrix=bt601:in_range=pc"),
    "ten_bits": ({"matrix": 1, "pix_fmt": "yuv420p10le"}, ":in_color_matrix=bt709:in_range=tv"),
    "four_four_four": ({"matrix": 1, "pix_fmt": "yuv444p"}, ":in_color_matrix=bt709:in_range=tv"),
}


@pytest.mark.parametrize("name", COLOURS)
def test_colours_are_right(name, tmp_path, footage):
    settings, scale = COLOURS[name]
    path = footage.make_video(tmp_path / "a.mp4", frames=4, size=(256, 144), **settings)
    _, _, frames = read(path)
    mine = frames[2].rgb(256, 144)
    assert psnr(mine, footage.numbered(2, 256, 144)) > 28  # chroma subsampling blurs the block edges
    assert psnr(mine, footage.render(path, 2, (256, 144), scale)) >= 40
    half = frames[2].rgb(128, 72)
    assert psnr(half, footage.render(path, 2, (128, 72), scale)) >= 40
    # Negative control: the other matrix or range is clearly another picture.
    wrong = scale.replace("bt709", "X").replace("bt601", "bt709").replace("X", "bt601")
    assert psnr(mine, footage.render(path, 2, (256, 144), wrong)) < 36


def test_unspecified_large_is_709(tmp_path, footage):
    path = footage.make_video(tmp_path / "a.mp4", frames=2, size=(1280, 544))
    _, _, frames = read(path)
    mine = frames[0].rgb(320, 136)
    assert psnr(mine, footage.render(path, 0, (320, 136), ":in_color_matrix=bt709:in_range=tv")) >= 40
    assert psnr(mine, footage.render(path, 0, (320, 136), ":in_color_matrix=bt601:in_range=tv")) < 36


@pytest.mark.parametrize(("rotation", "hflip"), [(90, False), (180, False), (270, False), (0, True), (90, True)])
def test_rotation_and_mirroring(rotation, hflip, tmp_path, footage):
    path = footage.make_video(tmp_path / "r.mp4", frames=3, size=(160, 96), rotation=rotation, hflip=hflip)
    found, _, frames = read(path)
    mine = frames[1].rgb(found.width, found.height)
    truth = footage.render(path, 1, (found.width, found.height), ":in_color_matrix=bt601:in_range=tv")
    assert psnr(mine, truth) >= 40
    assert psnr(mine[:, ::-1], truth) < 25
    crop = (10, 20, 40, 30)
    assert psnr(frames[1].rgb(40, 30, crop), truth[20:50, 10:50]) >= 38
    luma = np.rint(truth @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    assert psnr(frames[1].gray(found.width, found.height), luma) > 40


def test_pixels_are_made_square(tmp_path, footage):
    path = footage.make_video(tmp_path / "s.mp4", frames=2, size=(180, 144), sar=Fraction(8, 9), matrix=6)
    found, _, frames = read(path)
    assert (found.width, found.height) == (160, 144)
    scale = ":in_color_matrix=bt601:in_range=tv"
    assert psnr(frames[1].rgb(160, 144), footage.render(path, 1, (160, 144), scale)) >= 40
    # A crop that falls on whole decoded pixels: 80 shown columns are 90 decoded ones.
    right = footage.render(path, 1, (80, 144), scale, before=",crop=90:144:90:0")
    assert psnr(frames[1].rgb(80, 144, crop=(80, 0, 80, 144)), right) >= 38


def test_odd_sizes(tmp_path, footage):
    path = footage.make_video(tmp_path / "odd.mkv", frames=3, size=(161, 91), codec="ffv1", options={}, matrix=6)
    _, _, frames = read(path)
    assert numbers(frames, footage, (161, 91)) == [0, 1, 2]
    assert frames[0].rgb(161, 91).shape == (91, 161, 3)
    assert frames[0].rgb(53, 37, crop=(3, 5, 151, 81)).shape == (37, 53, 3)


def test_bgr_and_gray_agree_with_rgb(tmp_path, footage):
    _, _, frames = read(footage.make_video(tmp_path / "a.mp4", frames=1, matrix=6))
    rgb, bgr, gray = frames[0].rgb(96, 54), frames[0].bgr(96, 54), frames[0].gray(96, 54)
    assert psnr(bgr[..., ::-1], rgb) > 30
    assert np.abs(rgb @ np.array([0.299, 0.587, 0.114]) - gray).mean() < 2
    assert bgr.flags.c_contiguous
    assert gray.dtype == np.uint8
    assert gray.min() < 30  # limited range stretched to full
    assert np.abs(gray.astype(int) - frames[0].gray(96, 54, crop=(0, 0, 192, 108))).mean() < 2


def test_full_range_white_and_black(tmp_path, footage):
    def flat(number, width, height):
        return np.full((height, width, 3), 255 * (number % 2), np.uint8)

    for settings in ({"colour_range": 1}, {"colour_range": 2}):
        path = footage.make_video(tmp_path / "f.mp4", frames=2, picture=flat, matrix=1, **settings)
        _, _, frames = read(path)
        assert (frames[0].rgb(64, 36).max(), frames[1].rgb(64, 36).min()) == (0, 255)
        assert (frames[0].gray(64, 36).max(), frames[1].gray(64, 36).min()) == (0, 255)


def test_a_crop_outside_the_picture_is_an_error(tmp_path, footage):
    _, _, frames = read(footage.make_video(tmp_path / "a.mp4", frames=1))
    for crop in [(-1, 0, 10, 10), (0, 0, 193, 10), (100, 100, 10, 10), (0, 0, 0, 10)]:
        with pytest.raises(ValueError, match="leaves the picture"):
            frames[0].rgb(16, 16, crop)


def test_crops_cover_the_decoded_picture_under_every_rotation():
    for rotation, mirrored in itertools.product((0, 90, 180, 270), (False, True)):
        size = (90, 160) if rotation % 180 else (160, 90)
        shape = Shape(width=size[0], height=size[1], rotation=rotation, mirrored=mirrored)
        assert decoded_box((0, 0, *size), shape, 160, 90) == (0, 0, 160, 90)
        x0, y0, x1, y1 = decoded_box((0, 0, 10, 20), shape, 160, 90)
        assert (x1 - x0) * (y1 - y0) == 200


def test_alpha_lies_on_black(tmp_path, footage):
    path = footage.make_with_ffmpeg(tmp_path / "a.mov", "color=white@0.5:s=64x48:d=0.2,format=rgba", "-c:v", "qtrle")
    _, _, frames = read(path)
    assert np.abs(frames[0].rgb(64, 48).astype(int) - 128).max() <= 2
    assert np.abs(frames[0].gray(32, 24).astype(int) - 128).max() <= 2


@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_tone_mapped(transfer, tmp_path, footage):
    def ramp(number, width, height):
        return np.repeat(np.linspace(0, 255, width).round().astype(np.uint8)[None, :, None], height, 0).repeat(3, 2)

    path = footage.make_video(
        tmp_path / "h.mp4", frames=1, pix_fmt="yuv420p10le", matrix=9, primaries=9, transfer=transfer, picture=ramp
    )
    _, _, frames = read(path)
    row = frames[0].rgb(192, 108)[50].astype(int)
    assert (np.diff(row[4:-4].mean(axis=1)) >= -1).all()  # brighter stays brighter
    assert row[:3].max() <= 3
    assert row[-3:].min() >= 250
    assert np.ptp(row, axis=1).max() <= 6  # gray stays gray
    plain = read(footage.make_video(tmp_path / "p.mp4", frames=1, matrix=1, picture=ramp))[2][0].rgb(192, 108)
    likeness = psnr(frames[0].rgb(192, 108), plain)
    assert likeness < 30 if transfer == 16 else 30 < likeness < 45  # gray HLG is made to look about right as it is


def test_interlaced_lines_are_woven_away(tmp_path, footage):
    arguments = ["-c:v", "mpeg2video", "-qscale:v", "2", "-flags", "+ildct+ilme"]
    source = "testsrc=s=192x144:r=50:d=1,scroll=horizontal=0.03"
    combed = footage.make_with_ffmpeg(tmp_path / "i.mpg", source, "-vf", "interlace=lowpass=off", *arguments)
    found, _, frames = read(combed)
    assert len(frames) == 25
    assert all(b.pts > a.pts for a, b in itertools.pairwise(frames))
    steps = {round((b.pts - a.pts) * found.time_base * 1000) for a, b in itertools.pairwise(frames)}
    assert steps == {40}

    def comb(pictures):  # difference of neighbouring lines beyond that of lines two apart
        return np.mean([np.abs(np.diff(p, axis=0)).mean() - np.abs(p[2:] - p[:-2]).mean() for p in pictures])

    mine = comb([f.gray(192, 144).astype(float) for f in frames[2:20]])
    raw = comb([footage.render(combed, n, (192, 144))[..., 1].astype(float) for n in range(2, 20, 4)])
    assert raw > 5  # negative control: as stored, moving edges are combs
    assert mine < raw / 2


# -- time ---------------------------------------------------------------------------------------------------------


OPEN_GOP = {"preset": "ultrafast", "x265-params": "open-gop=1:keyint=12:bframes=3:log-level=none"}


@pytest.mark.parametrize(("name", "codec", "options"), [
    ("a.mp4", "libx264", None),
    ("a.mkv", "libx264", None),
    ("a.ts", "libx264", None),
    ("a.avi", "mpeg4", {"qscale": "3", "bf": "2"}),
    ("a.webm", "libvpx", {"deadline": "realtime", "b": "1M"}),
    ("open_gop.mp4", "libx265", OPEN_GOP),
])  # fmt: skip
def test_any_span_is_exact(name, codec, options, tmp_path, footage):
    path = footage.make_video(tmp_path / name, frames=60, rate=25, codec=codec, options=options)
    found, reader, frames = read(path)
    pts = [f.pts for f in frames]
    assert numbers(frames, footage) == list(range(60))
    assert reader.dropped == 0
    assert found.start_pts == pts[0]
    generator = np.random.default_rng(3)
    with open_video(path, found) as reader:
        for _ in range(12):
            a, b = sorted(generator.choice(61, 2, replace=False))
            end = pts[b] if b < 60 else None
            late = int(generator.integers(2)) if found.time_base < Fraction(1, 100) else 0
            got = list(reader.frames(pts[a] - late, end))
            assert numbers(got, footage) == list(range(a, b))
            assert [f.pts for f in got] == pts[a:b]


def test_spans_without_trustworthy_keyframes_are_decoded_from_the_start(tmp_path, footage):
    options = {"preset": "ultrafast", "crf": "4", "x264-params": "intra-refresh=1:keyint=30:bframes=0"}
    path = footage.make_video(tmp_path / "refresh.mp4", frames=70, rate=25, options=options)
    found, _, frames = read(path)
    with open_video(path, found) as reader:
        got = list(reader.frames(frames[50].pts, frames[60].pts))
    assert numbers(got, footage) == list(range(50, 60))


def test_times_that_do_not_begin_at_zero(tmp_path, footage):
    path = footage.make_video(
        tmp_path / "late.mkv", pts=[5000 + 40 * k for k in range(12)], time_base=Fraction(1, 1000)
    )
    found, _, frames = read(path)
    assert found.start_pts == 5000
    assert [f.pts for f in frames] == [5000 + 40 * k for k in range(12)]
    assert [f.duration for f in frames[:-1]] == [40] * 11


def test_durations_are_the_distance_to_the_next_frame(tmp_path, footage):
    pts = [0, 33, 100, 110, 400]
    path = footage.make_video(tmp_path / "v.mkv", pts=pts, time_base=Fraction(1, 1000), rate=25)
    _, _, frames = read(path)
    assert [f.duration for f in frames[:-1]] == [33, 67, 10, 290]
    assert frames[-1].duration >= 1


def test_empty_spans_and_spans_past_the_end(tmp_path, footage):
    path = footage.make_video(tmp_path / "a.mp4", frames=10)
    with open_video(path, probe(path)) as reader:
        assert list(reader.frames(10**9, None)) == []
        assert list(reader.frames(5, 5)) == []
        assert len(list(reader.frames(None, 1))) == 1


def test_threads_change_nothing(tmp_path, footage):
    path = footage.make_video(tmp_path / "a.mp4", frames=30)
    one, many = read(path)[2], read(path, threads=3)[2]
    assert [f.pts for f in one] == [f.pts for f in many]
    assert all((a.rgb(96, 54) == b.rgb(96, 54)).all() for a, b in zip(one, many, strict=True))
    with pytest.raises(ValueError, match="threads"):
        open_video(path, probe(path), threads=0)


@pytest.mark.parametrize(
    ("threads", "drains", "used"), [(1, True, 1), (1, False, 1), (3, False, 3), (3, True, 3 + AHEAD)]
)
def test_more_threads_only_where_pictures_may_be_held_back(threads, drains, used, tmp_path, footage):
    with open_container(footage.make_video(tmp_path / "a.mp4", frames=2)) as container:
        assert decoder(container.streams.video[0], threads=threads, drains=drains).thread_count == used


def test_leaving_early_closes_the_file(tmp_path, footage):
    path = footage.make_video(tmp_path / "a.mp4", frames=60)
    for threads in (1, 3):
        with open_video(path, probe(path), threads=threads) as reader:
            frames = reader.frames()
            first = next(frames)
            assert len(reader._containers) == 1
        assert reader._containers == []
        frames.close()
        assert footage.read_number(first.rgb(192, 108)) == 0  # a frame outlives its reader
