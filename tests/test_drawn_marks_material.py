"""Marks in colour, and shots and marks for the network that tells marks over drawn shots."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from drawn_marks_material import COUNT, SIZE, Maker, unpacked
from ink import HEIGHT, WIDTH
from mark_colours import KINDS, overlay, put
from mark_material import has_fonts

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
