"""Where the content is: subjects off the centre are found, and what has no subject stays in the centre."""

from __future__ import annotations

import heapq
import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.signals import content, placing
from wanprep.signals.store import Signals

H, W = 144, 256


def texture(seed: int, shift: int = 0, strength: float = 25.0) -> np.ndarray:
    """Smooth random texture, wider than the picture so that a camera can pan over it."""
    import cv2

    noise = np.random.default_rng(seed).normal(size=(H, W + 200, 3)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 2.0)
    noise = 110 + strength * noise / noise.std()
    return np.clip(noise[:, shift : shift + W], 0, 255).astype(np.uint8)


def square(picture: np.ndarray, x: int, y: int, seed: int = 9, size: int = 40) -> np.ndarray:
    picture = picture.copy()
    picture[y : y + size, x : x + size] = 255 - texture(seed)[:size, :size]
    return picture


def weights(pairs) -> np.ndarray:
    moved = [content.against_camera(before, after) for before, after in pairs]
    after, known = [after for _, after in pairs], [energy for energy in moved if energy is not None]
    return content.content_map(after, known, content.inside_bars(after))


def columns(pairs) -> np.ndarray:
    found = content.profiles(weights(pairs))
    assert len(found) == 2 * content.BINS
    return np.frombuffer(found, np.uint8)[: content.BINS]


def begin(profile: np.ndarray, length: float, low: float = 0.0, high: float = 1.0) -> float:
    return float(placing.place(profile[None], low, high, length)[0])


@pytest.mark.parametrize("x", [10, 60, 150, 206])
def test_a_moving_subject_is_kept_whole_wherever_it_is(x):
    still = texture(1)
    pairs = [(square(still, x, 50 + 3 * i), square(still, x, 53 + 3 * i)) for i in range(3)]
    start = begin(columns(pairs), 0.5)
    assert start * W - 2 <= x
    assert x + 40 <= (start + 0.5) * W + 2


def test_a_still_subject_that_stands_out_is_kept():
    plain = np.full((H, W, 3), 120, np.uint8)
    plain[60:100, 200:240] = (40, 40, 220)
    start = begin(columns([(plain, plain)]), 0.5)
    assert (start + 0.5) * W >= 238
    tall = np.frombuffer(content.profiles(weights([(plain, plain)])), np.uint8)[content.BINS :]
    assert begin(tall, 0.4) * H <= 60


@pytest.mark.parametrize(("bar", "wide", "colour"), [(0, 8, (120, 130, 110)), (40, 5, (150, 120, 90))])
def test_a_strip_along_the_border_is_no_subject(bar, wide, colour):
    """The dark edge of a wall stands out most of all; beside a bar, too."""
    wall = np.full((H, W, 3), 150, np.uint8)
    wall[:, : bar + wide] = 30
    wall[:, :bar] = 0
    thing = wall.copy()
    thing[50:110, 200:222] = colour
    start = begin(columns([(thing, thing)]), 0.32, bar / W)
    assert start * W <= 200
    assert (start + 0.32) * W >= 222
    assert (
        begin(columns([(wall, wall)]), 0.32, bar / W) < (bar + wide) / W
    )  # without another one it is better than none


@pytest.mark.parametrize("move", [0, 4])
@pytest.mark.parametrize("x", [0, W - 40])
def test_a_subject_at_the_very_border_is_kept(x, move):
    pictures = [np.full((H, W, 3), 120, np.uint8) for _ in range(4)]
    for k, picture in enumerate(pictures):
        picture[50 + move * k : 90 + move * k, x : x + 40] = (40, 40, 220)
    start = begin(columns(list(pairwise(pictures))), 0.4)
    assert start * W <= x + 4
    assert (start + 0.4) * W >= x + 40 - 4


def test_what_moves_with_the_camera_is_background():
    """A pan over texture with a subject that the camera follows: only the subject moves against the camera."""
    pairs = [
        (square(texture(3, 10 * i), 30, 50, size=44), square(texture(3, 10 * (i + 1)), 30, 50, size=44))
        for i in range(4)
    ]
    assert begin(columns(pairs), 0.5) < 0.1


def test_what_passes_by_is_no_subject(monkeypatch):
    """Somebody who stays and moves, and a larger thing that crosses the other half within two pictures of six."""
    pictures = [square(texture(1, strength=6), 30, 60 + 2 * (k % 2), size=22) for k in range(6)]
    for k, x in ((2, 120), (3, 180)):
        pictures[k][40:120, x : x + 70] = texture(7, strength=12)[40:120, :70] - 14
    pairs = list(pairwise(pictures))
    assert begin(columns(pairs), 0.35) < 0.1
    monkeypatch.setattr(content, "middle", lambda energies: np.mean(energies, axis=0))  # a negative control: as it was
    assert begin(columns(pairs), 0.35) > 0.2


