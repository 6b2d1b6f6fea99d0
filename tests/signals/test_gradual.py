"""Dissolves where little is lit are seen by what is, and a fade ends in nothing, not in a picture of its own."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from wanprep.signals import gradual, mixing
from wanprep.signals.gradual import Mix, find_mixes
from wanprep.signals.meter import edge_energy
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import GradualRules

H, W, N = 12, 16, 90
FIRST, LAST = 40, 51  # frames that mix
Y, X = np.mgrid[:H, :W]
SHARE = np.clip((np.arange(N) - FIRST + 1) / (LAST - FIRST + 2), 0, 1)[:, None, None]


def scene(seed: int, n: int = N, pace: float = 0.04) -> np.ndarray:
    """float32[n, H, W]: a camera that moves `pace` places a frame over a picture with soft shapes."""
    rough = np.random.default_rng(seed).normal(0, 1, (H, 40)).astype(np.float32)
    wide = cv2.resize(cv2.GaussianBlur(rough, (0, 0), 1.2), (80, 24))
    wide = 120 + 45 * wide / wide.std()
    shift = [np.array([[1, 0, 8 + pace * k], [0, 1, 4]], np.float32) for k in range(n)]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.clip(np.stack([cv2.warpAffine(wide, m, (W, H), flags=flags) for m in shift]), 30, 255)


def spot(x: float, y: float, r: float) -> np.ndarray:
    """float[H, W], 1 in a soft round spot."""
    return np.clip(1.5 - np.hypot(X - x, Y - y) / r, 0, 1)


def found(frames: np.ndarray, **rules: float) -> list[Mix]:
    stored = np.clip(frames, 0, 255).round().astype(np.uint8)
    T = Pictures(stored.reshape(len(stored), -1))
    return find_mixes(T, np.array([edge_energy(f) for f in stored]), 25.0, GradualRules(**rules))


LEFT, RIGHT = spot(5, 6, 3.2), spot(9, 5, 3.2)


@pytest.mark.parametrize("masks", [(LEFT, RIGHT), (RIGHT, LEFT)])
def test_a_dissolve_is_found_where_half_of_both_pictures_is_dark(masks):
    first, last = (scene(seed) * mask for seed, mask in zip((1, 4), masks))
    mixed = first * (1 - SHARE) + last * SHARE
    change = np.abs(mixed[LAST + 1] - mixed[FIRST - 1])
    assert (change < 0.25 * np.sqrt((change**2).mean())).mean() > GradualRules().max_kept  # of the whole picture
    (mix,) = found(mixed)
    assert mix.kind == "dissolve"
    assert abs(mix.first - FIRST) <= 2
    assert abs(mix.last - LAST) <= 2


def test_what_comes_over_a_dark_shot_is_no_dissolve(monkeypatch):
    title = np.zeros((H, W))
    title[7:10, 2:14] = 140 + 20 * np.sign(np.sin(5 * X[7:10, 2:14]))
    shot = scene(1) * spot(12, 3, 1.5)
    laid_over = shot * (1 - SHARE * (title > 0)) + title * SHARE
    assert not found(laid_over)  # nor the part of it in which the title is seen and changes
    monkeypatch.setattr(gradual, "stays", lambda first, last: 0.0)
    assert found(laid_over)


@pytest.mark.parametrize("pace", [0.15, 0.4, 1.0])
def test_what_passes_in_front_of_darkness_is_none(pace):
    passing = np.stack([210 * spot(2 + pace * max(0, k - 30), 6, 1.6) + 90 * spot(12, 11, 2.0) for k in range(N)])
    assert not [m for m in found(passing) if m.kind == "dissolve"]


def credits_that_scroll(pace: float = 1.2) -> np.ndarray:
    """float32[180, H, W]: lines of lettering go up over black, some left out."""
    rng = np.random.default_rng(5)
    tall = np.zeros((144 + 260, 256), np.uint8)
    for y in range(24, len(tall) - 10, 24):
        if rng.random() > 0.15:
            words = "".join(rng.choice(list("abcdefgh klmnop"), int(rng.integers(8, 24))))
            cv2.putText(tall, words, (12, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 255, 2, cv2.LINE_AA)
    up = [np.array([[1, 0, 0], [0, 1, -pace * k]], np.float32) for k in range(180)]
    shown = [cv2.warpAffine(tall, move, (256, 144), flags=cv2.INTER_LINEAR) for move in up]
    return np.stack([cv2.resize(picture, (W, H), interpolation=cv2.INTER_AREA) for picture in shown]).astype(np.float32)


def test_lines_that_scroll_over_black_are_no_row_of_dissolves(monkeypatch):
    assert len(found(credits_that_scroll())) <= 1
    monkeypatch.setattr(gradual, "LONE_S", 0.0)
    assert len(found(credits_that_scroll())) > 5


def test_only_what_any_frame_shows_is_asked():
    frames = np.zeros((3, 100), np.float32)
    assert mixing.lit(frames, 0, 2) is None  # too little
    frames[0, :30], frames[1, 30:50], frames[2, 50:60] = 90, 90, mixing.DARK
    assert np.array_equal(np.flatnonzero(mixing.lit(frames, 0, 2)), np.arange(50))
    frames[2, 30:] = 60
    assert mixing.lit(frames, 0, 2) is None  # all but nothing


def test_what_stays_is_a_share_of_what_is_lit():
    dark, lamp = np.zeros(100, np.float32), np.zeros(100, np.float32)
    lamp[:10] = 200
    title = lamp.copy()
    title[40:80] = 200
    assert mixing.stays(lamp, title) == mixing.stays(title, lamp) == 1
    assert mixing.stays(lamp, np.roll(lamp, 50)) == 0
    assert mixing.stays(dark, lamp) == 0


@pytest.mark.parametrize("tone", [0.0, 128.0, 250.0])
def test_a_fade_comes_from_any_tone(tone):
    frames = tone + (scene(2) - tone) * SHARE
    (mix,) = found(frames)
    assert mix.kind == "fade_in"
    assert abs(mix.first - FIRST) <= 2


def leaving_the_sky() -> np.ndarray:
    """A small thing in a bright sky, uneven as skies are; the camera draws back quickly until land shows below."""
    sky = 190 - 0.33 * ((X - 8.0) ** 2 + (Y - 5.0) ** 2)
    land = scene(5, 1)[0] * 0.6
    out = []
    for k in range(N):
        way = np.clip((k - 30) / 30, 0, 1)
        evened = sky + (200 + 12 * way + (12 * way + 2 * Y) * way - sky) * way
        horizon = H - 5 * np.clip((way - 0.6) / 0.4, 0, 1)
        plane = 35 * np.exp(-(((X - 7) * 3**way / 1.5) ** 2) - ((Y - 5) * 3**way / 0.8) ** 2)
        part = np.clip(Y - horizon + 1, 0, 1)
        out.append((evened - plane) * (1 - part) + land * part)
    return np.stack(out)


def test_a_camera_that_leaves_the_sky_is_no_fade(monkeypatch):
    frames = leaving_the_sky()
    assert gradual.OWN < frames[48].std() < GradualRules().flat
    assert not [m for m in found(frames) if m.kind.startswith("fade")]
    monkeypatch.setattr(gradual, "OWN", np.inf)
    assert [m for m in found(frames) if m.kind == "fade_in"]


def test_a_flat_picture_of_its_own_still_dissolves():
    sky = 150 + 5 * np.sign(np.sin(X)) + 0 * Y
    frames = sky * (1 - SHARE) + scene(2) * SHARE
    (mix,) = found(frames)
    assert mix.kind in ("dissolve", "doubtful")
    assert abs(mix.first - FIRST) <= 3


def test_between_two_quick_fades_black_shows_a_little_of_both():
    left, full = scene(2)[0].ravel(), scene(7)[0].ravel()
    faint = 5.5 * (left - left.mean()) / left.std()
    kinds = {tone: gradual._kind(faint + tone, full, GradualRules()) for tone in (15, 128, 240)}
    assert kinds == {15: "fade_in", 128: "dissolve", 240: "fade_in"}
