"""Marks that jump: a drawing that is here first and there then; not what is at both places, or on its way between."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from wanprep.signals import hops

H, W, N = 144, 256, 5
CORNERS = {"top": (8, 6), "right": (194, 10), "bottom": (12, 118), "far": (196, 116)}  # left and top of a mark


def scene(seed: int, pan: tuple[int, int] = (0, 0), n: int = N) -> list[np.ndarray]:
    """uint8[H, W] pictures of soft and sharp things, under a pan (rows, columns a picture)."""
    rng = np.random.default_rng(seed)
    canvas = np.full((3 * H, 3 * W), 110, np.uint8)
    for _ in range(400):
        x, y = int(rng.integers(3 * W)), int(rng.integers(3 * H))
        size = int(rng.integers(4, 40)), int(rng.integers(4, 40))
        cv2.ellipse(canvas, (x, y), size, 0, 0, 360, float(rng.uniform(30, 220)), -1, cv2.LINE_AA)
    at = [(H + pan[0] * k, W + pan[1] * k) for k in range(n)]
    return [canvas[y : y + H, x : x + W].copy() for y, x in at]


def marked(pictures: list[np.ndarray], places: Sequence[tuple[int, int] | None]) -> list[np.ndarray]:
    """With a ring and a name at the place (left, top) of each picture."""
    out = [picture.copy() for picture in pictures]
    for picture, at in zip(out, places):
        if at is not None:
            cv2.circle(picture, (at[0] + 8, at[1] + 9), 8, 255.0, 2, cv2.LINE_AA)
            cv2.putText(picture, "sam", (at[0] + 20, at[1] + 14), cv2.FONT_HERSHEY_SIMPLEX, 0.45, 255.0, 1, cv2.LINE_AA)
    return out


def holds(place: tuple[int, int], at: tuple[int, int]) -> bool:
    """Whether the window (row, column) has all of a mark at (left, top) in it."""
    top, left = place
    return left <= at[0] and at[0] + 52 <= left + hops.WIDTH and top <= at[1] and at[1] + 18 <= top + hops.HEIGHT


@pytest.mark.parametrize("when", [1, 2, 3, 4])
@pytest.mark.parametrize("pan", [(0, 0), (2, 7)])
@pytest.mark.parametrize(("here", "there"), [("right", "bottom"), ("top", "far"), ("bottom", "top")])
def test_a_mark_that_jumps_is_told_with_its_places_whenever_it_does(here, there, pan, when):
    places = [CORNERS[here] if k < when else CORNERS[there] for k in range(N)]
    found = hops.hops(marked(scene(1, pan), places))
    assert any(all(holds(window, at) for window, at in zip(hop.places, places)) for hop in found)
    told = next(hop for hop in found if holds(hop.places[0], places[0]))
    steps = {(b[0] - a[0], b[1] - a[1]) for a, b in zip(told.places, told.places[1:])} - {(0, 0)}
    far = tuple(b - a for a, b in zip(CORNERS[here], CORNERS[there]))
    assert steps == {(far[1], far[0])}  # to the pixel
    assert len(told.again) == N - 1
    assert told.edges.shape == (2, hops.HEIGHT, hops.WIDTH)
    assert np.abs(told.edges).max() <= 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_mark_that_stays_goes_there_and_back_or_away_or_is_elsewhere_between_is_none(seed):
    one, two = CORNERS["top"], CORNERS["far"]

    def told(places: Sequence[tuple[int, int] | None], pan: tuple[int, int]) -> bool:
        return bool(hops.hops(marked(scene(seed, pan), places)))

    for pan in ((0, 0), (2, 7)):
        assert told([one, one, one, two, two], pan)
        assert not told([one] * N, pan)
        assert not told([one, two, one, two, one], pan)
        assert not told([one, one, None, None, None], pan)
    between = [(55, 32), (102, 61), (149, 88)]
    assert not told([one, *between, two], (2, 7))
    assert not told([one, None, None, None, two], (2, 7))


@pytest.mark.parametrize("pan", [(0, 0), (0, 9), (4, -6)])
def test_nothing_jumps_over_a_scene_by_itself(pan):
    assert hops.hops(scene(3, pan)) == []


@pytest.mark.parametrize("height", [64, 107, 144, 456])
@pytest.mark.parametrize("count", [3, 4, 6])
def test_any_shape_is_looked_at(height, count):
    rng = np.random.default_rng(height + count)
    pictures = [rng.integers(0, 255, (height, W)).astype(np.uint8) for _ in range(count)]
    for hop in hops.hops(pictures):
        assert len(hop.places) == count
        for y, x in hop.places:
            assert -hops.OUTSIDE[0] <= y <= height - hops.HEIGHT + hops.OUTSIDE[0]
            assert -hops.OUTSIDE[1] <= x <= W - hops.WIDTH + hops.OUTSIDE[1]


def test_two_pictures_are_too_few():
    assert hops.hops(marked(scene(1, n=2), [CORNERS["top"], CORNERS["far"]])) == []
