"""Odd media: fields, transparency, animations, unusual pixels, cut files; each against an independent rendering."""

import io
import itertools
import random
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from wanprep.media import probe as probes
from wanprep.media.interlace import field_order, verdict
from wanprep.media.probe import probe, unsupported_colour
from wanprep.media.read import open_video
from wanprep.media.write import psnr
from wanprep.stage import Reject

AS_601 = ":in_color_matrix=bt601:in_range=tv"


def read(path):
    found = probe(path)
    with open_video(path, found) as reader:
        return found, reader, list(reader.frames())


@pytest.fixture(scope="module")
def plain(tmp_path_factory, footage):
    return footage.make_video(tmp_path_factory.mktemp("plain") / "plain.mp4", frames=6, rate=25, size=(96, 54))


# -- pixels --------------------------------------------------------------------------------------------------------

# name -> (ffmpeg's encoder options, scaler options for the rendering, expected bit depth)
PIXELS = {
    "prores422.mov": (("-c:v", "prores_ks"), AS_601, 10),
    "422p10.mp4": (("-c:v", "libx264", "-crf", "4", "-pix_fmt", "yuv422p10le"), AS_601, 10),
    "444.mp4": (("-c:v", "libx264", "-crf", "4", "-pix_fmt", "yuv444p"), AS_601, 8),
    "12bit.mkv": (("-c:v", "libx265", "-pix_fmt", "yuv420p12le", "-x265-params", "log-level=none"), AS_601, 12),
    "411.avi": (("-c:v", "ffv1", "-pix_fmt", "yuv411p"), AS_601, 8),
    "uyvy.avi": (("-c:v", "rawvideo", "-pix_fmt", "yuyv422"), AS_601, 8),
    "v210.mov": (("-c:v", "v210", "-pix_fmt", "yuv422p10le"), AS_601, 10),
    "odd.mkv": (("-vf", "scale=97:55", "-c:v", "ffv1", "-pix_fmt", "yuv420p"), AS_601, 8),
    "vp9.webm": (("-c:v", "libvpx-vp9", "-crf", "4", "-b:v", "0", "-cpu-used", "8"), AS_601, 8),
    "av1.webm": (("-c:v", "libsvtav1", "-crf", "10", "-svtav1-params", "lp=1"), AS_601, 8),
    "png.mov": (("-c:v", "png"), "", 8),
    "png48.mov": (("-c:v", "png", "-pix_fmt", "rgb48be"), "", 16),
    "palette.mov": (("-c:v", "png", "-pix_fmt", "pal8"), "", 8),
    "rgb.mkv": (("-c:v", "ffv1", "-pix_fmt", "gbrp10le"), "", 10),
    "rgb.avi": (("-c:v", "utvideo", "-pix_fmt", "gbrp"), "", 8),
    "bgr.avi": (("-c:v", "rawvideo", "-pix_fmt", "bgr24"), "", 8),
    "x264rgb.mkv": (("-c:v", "libx264rgb", "-crf", "4"), "", 8),
    "gray.mp4": (("-c:v", "libx264", "-crf", "4", "-pix_fmt", "gray"), "", 8),
    "gray.avi": (("-c:v", "ffv1", "-pix_fmt", "gray"), "", 8),
    "gray10.mkv": (("-c:v", "ffv1", "-pix_fmt", "gray10le"), "", 10),
}


@pytest.mark.parametrize("name", PIXELS)
def test_pixels_of_every_kind(name, plain, tmp_path, footage):
    options, scale, depth = PIXELS[name]
    path = footage.run_ffmpeg("-i", plain, *options, tmp_path / name)
    found, _, frames = read(path)
    size = (found.width, found.height)
    base, pts, truth = footage.rendered(path, size, scale)
    assert ([f.pts for f in frames], found.time_base) == (pts, base)
    worst = min(psnr(f.rgb(*size), t) for f, t in zip(frames, truth, strict=True))
    assert worst >= 40
    assert psnr(frames[4].rgb(*size), truth[1]) < 35  # negative control
    assert found.bit_depth == depth
    gray = frames[0].gray(*size).astype(float)  # the detectors see the same picture
    luma = truth[0] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray - luma).mean() < 2.5


