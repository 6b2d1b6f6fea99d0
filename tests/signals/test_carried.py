"""The camera's own motion: explained where a picture is the one before it, moved, and left over where shots meet."""

import numpy as np
import pytest

from wanprep.signals import carried
from wanprep.signals.carried import (
    CUT,
    MIX,
    MOVING,
    STOP,
    against_wipe,
    not_carried,
    uncarried,
    unexplained,
    without_moves,
)
from wanprep.signals.gradual import Mix
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.pictures import Pictures


def scene(seed: int, height: int = 240, width: int = 640) -> np.ndarray:
    """float32[height, width]: blobs of a few sizes, 0..255."""
    import cv2

    rng = np.random.default_rng(seed)
    out = np.full((height, width), 120, np.float32)
    for cells, gain in ((4, 45), (9, 30), (20, 15)):
        grid = rng.normal(0, gain, (cells, cells * 3)).astype(np.float32)
        out += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(out, 0, 255)


def seen(picture: np.ndarray, across: float = 0, zoom: float = 1, turn: float = 0) -> np.ndarray:
    """float32[192]: what a camera of 16 x 12 places sees of the middle, 160 wide, of a picture."""
    import cv2

    matrix = cv2.getRotationMatrix2D((picture.shape[1] / 2 + across, picture.shape[0] / 2), turn, zoom)
    matrix[:, 2] += 80 - picture.shape[1] / 2 - across, 60 - picture.shape[0] / 2
    view = cv2.warpAffine(picture, matrix, (160, 120), flags=cv2.INTER_LINEAR)
    return cv2.resize(view, (16, 12), interpolation=cv2.INTER_AREA).ravel().astype(np.float32).round()


def pan(seed: int = 1, n: int = 24, step: float = 6.0) -> np.ndarray:
    place = np.cumsum(step * np.minimum(1, np.arange(n) / 6))
    return np.stack([seen(scene(seed), across - place[-1] / 2) for across in place])


MOVES = {
    "pan": pan(),
    "fast pan": pan(2, 10, 30.0),
    "zoom": np.stack([seen(scene(3), zoom=np.exp(0.03 * t)) for t in range(24)]),
    "turn": np.stack([seen(scene(9), turn=3.0 * t) for t in range(24)]),
}


def dissolve(n: int = 24) -> np.ndarray:
    a, b = seen(scene(5)), seen(scene(6))
    share = np.linspace(0, 1, n, dtype=np.float32)[:, None]
    return a * (1 - share) + b * share


@pytest.mark.parametrize("name", sorted(MOVES))
def test_a_moving_camera_explains_what_changes(name):
    assert uncarried(MOVES[name]) < MIX


def test_a_dissolve_is_explained_by_no_camera():
    assert uncarried(dissolve()) > 2 * MIX


def test_a_dissolve_between_two_shots_that_both_move_is_not_explained():
    share = np.linspace(0, 1, 24, dtype=np.float32)[:, None]
    assert uncarried(pan(1, 24, 3.0) * (1 - share) + pan(7, 24, -3.0) * share) > MIX


def test_a_fade_is_not_explained():
    assert uncarried(seen(scene(5)) * np.linspace(1, 0, 16, dtype=np.float32)[:, None]) > MIX


def test_pictures_that_do_not_change_claim_nothing():
    left, change = unexplained(np.full((1, 192), 90.0), np.full((1, 192), 90.0))
    assert left == change == 0


def test_a_large_shift_is_found_in_both_directions():
    wide = scene(8)
    for across in (-60, 60):
        left, change = unexplained(seen(wide)[None], seen(wide, across)[None])
        assert left[0] < CUT * change[0]