@pytest.mark.parametrize("right", [False, True])
def test_what_waves_along_a_whole_side_is_no_subject(right, monkeypatch):
    pictures = [square(texture(1, strength=12), 180, 60 + 2 * (k % 2), size=22) for k in range(6)]
    for k, picture in enumerate(pictures):
        picture[:, :24] = np.roll(texture(8, strength=50)[:, :24], 4 * k, axis=0) // 2
    pictures = [picture[:, ::-1] if right else picture for picture in pictures]
    pairs = list(pairwise(pictures))
    x = W - 180 - 22 if right else 180

    def kept() -> bool:
        start = begin(columns(pairs), 0.35)
        return start * W <= x and (start + 0.35) * W >= x + 22

    assert kept()
    monkeypatch.setattr(content, "ALONG", 2.0)  # a negative control: as it was
    assert not kept()


def test_a_hand_that_comes_in_or_motion_everywhere_is_not_put_aside():
    picture = np.ones((72, content.WIDTH), bool)
    hand, all_over = np.zeros_like(picture), picture.copy()
    hand[30:50, :40] = True
    side = np.zeros_like(picture)
    side[5:, -14:] = True
    assert content._beside(hand, picture).tolist() == [1.0] * content.WIDTH
    assert content._beside(all_over, picture).tolist() == [1.0] * content.WIDTH
    found = content._beside(side, picture)
    assert np.array_equal(found < 1, np.arange(content.WIDTH) >= content.WIDTH - 14)
    assert content._beside(side, np.zeros_like(picture)).tolist() == [1.0] * content.WIDTH