def test_colours_nobody_can_show_are_refused(monkeypatch):
    monkeypatch.setattr(probes, "side_data", lambda frame: frame.side_data)

    def frame(colorspace=2, color_trc=2, **side):
        return SimpleNamespace(colorspace=colorspace, color_trc=color_trc, side_data=side)

    assert unsupported_colour(frame()) == ""
    assert unsupported_colour(frame(color_trc=16, DOVI_METADATA=b"x")) == ""  # profile 8: HDR10 without it
    assert "Dolby Vision" in unsupported_colour(frame(DOVI_METADATA=b"x"))
    assert unsupported_colour(frame(colorspace=8)) == "YCgCo"


# -- transparency --------------------------------------------------------------------------------------------------


def see_through(number, footage, width=96, height=54):
    """RGBA: the lower left quarter is not there, the lower right one is half there."""
    alpha = np.full((height, width, 1), 255, np.uint8)
    alpha[height // 2 :, : width // 2] = 0
    alpha[height // 2 :, width // 2 :] = 128
    return np.concatenate([footage.numbered(number, width, height), alpha], axis=2)


def on_black(rgba):
    return (rgba[..., :3].astype(int) * rgba[..., 3:] / 255).round().astype(np.uint8)


TRANSPARENT = {
    "a.webm": ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-crf", "4", "-b:v", "0"),
    "a8.webm": ("-c:v", "libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", "-crf", "4", "-b:v", "4M"),
    "prores4444.mov": ("-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"),
    "qtrle.mov": ("-c:v", "qtrle"),
    "png.mov": ("-c:v", "png"),
    "ffv1.mkv": ("-c:v", "ffv1", "-pix_fmt", "yuva444p"),
    "apng.png": ("-plays", "0", "-f", "apng"),
    "anim.webp": ("-c:v", "libwebp_anim", "-lossless", "1"),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_what_shines_through_is_black(name, tmp_path, footage):
    pictures = [see_through(n, footage) for n in range(6)]
    for number, rgba in enumerate(pictures):
        Image.fromarray(rgba).save(tmp_path / f"{number}.png")
    path = footage.run_ffmpeg("-framerate", "25", "-i", tmp_path / "%d.png", *TRANSPARENT[name], tmp_path / name)
    found, _, frames = read(path)
    assert found.alpha
    assert found.kind == "video"
    assert [(f.pts - frames[0].pts) * found.time_base for f in frames] == [Fraction(k, 25) for k in range(6)]
    for frame, rgba in zip(frames, pictures, strict=True):
        shown = frame.rgb(96, 54)
        assert psnr(shown, on_black(rgba)) > (28 if name.endswith(".webm") else 40)  # 4:2:0 blurs the block edges
        assert shown[40:, :44].max() <= 12
        assert psnr(shown, np.ascontiguousarray(rgba[..., :3])) < 20  # negative control
    with open_video(path, found) as reader:
        late = list(reader.frames(frames[2].pts, frames[4].pts))
    assert [(f.pts, f.rgb(96, 54).tobytes()) for f in late] == [(f.pts, f.rgb(96, 54).tobytes()) for f in frames[2:4]]


# -- animations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_animations_have_true_times(name, tmp_path, footage):
    lengths = [40, 70, 500, 5, 40]
    images = [Image.fromarray(footage.numbered(n, 96, 54)) for n in range(5)]
    more: dict = {"lossless": True} if name == "a.webp" else {}
    images[0].save(tmp_path / name, save_all=True, append_images=images[1:], duration=lengths, **more)
    found, _, frames = read(tmp_path / name)
    assert [footage.read_number(f.rgb(96, 54)) for f in frames] == list(range(5))
    assert [f.pts * found.time_base * 1000 for f in frames] == [0, 40, 110, 610, 710]  # 5 ms: 100, as in browsers
    assert frames[-1].duration * found.time_base * 1000 == 40
    with open_video(tmp_path / name, found) as reader:
        assert [footage.read_number(f.rgb(96, 54)) for f in reader.frames(40_000, 610_000)] == [1, 2]


def test_an_animation_cut_off_keeps_its_good_part(tmp_path, footage):
    images = [Image.fromarray(footage.numbered(n, 96, 54)) for n in range(8)]
    data = io.BytesIO()
    images[0].save(data, "PNG", save_all=True, append_images=images[1:], duration=40)
    (tmp_path / "cut.png").write_bytes(data.getvalue()[: len(data.getvalue()) * 6 // 10])
    _, reader, frames = read(tmp_path / "cut.png")
    assert 3 <= len(frames) < 8
    assert reader.truncated
    assert [footage.read_number(f.rgb(96, 54)) for f in frames] == list(range(len(frames)))


def test_a_picture_that_only_looks_like_an_animation_is_a_still(tmp_path, footage):
    image = Image.fromarray(footage.numbered(3, 96, 54))
    for name in ("still.png", "still.webp"):
        image.save(tmp_path / name)
        assert probe(tmp_path / name).kind == "image"


# -- fields --------------------------------------------------------------------------------------------------------


def woven(path, order, flagged, footage):
    """720x576, 25 frames a second made of the fields of 50 pictures a second."""

    def moving(number, width, height):
        return np.roll(footage.numbered(0, width, height), number * 9, axis=1)

    lossless = {"codec": "ffv1", "options": {}, "size": (720, 576), "picture": moving}
    source = footage.make_video(path.with_suffix(".50.mkv"), frames=32, rate=50, **lossless)
    first = "top" if order == "tff" else "bottom"
    flags = ("-flags", "+ildct+ilme", "-x264opts", f"{order}=1") if flagged else ()
    weave = f"tinterlace=interleave_{first},setfield={order if flagged else 'prog'}"
    coder = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "6", "-pix_fmt", "yuv420p", "-g", "8")
    return footage.run_ffmpeg("-i", source, "-vf", weave, *coder, *flags, path)


@pytest.mark.parametrize("flagged", [True, False])
@pytest.mark.parametrize("order", ["tff", "bff"])
def test_fields_become_whole_pictures_flagged_or_not(order, flagged, tmp_path, footage):
    path = woven(tmp_path / "i.mp4", order, flagged, footage)
    found, _, frames = read(path)
    assert (found.interlaced, found.fields) == (flagged, "" if flagged else order)
    assert {round((b.pts - a.pts) * found.time_base * 1000) for a, b in itertools.pairwise(frames)} == {40}
    before = f",setfield={order},bwdif=mode=send_frame:deint=all"
    _, pts, truth = footage.rendered(path, (720, 576), AS_601, before)
    assert [f.pts for f in frames] == pts
    assert min(psnr(f.rgb(720, 576), t) for f, t in zip(frames, truth, strict=True)) >= 40
    wrong = footage.rendered(path, (720, 576), AS_601)[2]
    assert psnr(frames[8].rgb(720, 576), wrong[8]) < 36  # negative control: as stored
    with open_video(path, found) as reader:
        assert [f.pts for f in reader.frames(frames[9].pts, frames[12].pts)] == pts[9:12]


def test_whole_pictures_are_not_taken_for_fields():
    noise = np.random.default_rng(4).integers(0, 255, (96, 500)).astype(float)
    smooth = np.mean([np.roll(noise, (j, k), axis=(0, 1)) for j in range(6) for k in range(24)], axis=0)
    texture = ((smooth - smooth.min()) / np.ptp(smooth) * 255).astype(np.uint8)
    fields = [texture[:, 3 * k : 3 * k + 160] for k in range(40)]
    assert verdict(field_order(fields)) == ""
    assert verdict(field_order(fields[:1] * 8)) == ""  # nothing moves: nothing is claimed
    for order, first in (("tff", 0), ("bff", 1)):
        frames = []
        for k in range(0, 40, 2):
            frame = fields[k].copy()
            frame[1 - first :: 2] = fields[k + 1][1 - first :: 2]
            frames.append(frame)
        assert verdict(field_order(frames)) == order
        assert verdict(field_order(frames[:6])) == ""  # too little to go by
        random.Random(4).shuffle(frames)
        assert verdict(field_order(frames)) == ""


def test_small_progressive_files_are_not_looked_into(tmp_path, footage, monkeypatch):
    monkeypatch.setattr("wanprep.media.interlace.unflagged_fields", lambda *_: pytest.fail("cost a decode"))
    probe(footage.make_video(tmp_path / "a.mp4", frames=3, rate=25))
    probe(footage.make_video(tmp_path / "b.mp4", frames=3, rate=16, size=(64, 480)))  # as our own files have it


# -- files that end too early --------------------------------------------------------------------------------------

CUTS = {
    "a.ts": ("-c", "copy"), "a.mkv": ("-c", "copy"), "h264.avi": ("-c", "copy"), "a.flv": ("-c", "copy"),
    "frag.mp4": ("-c", "copy", "-movflags", "frag_keyframe+empty_moov"), "a.webm": ("-c:v", "libvpx", "-b:v", "1M"),
    "b.avi": ("-c:v", "mpeg4", "-q:v", "2", "-bf", "2"), "j.avi": ("-c:v", "mjpeg", "-q:v", "2"),
    "a.mpg": ("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2"), "a.wmv": ("-c:v", "wmv2", "-q:v", "2"),
    "a.ogv": ("-c:v", "libtheora", "-q:v", "9"), "a.mxf": ("-c:v", "mpeg2video", "-q:v", "2", "-r", "25"),
    "a.gif": (), "a.rm": ("-c:v", "rv20", "-q:v", "2"),
}  # fmt: skip


@pytest.mark.parametrize("name", CUTS)
def test_cut_files_say_so_and_end_in_a_right_picture(name, tmp_path, footage):
    source = footage.make_video(tmp_path / "s.mp4", frames=60, rate=25)
    whole = footage.run_ffmpeg("-i", source, *CUTS[name], tmp_path / name)
    _, complete, good = read(whole)
    assert complete.truncated == ""
    right = {f.pts: f.rgb(96, 54) for f in good}
    data = whole.read_bytes()
    for share in (0.55, 0.61, 0.8):
        cut = tmp_path / f"cut-{name}"
        cut.write_bytes(data[: int(len(data) * share)])
        found, reader, frames = read(cut)
        assert 10 < len(frames) < 60
        assert reader.truncated
        base = frames[0].pts - good[0].pts  # MXF counts from another frame without its index
        assert all(psnr(f.rgb(96, 54), right[f.pts - base]) > 60 for f in frames)
        with open_video(cut, found, threads=3) as several:
            assert [f.pts for f in several.frames()] == [f.pts for f in frames]


def test_a_recording_cut_anywhere_begins_with_a_right_picture(tmp_path, footage):
    """Open GOPs without IDR, as broadcasts have them: pictures before the first whole one are left out."""
    source = footage.make_video(tmp_path / "s.mp4", frames=120, rate=25)
    x264 = "open-gop=1:keyint=24:min-keyint=24:bframes=5:b-pyramid=normal:ref=5:scenecut=0"
    whole = footage.run_ffmpeg("-i", source, "-c:v", "libx264", "-crf", "8", "-x264-params", x264, tmp_path / "a.ts")
    right = {f.pts: f.rgb(96, 54) for f in read(whole)[2]}
    data = whole.read_bytes()
    for packet in (300, 451):
        (tmp_path / "part.ts").write_bytes(data[188 * packet :])
        _, reader, frames = read(tmp_path / "part.ts")
        assert 20 < len(frames) < 120
        assert reader.truncated == ""
        assert all((f.rgb(96, 54) == right[f.pts]).all() for f in frames)


# -- what has no times ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["h264", "hevc", "mjpeg", "m4v"])
def test_bare_streams_are_refused(form, plain, tmp_path, footage):
    coder = {"h264": "libx264", "hevc": "libx265", "mjpeg": "mjpeg", "m4v": "mpeg4"}[form]
    quiet = ("-x265-params", "log-level=none") if form == "hevc" else ()
    path = footage.run_ffmpeg("-i", plain, "-c:v", coder, *quiet, "-f", form, tmp_path / "bare.mp4")
    with pytest.raises(Reject, match="no_timestamps") as caught:
        probe(path)
    assert "ffmpeg -framerate" in caught.value.detail


def test_a_photograph_with_previews_behind_it_is_a_still(tmp_path, footage):
    image = Image.fromarray(footage.numbered(3, 96, 54))
    image.save(tmp_path / "p.jpg", "MPO", save_all=True, append_images=[image])
    assert probe(tmp_path / "p.jpg").kind == "image"
