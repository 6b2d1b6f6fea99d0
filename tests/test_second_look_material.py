"""Marks in colour, and shots and marks for the second network of marks."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from ink import HEIGHT, WIDTH
from mark_colours import KINDS, overlay, put
from mark_material import has_fonts
from second_look_material import COUNT, SIZE, Maker, strip, title, unpacked

pytestmark = pytest.mark.skipif(not has_fonts(), reason="mark_material.py's fonts are not installed")


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_mark_shows_and_leaves_most_of_the_picture(kind):
    grey = np.full((2, HEIGHT, WIDTH, 3), 110, np.uint8)
    for seed in range(6):
        colour, alpha = KINDS[kind](np.random.default_rng([3, seed]), ("tune", "held")[seed % 2])
        assert (colour.shape, colour.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert alpha.shape == (HEIGHT, WIDTH)
        assert 0 <= alpha.min() < 0.2 < alpha.max() <= 1
        marked = put(grey, colour, alpha)
        assert (marked[0] == marked[1]).all()
        assert (marked[0][alpha == 0] == 110).all()


def test_marks_are_of_one_seed_and_of_many_kinds():
    first, again = (overlay(np.random.default_rng(4)) for _ in range(2))
    assert all((one == other).all() for one, other in zip(first, again))
    areas = [np.mean(overlay(np.random.default_rng(seed))[1] > 0.1) for seed in range(30)]
    assert min(areas) < 0.01
    assert max(areas) > 0.03


@pytest.mark.parametrize("half", ["tune", "held"])
def test_words_over_a_picture_are_large_and_strips_reach_from_side_to_side(half):
    rng = np.random.default_rng(6)
    for _ in range(12):
        colour, alpha = title(rng, half)
        assert (colour.dtype, colour.shape) == (np.uint8, (HEIGHT, WIDTH, 3))
        assert np.ptp(np.flatnonzero((alpha > 0.5).any(axis=1))) >= 0.05 * HEIGHT
        colour, alpha = strip(rng, half)
        rows = alpha.min(axis=1) > 0.3
        assert 0.04 * HEIGHT < rows.sum() < 0.2 * HEIGHT
        assert (alpha[~rows] == 0).all()
        assert np.ptp(colour[rows].astype(int).sum(axis=-1)) > 100  # words on it


def test_a_strip_passes_and_what_ends_before_the_sides_stays():
    torch = pytest.importorskip("torch")
    import train_second_look

    rng = np.random.default_rng(2)
    strips, words = (
        np.stack([np.dstack([np.float32(colour), 255 * alpha])[::8, ::8] for colour, alpha in made])
        for made in ([strip(rng, "tune") for _ in range(6)], [title(rng, "tune") for _ in range(6)])
    )
    marks = torch.from_numpy(np.tile(np.concatenate([strips, words]), (8, 1, 1, 1)))
    torch.manual_seed(0)
    passing = train_second_look.passed(marks, 4, "cpu").numpy()
    assert (passing[:, 0] == marks.numpy()).all()
    moved = (passing[:, 1:] != passing[:, :1]).any(axis=(1, 2, 3, 4)).reshape(8, 2, 6)
    assert 0.3 < moved[:, 0].mean() < 0.9
    assert not moved[:, 1].any()
    assert np.allclose(np.sort(passing[:, 3], axis=2), np.sort(passing[:, 0], axis=2))  # the same columns


def test_what_the_gate_learns_from_is_shown_under_marks():
    from train_drawn import marked

    rng, shown = np.random.default_rng(4), np.full((4, 180, 320, 3), 90, np.uint8)
    changed = [(marked(shown, rng) != 90).any(axis=-1) for _ in range(30)]
    assert all(0 < of.mean() < 0.9 for of in changed)
    still = [(of == of[:1]).all() for of in changed]
    assert 10 < sum(still) < 30


@pytest.fixture
def footage(tmp_path) -> Path:
    rng, files = np.random.default_rng(0), []
    for _ in range(8):
        picture = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        files.append(cv2.imencode(".jpg", picture)[1])
    np.savez(tmp_path / "footage.npz", data=np.concatenate(files), sizes=[len(f) for f in files], counts=[3, 5])
    return tmp_path / "footage.npz"


def test_shots_and_marks_are_as_thumbnails_are(footage):
    assert [len(shot) for shot in unpacked(footage)] == [3, 5]
    maker = Maker(footage, seed=1)
    shots = np.stack([maker.shot() for _ in range(12)])
    assert (shots.shape, shots.dtype) == ((12, COUNT, SIZE[1], SIZE[0], 3), np.uint8)
    assert len({shot.tobytes() for shot in shots}) == 12
    marks = np.stack([maker.mark() for _ in range(12)])
    assert (marks.shape, marks.dtype) == ((12, SIZE[1], SIZE[0], 4), np.uint8)
    assert (marks[..., :3].max(axis=-1) <= marks[..., 3].astype(int) + 2).all()  # colour times alpha
    assert (marks[..., 3].max(axis=(1, 2)) > 20).all()
