"""Made-up cartoon scenes, to train the network of screens with as scenes, and what it says of others of their kind."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from drawn_places import place
from ink import HEIGHT, WIDTH
from mark_examples import kept

from wanprep.signals.screens import screen
from wanprep.stages.filter import REGISTRY


def word() -> np.ndarray:
    """uint8[h, w]."""
    view = np.zeros((30, 120), np.uint8)
    cv2.putText(view, "Bakery", (2, 24), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 2, cv2.LINE_AA)
    return view


@pytest.fixture(scope="module")
def places() -> list[np.ndarray]:
    return [place(np.random.default_rng([77, k]), 4, word) for k in range(40)]


def test_places_are_the_same_for_one_seed_full_of_edges_and_mostly_stand(places):
    assert {x.shape for x in places} == {(4, HEIGHT, WIDTH, 3)}
    assert (places[3] == place(np.random.default_rng([77, 3]), 4, word)).all()
    assert all((x[0] != x[3]).any() for x in places)
    edges = [np.mean(cv2.Canny(x[0], 60, 120) > 0) for x in places]
    assert np.median(edges) > 0.04
    still = [np.mean(np.ptp(x.astype(int), axis=0) <= 1) for x in places]
    assert np.mean(np.array(still) > 0.5) > 0.4


def test_they_are_no_screens(places):
    size = 256, round(256 * HEIGHT / WIDTH)
    thumbs = [np.stack([kept(cv2.resize(y, size, interpolation=cv2.INTER_AREA)) for y in x]) for x in places]
    assert sum(screen(x) > REGISTRY["screen"].threshold for x in thumbs) <= 1
