import subprocess

import numpy as np
import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.tonemap import PEAK_NITS, WHITE_NITS, to_bt709
from wanprep.media.write import ffmpeg_binary, psnr


def pq_code(nits):
    """SMPTE ST 2084, the direction the module does not have."""
    y = (np.asarray(nits, float) / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def gray(codes):
    return np.repeat((np.asarray(codes) * 65535).round().astype(np.uint16)[None, :, None], 3, axis=2)


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_a_gray_ramp_stays_gray_and_rises(transfer):
    out = to_bt709(gray(np.linspace(0, 1, 300)), transfer, "bt2020")[0].astype(int)
    assert (np.diff(out[:, 1]) >= 0).all()
    assert out[0].tolist() == [0, 0, 0]
    assert out[-1].min() == 255
    assert np.ptp(out, axis=1).max() <= 1


def test_white_and_highlights_in_pq():
    white, peak, beyond = to_bt709(gray(pq_code([WHITE_NITS, 1000, 4000])), "pq", "bt2020")[0, :, 0]
    assert 170 < white < 200  # room is left above reference white
    assert peak == 255
    assert beyond == 255


def test_sdr_passes_through():
    codes = np.arange(256)
    assert (to_bt709(gray(codes / 255), "sdr", "bt709")[0, :, 0] == codes).all()


def test_wide_gamut_red_is_more_than_bt709_can_show():
    red = np.array([[[30000, 0, 0]]], np.uint16)
    plain, mapped = to_bt709(red, "sdr", "bt709")[0, 0], to_bt709(red, "sdr", "bt2020")[0, 0]
    assert mapped[0] > plain[0]
    assert mapped[1] == mapped[2] == 0


def test_display_p3_red_is_more_than_bt709_can_show():
    """SMPTE EG 432-1: BT.709's red is (0.8225, 0.0332, 0.0171) of P3 light."""
    codes = (np.array([0.8225, 0.0332, 0.0171]) ** (1 / 2.4) * 65535).round().astype(np.uint16)
    assert to_bt709(codes[None, None], "sdr", "display-p3")[0, 0].tolist() == pytest.approx([255, 0, 0], abs=4)


def test_dark_hdr_is_as_bright_as_a_screen_shows_it():
    """Far below reference white nothing is compressed, and a BT.1886 screen must give the same light again."""
    nits = np.array([0.2, 0.5, 1, 2, 4])
    out = to_bt709(gray(pq_code(nits)), "pq", "bt2020")[0, :, 0]
    assert (out / 255) ** 2.4 * WHITE_NITS == pytest.approx(nits, rel=0.1)


def by_zscale(path, width, height, transfer="linear"):
    """The first frame in BT.709 primaries by zimg: float [H, W, 3], light with reference white = 1, or codes."""
    light = f"zscale=transfer={transfer}:npl={WHITE_NITS:g}:primaries=bt709:matrix=gbr:range=full:filter=lanczos"
    command = [ffmpeg_binary(), "-v", "error", "-i", f"file:{path}", "-vf", f"{light},format=gbrpf32le"]
    done = subprocess.run([*command, "-frames:v", "1", "-f", "rawvideo", "-"], capture_output=True)
    if b"No such filter" in done.stderr:
        pytest.skip("this ffmpeg has no zscale")
    green, blue, red = np.frombuffer(done.stdout, "<f4").reshape(3, height, width)
    return np.stack([red, green, blue], axis=-1)


def shown(light):
    """The documented curve once more, in floats: extended Reinhard over the largest channel, then the screen undone."""
    light = np.maximum(light, 0)
    top = light.max(axis=-1, keepdims=True)
    light = np.clip(light * (1 + top / (PEAK_NITS / WHITE_NITS) ** 2) / (1 + top), 0, 1)
    return np.round(light ** (1 / 2.4) * 255).astype(np.uint8)


@pytest.mark.parametrize("colour_range", [1, 2])
@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_files_against_zimg(transfer, colour_range, tmp_path, footage):
    """PQ in colour. HLG in gray: for colours zimg raises each channel to the system gamma, BT.2100 the luminance."""

    def picture(number, width, height):
        rgb = footage.numbered(number, width, height)
        return rgb if transfer == 16 else np.repeat(rgb[..., 1:2], 3, axis=2)

    hdr = {"pix_fmt": "yuv420p10le", "matrix": 9, "primaries": 9, "transfer": transfer, "colour_range": colour_range}
    path = footage.make_video(tmp_path / "h.mp4", frames=2, size=(256, 144), picture=picture, **hdr)
    found = probe(path)
    assert found.hdr
    with open_video(path, found) as reader:
        mine = next(reader.frames()).rgb(256, 144)
    light = by_zscale(path, 256, 144)
    assert psnr(mine, shown(light)) >= 45
    assert psnr(mine, shown(light * 0.7)) < 40  # negative control


@pytest.mark.parametrize(("matrix", "primaries"), [(9, 9), (1, 12)])
def test_wide_gamut_files_against_zimg(matrix, primaries, tmp_path, footage):
    """BT.2020, and Display P3 as screen recordings have it."""
    colour = {"pix_fmt": "yuv420p10le", "matrix": matrix, "primaries": primaries, "transfer": 1}
    path = footage.make_video(tmp_path / "w.mp4", frames=2, size=(256, 144), **colour)
    with open_video(path, probe(path)) as reader:
        mine = next(reader.frames()).rgb(256, 144)
    assert psnr(mine, np.round(by_zscale(path, 256, 144, "bt709").clip(0, 1) * 255).astype(np.uint8)) >= 40
    assert psnr(mine, footage.render(path, 0, (256, 144), ":in_color_matrix=" + {9: "bt2020", 1: "bt709"}[matrix])) < 35
