"""What all traces of a coarse coding say together, on made-up pictures and real encoders."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from tests.signals.test_detail import MPEG4, X265, scene
from tests.signals.test_hidden import FINE, SIZE, coarsely, recoded
from wanprep.signals import coarse, hidden
from wanprep.signals.compression import blockiness
from wanprep.signals.one_layer import weights

SVT = ("-c:v", "libsvtav1", "-preset", "10", "-svtav1-params", "lp=1", "-crf")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "6", "-b:v", "0", "-crf")


def numbers(view: np.ndarray, said: float = 20.0, leaves: float = 0.0) -> np.ndarray:
    view = np.ascontiguousarray(view)
    return coarse.numbers(hidden.look(view), view, blockiness(view), said, leaves)


def looked(views: np.ndarray) -> float:
    """As a clip counts its looks."""
    return float(np.mean([coarse.quantiser(numbers(view)) for view in views[::2]]))


@pytest.mark.parametrize(
    "coder",
    [coarsely(42), (*X265, "45"), (*VP9, "63"), (*SVT, "63"), (*MPEG4, "16")],
    ids=["x264", "x265", "vp9", "av1", "mpeg4"],
)
def test_a_fine_coding_does_not_hide_a_coarse_one_by_any_coder(coder):
    views = scene(0)
    assert looked(recoded(recoded(views, *coder), *FINE)) > 37


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    "coder",
    [(), coarsely(23), (*X265, "24"), (*VP9, "35"), (*SVT, "35"), (*MPEG4, "3")],
    ids=["none", "x264", "x265", "vp9", "av1", "mpeg4"],
)
def test_what_shows_nothing_is_not_coarse(coder, seed):
    views = scene(seed)
    assert looked(recoded(recoded(views, *coder) if coder else views, *FINE)) < 37
    assert looked(views) < 35


def test_the_coarser_the_more():
    views = scene(2)
    found = [looked(recoded(recoded(views, *coarsely(crf)), *FINE)) for crf in (20, 34, 42)]
    assert found == sorted(found)


def test_neither_noise_nor_the_dark_is_coarse():
    views = scene(3).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 6, views.shape)
    for changed in (views + noise, 0.25 * views):
        assert looked(recoded(np.clip(changed, 0, 255).astype(np.uint8), *FINE)) < 37


def test_detail_is_looked_at_from_where_the_grid_begins():
    view, (row, column) = scene(4)[0], np.indices(SIZE) // 16
    blocks = np.where((row + column) % 2, view, cv2.GaussianBlur(view, (0, 0), 3)).astype(np.uint8)
    moved = np.roll(blocks, (8, 8), (0, 1))
    sixteenths = [
        coarse.numbers(hidden.look(moved)._replace(corner=corner), moved, 0.02, 20.0, 0.0)[
            coarse.NAMES.index("sixteenths")
        ]
        for corner in ((8, 8), (0, 0))
    ]
    assert sixteenths[0] > 0.2 > 0.0 > sixteenths[1]


def test_a_grid_that_was_cropped_is_found():
    cropped = recoded(scene(0), *coarsely(46))[:, 12:-4, 2:-14]
    coded = recoded(np.ascontiguousarray(cropped), *FINE)
    assert hidden.look(np.ascontiguousarray(coded[1])).corner == (14, 4)
    assert looked(coded) > 37


def test_what_is_not_known_counts_as_what_is_usual():
    row = numbers(scene(0)[0])
    usual = weights(coarse.FILE)["mean"]
    assert len(row) == len(coarse.NAMES) == len(usual)
    k = coarse.NAMES.index("uneven")
    unknown, same = row.copy(), row.copy()
    unknown[k], same[k] = math.nan, usual[k]
    assert coarse.odds(unknown[None]) == coarse.odds(same[None]) != coarse.odds(row[None])
    assert numbers(scene(0)[0], said=math.nan)[coarse.NAMES.index("said")] == coarse.USUAL_SAID


def test_the_threshold_is_where_its_scale_says(monkeypatch):
    monkeypatch.setattr(coarse, "odds", lambda rows: np.full(len(rows), coarse.LIMIT + 1.0))
    assert coarse.quantiser(np.zeros(len(coarse.NAMES))) == coarse.AT + coarse.STEEP


def test_flat_pictures_give_numbers_that_say_nothing():
    look = hidden.look(np.full(SIZE, 90, np.uint8))
    assert math.isnan(look.quantiser)
    assert np.isnan(look.shares).all()
