"""Bars: exact on bars, silent on everything that only looks like bars."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals.bars import BarRules, agreed, find_bars

H, W = 120, 200


def clip(seed: int = 0, frames: int = 8, low: int = 60, high: int = 200) -> np.ndarray:
    """uint8[M, H, W] of bright noise: luma frames without any bar."""
    return np.random.default_rng(seed).integers(low, high, (frames, H, W)).astype(np.uint8)


def judge(luma: np.ndarray, **rules):
    rows = np.percentile(luma, 97, axis=2).astype(np.uint8)
    cols = np.percentile(luma, 97, axis=1).astype(np.uint8)
    return find_bars(rows, cols, BarRules(**rules))


def black(rng_seed: int, shape) -> np.ndarray:
    """Black as a lossy encoder leaves it."""
    return np.random.default_rng(rng_seed).integers(0, 9, shape).astype(np.uint8)


def test_no_bars():
    assert judge(clip()) == (0, 0, W, H)


@pytest.mark.parametrize(("top", "bottom"), [(2, 2), (15, 15), (17, 15), (13, 14), (40, 40)])
def test_letterbox_is_exact_to_the_pixel(top, bottom):
    luma = clip()
    luma[:, :top], luma[:, H - bottom :] = black(1, luma[:, :top].shape), black(2, luma[:, H - bottom :].shape)
    assert judge(luma) == (0, top, W, H - top - bottom)


def test_pillarbox_and_both():
    luma = clip()
    luma[:, :, :25] = luma[:, :, -26:] = 3
    assert judge(luma) == (25, 0, W - 51, H)
    luma[:, :10] = luma[:, -10:] = 3
    assert judge(luma) == (25, 10, W - 51, H - 20)


@pytest.mark.parametrize("side", [np.s_[:, :40], np.s_[:, -40:], np.s_[:, :, :70], np.s_[:, :, -70:]])
def test_a_scene_dark_on_one_side_has_no_bar(side):
    luma = clip()
    luma[side] = 5
    assert judge(luma) == (0, 0, W, H)


def test_dark_content_beside_a_bar_is_not_cropped():
    luma = clip()
    luma[:, :15] = luma[:, -15:] = 2
    luma[:, 60:] = 12  # the lower half of the scene is night
    # The lower edge cannot be seen; cropping more than the bar would cut picture, cropping nothing is safe.
    assert judge(luma) == (0, 0, W, H)


def test_a_vignette_is_no_bar():
    fall = np.clip(np.minimum(np.arange(H), np.arange(H)[::-1]) * 3, 0, 255)  # 0..177 without a step
    luma = np.repeat(np.repeat(fall[None, :, None], 6, 0), W, 2).astype(np.uint8)
    assert judge(luma) == (0, 0, W, H)


@pytest.mark.parametrize("share", [0.5, 1.0])
def test_subtitles_in_the_bar_do_not_hide_it(share):
    luma = clip(frames=12)
    luma[:, :20] = luma[:, -20:] = 2
    shown = int(12 * share)
    luma[:shown, H - 14 : H - 7, 60:140] = 230  # seven rows of text, 40 % of the width
    assert judge(luma) == (0, 20, W, H - 40)


def test_bright_rows_that_fill_the_lower_bar_are_picture():
    luma = clip()
    luma[:, :20] = 2
    luma[:, -20:-16] = 2
    assert judge(luma) == (0, 0, W, H)


def test_fades_do_not_vote():
    luma = clip(frames=10)
    luma[:6] = 4  # six frames of black, four of picture
    assert judge(luma) == (0, 0, W, H)
    luma[6:, :18] = luma[6:, -18:] = 4
    assert judge(luma) == (0, 18, W, H - 36)
    assert judge(np.full((5, H, W), 4, np.uint8)) == (0, 0, W, H)


def test_bars_on_a_part_of_the_frames_are_no_bars():
    luma = clip(frames=10)
    luma[:8, :18] = luma[:8, -18:] = 4
    assert judge(luma) == (0, 0, W, H)
    luma[:, :18] = luma[:, -18:] = 4
    assert judge(luma) == (0, 18, W, H - 36)


def with_pictures(luma: np.ndarray):
    """As `judge`, with small pictures of the same frames at hand."""
    rows = np.percentile(luma, 97, axis=2).astype(np.uint8)
    cols = np.percentile(luma, 97, axis=1).astype(np.uint8)
    return find_bars(rows, cols, BarRules(), lambda chosen: luma[chosen, ::2, ::2])


@pytest.mark.parametrize("gain", [0.12, 0.25, 0.5])
def test_dark_scenes_keep_their_bars(gain):
    luma = (clip(low=60, high=200) * gain).astype(np.uint8)
    assert judge(luma) == (0, 0, W, H)
    luma[:, :18] = luma[:, -18:] = 1
    assert judge(luma) == (0, 18, W, H - 36)


def test_bars_that_are_not_quite_black():
    luma = clip()
    luma[:, :18] = luma[:, -18:] = 19
    assert judge(luma) == (0, 18, W, H - 36)
    luma[:, :18] = luma[:, -18:] = 45  # a dark grey wall above and below
    assert judge(luma) == (0, 0, W, H)


def test_lettering_that_fills_a_bar_in_every_frame():
    luma = clip(frames=12)
    luma[:, :24] = luma[:, -24:] = 2
    luma[:, H - 23 : H - 1, 30:100:3] = 230  # strokes from edge to edge of the bar: no row is black by its percentile
    assert judge(luma) == (0, 0, W, H)
    assert with_pictures(luma) == (0, 24, W, H - 48)
    luma[:, H - 24 :] = clip(3, frames=12)[:, H - 24 :]  # picture instead of letters
    assert with_pictures(luma) == (0, 0, W, H)


def test_lettering_on_black_has_no_bars():
    card = np.full((8, H, W), 2, np.uint8)
    card[:, 40:80:2, 40:160:4] = 220
    assert judge(card) != (0, 0, W, H)
    assert with_pictures(card) == (0, 0, W, H)


def test_a_clip_agrees_with_its_source_where_it_shows_nothing_else():
    rows, cols = np.full((6, H), 90, np.uint8), np.full((6, W), 90, np.uint8)
    common, whole = (0, 15, W, H - 30), (0, 0, W, H)
    assert agreed(whole, common, rows, cols, BarRules()) == whole  # it is lit where the others have bars
    rows[:, :15] = rows[:, -15:] = 3
    assert agreed(whole, common, rows, cols, BarRules()) == common  # too dark to tell by itself
    assert agreed((0, 18, W, H - 33), common, rows, cols, BarRules()) == common  # dark content beside the bar
    assert agreed((0, 30, W, H - 60), common, rows, cols, BarRules()) == (0, 30, W, H - 60)
    assert agreed((0, 15, W, H - 30), whole, rows, cols, BarRules()) == (0, 15, W, H - 30)


def test_no_frames_means_no_bars():
    assert find_bars(np.zeros((0, H), np.uint8), np.zeros((0, W), np.uint8)) == (0, 0, W, H)


@pytest.mark.parametrize("wrong", [{"dark": 0}, {"share": 0.2}, {"min_pixels": 0}, {"uneven": 0.6}])
def test_impossible_rules_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BarRules(**wrong)
