"""A dissolve that takes a slide in is none; one that is a mix stays, whatever else is in the film."""

from __future__ import annotations

import numpy as np
import pytest

from tests.signals.test_slides import film, picture
from wanprep.signals import mistaken
from wanprep.signals.crossings import Numbers
from wanprep.signals.gradual import Mix
from wanprep.signals.mistaken import off_mix, without_slides
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import WipeRules
from wanprep.signals.slide_lines import KINDS


def dissolve(length: int = 14, n: int = 90, at: int = 40) -> np.ndarray:
    share = np.clip((np.arange(n) - at + 1) / (length + 1), 0, 1)[:, None]
    X = picture(9) * (1 - share) + picture(10) * share
    return X + np.random.default_rng(3).normal(0, 1.5, X.shape).astype(np.float32)


def left(X: np.ndarray, *mixes: Mix, **rules) -> list[Mix]:
    T = Pictures(X.astype(np.float32))
    names = ("match", "best_match", "content_val", "edge_energy", "red", "blue", "luma_mean")
    numbers = Numbers.of(T, {name: np.ones(len(X), np.float32) for name in names})
    return without_slides(T, numbers, mixes, WipeRules(**rules), ())


def mix(first: int, last: int, kind: str = "dissolve") -> Mix:
    return Mix(kind=kind, first=first, last=last, change=40.0, fitness=1.0)


@pytest.fixture(autouse=True)
def unopposed(monkeypatch):
    monkeypatch.setattr(mistaken, "against_sweep", lambda *_: 0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dissolve_that_takes_a_slide_in_is_none(kind):
    X = film(kind, 0)
    assert left(X, mix(35, 75)) == []
    assert left(X, mix(35, 75, "doubtful")) == []
    assert left(X, mix(44, 50)) == []
    assert left(X, mix(35, 75), enabled=False) == [mix(35, 75)]


def test_fades_and_dissolves_elsewhere_stay():
    X = film("cover", 0)
    kept = [mix(10, 20), mix(35, 75, "fade_out"), mix(70, 80)]
    assert left(X, *kept) == kept


def test_a_mix_stays_and_a_slide_of_which_one_is_not_sure_takes_nothing(monkeypatch):
    assert left(dissolve(), mix(40, 53)) == [mix(40, 53)]
    assert off_mix(dissolve()[39:55].astype(np.float32)) > 2
    assert off_mix(film("push", 0)[39:55].astype(np.float32)) < 0.25
    monkeypatch.setattr(mistaken, "SURE", 50.0)  # a negative control
    assert left(film("cover", 0), mix(35, 75)) == [mix(35, 75)]