@pytest.mark.parametrize("levels", [3, 256])  # of few levels many shifts cost the same
def test_the_best_shift_is_that_of_trying_one_after_the_other(levels):
    rng = np.random.default_rng(levels)
    A, B = (rng.integers(0, levels, (12, HEIGHT, WIDTH)).astype(np.float64) for _ in "AB")
    B[:6, 2:, :-3] = A[:6, :-2, 3:]
    for a, b, shift in zip(A, B, carried._shift(A, B).tolist()):
        best, found = np.inf, None
        for down in range(-carried.FARTHEST[0], carried.FARTHEST[0] + 1):
            for across in range(-carried.FARTHEST[1], carried.FARTHEST[1] + 1):
                h, w = HEIGHT - abs(down), WIDTH - abs(across)
                share, y, x = h * w / (HEIGHT * WIDTH), max(0, down), max(0, across)
                off = b[y - down : y - down + h, x - across : x - across + w] - a[y : y + h, x : x + w]
                cost = float((off**2).sum()) / (h * w * np.sqrt(share))
                if share >= carried.LEAST and cost < best - 1e-9:
                    best, found = cost, [down, across]
        assert shift == found
    assert carried._shift(A[:6], B[:6]).tolist() == [[-2, 3]] * 6


def test_mixes_that_the_camera_made_are_left_out_and_others_kept():
    X = np.concatenate([MOVES["pan"], dissolve()])
    moved = Mix(kind="dissolve", first=1, last=22, change=30.0, fitness=3.0)
    mixed = Mix(kind="dissolve", first=25, last=46, change=30.0, fitness=3.0)
    single = Mix(kind="dissolve", first=12, last=12, change=30.0, fitness=3.0)
    assert without_moves(Pictures(X), [moved, single, mixed]) == [single, mixed]


def test_a_step_of_the_camera_is_no_cut_and_a_cut_is_one():
    X = np.concatenate([MOVES["fast pan"], np.tile(seen(scene(9)), (4, 1))])
    assert not_carried(Pictures(X), (8, 10)) == [10]
    assert not_carried(Pictures(X), ()) == []


def test_neighbours_are_asked_about_steps_between_the_two_limits_only(monkeypatch):
    from wanprep.signals import carried

    asked: list[int] = []

    def shares(_: Pictures, before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        asked.append(len(after))
        share = np.where(after < 10, 0.0, np.where(after == 10, (CUT + STOP) / 2, 1.0))
        return np.where(np.isin(before, (9, 10)) & (len(after) == 1), MOVING / 2, share), np.ones(len(after))

    monkeypatch.setattr(carried, "_steps", shares)
    assert not_carried(Pictures(np.zeros((20, 192))), (5, 10, 15)) == [15]  # the camera moves beside the second
    assert asked == [3, 1, 1]


def test_a_blended_frame_is_looked_past():
    a, b = seen(scene(5)), seen(scene(6))
    X = np.stack([a, a, (a + b) / 2, b, b])
    assert not_carried(Pictures(X), (3,), (3,)) == [3]


def test_motion_speaks_against_a_wipe_and_a_wipe_is_not_touched():
    old, new = seen(scene(5)).reshape(12, 16), seen(scene(6)).reshape(12, 16)
    edge = [np.where(np.arange(16) < at, new, old).ravel() for at in range(17)]
    assert against_wipe(Pictures(np.stack(edge)), 1, 15) == 0
    assert against_wipe(Pictures(MOVES["pan"]), 1, 22) < -1


def test_where_a_fast_camera_stops_less_has_to_be_explained():
    """The last step of a smeared pan, to a sharp picture, leaves more: beside the pan it stands for nothing."""
    moments = [[24.0 * (k + part) - 120 for part in (0, 0.2, 0.4, 0.6)] for k in range(11)]
    smeared = [np.mean([seen(scene(6), x) for x in places], axis=0) for places in moments]
    stopped = [seen(scene(6), 24.0 * 11 - 120)] * 5
    X = np.stack([*smeared, *stopped])
    left, change = unexplained(X[10:11], X[11:12])
    assert CUT < left[0] / change[0] < STOP
    assert not_carried(Pictures(X), (11,)) == []
    assert not_carried(Pictures(np.stack([smeared[-1]] * 5 + stopped)), (5,)) == [5]
