import numpy as np
import pytest

from wanprep.media.tonemap import WHITE_NITS, to_bt709


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