def test_a_region_that_leaves_the_picture_is_background(monkeypatch):
    """A bright sky over a dark wood stands out most by colour, but both go on outside; the small boat does not."""
    scene = np.full((H, W, 3), (60, 90, 60), np.uint8)
    scene[:, : W // 2] = (235, 225, 215)
    scene[70:100, 205:235] = (70, 110, 150)
    pairs = [(scene, scene)]
    start = begin(columns(pairs), 0.3)
    assert start * W <= 205
    assert (start + 0.3) * W >= 235
    monkeypatch.setattr(content, "from_border", lambda small, picture_HW: picture_HW * 1.0)  # a negative control
    assert begin(columns(pairs), 0.3) * W < 150


def test_ways_from_the_border_are_the_cheapest_of_all():
    """Against Dijkstra's algorithm, on scattered blocks of colour."""
    rng = np.random.default_rng(3)
    labs = rng.integers(0, 4, (1, 13, 17, 1)).repeat(3, axis=3).astype(np.float32) * 8
    _, high, wide, _ = labs.shape
    cost = np.full((high, wide), np.inf)
    heap = [(0.0, y, x) for y in range(high) for x in range(wide) if y in (0, high - 1) or x in (0, wide - 1)]
    while heap:
        so_far, y, x = heapq.heappop(heap)
        if so_far >= cost[y, x]:
            continue
        cost[y, x] = so_far
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= v < high and 0 <= u < wide:
                step = max(0.0, float(np.linalg.norm(labs[0, v, u] - labs[0, y, x])) - content.SLACK)
                heapq.heappush(heap, (so_far + step, v, u))
    assert cost.max() > 0
    np.testing.assert_allclose(content._least_cost(labs)[0], cost, atol=1e-3)


@pytest.mark.parametrize("kind", ["texture", "pan", "noise", "flat", "centred"])
def test_without_a_subject_off_the_centre_the_crop_stays_there(kind):
    rng = np.random.default_rng(5)
    grain = [np.clip(120 + 4 * rng.normal(size=(H, W, 3)), 0, 255).astype(np.uint8) for _ in range(2)]
    pictures = {
        "texture": (texture(2), texture(2)),
        "pan": (texture(2), texture(2, 12)),
        "noise": (grain[0], grain[1]),
        "flat": (np.full((H, W, 3), 90, np.uint8),) * 2,
        "centred": (square(texture(2), 106, 50), square(texture(2), 106, 54)),
    }
    before, after = pictures[kind]
    found = content.profiles(weights([(before, after)]))
    profile = np.frombuffer(found or bytes(2 * content.BINS), np.uint8)[: content.BINS]
    for length in (0.4, 0.6, 0.8):
        assert begin(profile, length) == pytest.approx((1 - length) / 2, abs=0.01)


def test_black_bars_have_no_weight_and_do_not_attract():
    picture = texture(4)
    picture[:, :60] = 0
    profile = columns([(picture, picture)])
    assert not profile[: int(60 / W * content.BINS)].any()


def test_the_clip_takes_its_own_thumbnails_only():
    left, right = (square(texture(1, strength=12), x, 50) for x in (10, 206))
    record = signals([left] * 4 + [right] * 4)
    first, second = (content.clip_content(record, *span)[0] for span in ((0, 40), (40, 80)))
    begins = [begin(np.frombuffer(p, np.uint8)[: content.BINS], 0.5) for p in (first, second)]
    assert begins[0] < 0.15
    assert begins[1] > 0.35
    assert content.clip_content(record, 41, 42)[0] == b""  # no thumbnail in it: unknown, not invented
    assert content.clip_content(record, 0, 5)[0]  # one thumbnail: no motion, but contrast


def moved(thumbs: list[np.ndarray]) -> float:
    return content.clip_content(signals(thumbs), 0, 10 * len(thumbs))[1]


@pytest.mark.parametrize("pace", [0, 6, 20])
@pytest.mark.parametrize("size", [24, 44])
def test_subject_motion_is_the_share_that_moves_whatever_the_camera_does(pace, size):
    """A square of its own way covers a place and leaves another."""
    nobody = [texture(3, 40 + pace * k) for k in range(5)]
    someone = [square(picture, 60 + 30 * k, 50, size=size) for k, picture in enumerate(nobody)]
    changes = size * (min(size, 30) + min(size, 30)) / (H * W)  # where it was and where it is, less what is both
    assert moved(nobody) < 0.002
    assert 0.5 * changes < moved(someone) < 2.5 * changes


def test_subject_motion_is_of_the_picture_between_its_bars():
    pictures = [square(texture(3), 60 + 30 * k, 50) for k in range(4)]
    barred = [picture.copy() for picture in pictures]
    for picture in barred:
        picture[:36] = picture[-36:] = 0
    assert moved(barred) == pytest.approx(2 * moved(pictures), rel=0.35)


def test_where_the_camera_is_lost_subject_motion_is_unknown():
    assert math.isnan(moved([texture(seed) for seed in range(4)]))  # nothing is found again
    assert math.isnan(moved([np.zeros((H, W, 3), np.uint8)] * 4))
    assert math.isnan(content.clip_content(signals([texture(1)]), 0, 10)[1])  # one picture


def test_light_that_flickers_is_no_subject():
    pictures = [np.clip(texture(1).astype(float) * gain, 0, 255).astype(np.uint8) for gain in (1.0, 1.04, 0.98, 1.02)]
    assert moved(pictures) < 0.002


def signals(thumbs: list[np.ndarray]) -> Signals:
    count = 10 * len(thumbs)
    return Signals(
        time_base=Fraction(1, 20), width=W, height=H, pts=np.arange(count, dtype=np.int64), last_duration=1, frame={},
        sampled=np.arange(0, count, 10, dtype=np.int32), thumbs=np.stack(thumbs),
        row_p97=np.zeros((len(thumbs), H), np.uint8), col_p97=np.zeros((len(thumbs), W), np.uint8),
    )  # fmt: skip


profile_rows = st.lists(st.integers(0, 255), min_size=content.BINS, max_size=content.BINS)


@given(row=profile_rows, low=st.floats(0, 0.4), width=st.floats(0.2, 0.6), share=st.floats(0.1, 1.0))
@settings(max_examples=200, deadline=None)
def test_a_crop_is_inside_and_never_keeps_less_than_the_centre(row, low, width, share):
    high, length = low + width, width * share
    profile = np.array(row, np.uint8)
    start = begin(profile, length, low, high)
    assert low - 1e-9 <= start <= high - length + 1e-9
    middle = (low + high - length) / 2
    bins = (np.arange(content.BINS) + 0.5) / content.BINS
    weight = profile * (1 - placing.PRIOR * np.clip(2 * (bins - low) / (high - low) - 1, -1, 1) ** 2)

    def kept(at: float) -> float:
        whole = placing._cover(np.array([at]), length)[0]
        core = placing._cover(np.array([at + length * (1 - placing.CORE) / 2]), length * placing.CORE)[0]
        return float((weight * (whole + core)).sum())

    assert kept(start) >= kept(middle) - 1e-6


@given(row=profile_rows, length=st.floats(0.2, 0.9))
@settings(max_examples=100, deadline=None)
def test_a_mirrored_picture_has_the_mirrored_crop(row, length):
    profile = np.array(row, np.uint8)
    there, back = begin(profile, length), 1 - length - begin(profile[::-1].copy(), length)
    bins = (np.arange(content.BINS) + 0.5) / content.BINS
    weight = profile * (1 - placing.PRIOR * (2 * bins - 1) ** 2)

    def kept(at: float) -> float:
        whole = placing._cover(np.array([at]), length)[0]
        core = placing._cover(np.array([at + length * (1 - placing.CORE) / 2]), length * placing.CORE)[0]
        return float((weight * (whole + core)).sum())

    # The very place, or another that is as good.
    assert there == pytest.approx(back, abs=1e-9) or kept(there) == pytest.approx(kept(back), rel=2e-3)


def test_clips_do_not_influence_each_other():
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 256, (50, content.BINS)).astype(np.uint8)
    together = placing.place(rows, 0.0, 1.0, 0.6)
    assert together.tolist() == [begin(row, 0.6) for row in rows]
    assert len(set(together.tolist())) > 3


def test_an_impossible_crop_is_an_error():
    rows = np.ones((1, content.BINS), np.uint8)
    for low, high, length in ((0.5, 0.4, 0.1), (0.0, 1.0, 1.1), (0.0, 1.2, 0.5), (0.0, 1.0, 0.0)):
        with pytest.raises(ValueError, match="cannot place"):
            placing.place(rows, low, high, length)
