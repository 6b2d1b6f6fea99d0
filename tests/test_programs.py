"""Made-up screens, and planes before a camera, to train the network of screens with."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from desk import Sheet, look
from filmed import filmed
from mark_material import has_fonts
from programs_held import HELD
from programs_used import PROGRAMS, used
from rooms import PLANES
from rooms_held import HELD_PLANES

from wanprep.signals.screens import screen
from wanprep.stages.filter import REGISTRY

pytestmark = pytest.mark.skipif(not has_fonts(), reason="not all fonts are there that mark_material.py names")
LIMIT = REGISTRY["screen"].threshold


@pytest.fixture(scope="module")
def stills():
    """Two soft pictures."""
    rng = np.random.default_rng(0)
    return [cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (480, 270)) for _ in range(2)]


def thumbs(pictures: np.ndarray) -> np.ndarray:
    """BGR, as wide as they are kept."""
    size = 256, round(256 * pictures.shape[1] / pictures.shape[2])
    return np.stack([cv2.resize(picture, size, interpolation=cv2.INTER_AREA)[..., ::-1] for picture in pictures])


def test_what_nothing_is_trained_on_is_of_other_kinds():
    assert not set(HELD) & set(PROGRAMS)
    assert not set(HELD_PLANES) & set(PLANES)
    assert not {template.__module__ for template in HELD.values()} & {it.__module__ for it in PROGRAMS.values()}


@pytest.mark.parametrize("kind", [*PROGRAMS, *HELD])
def test_a_program_has_panes_within_its_sheet_and_is_the_same_for_one_seed(stills, kind):
    made = []
    for seed in (1, 1, 2):
        rng = np.random.default_rng(seed)
        sheet = Sheet(854, 480, look(rng, 10), rng, stills)
        panes = {**PROGRAMS, **HELD}[kind](sheet)
        assert all(0 <= pane.x < 854 and 0 <= pane.y < 480 and pane.wide > 0 and pane.high > 0 for pane in panes)
        assert all(pane.plays or len(pane.whole) >= pane.high for pane in panes)
        made.append(sheet.pixels())
    assert made[0].shape == (480, 854, 3)
    assert (made[0] == made[1]).all()
    assert (made[0] != made[2]).any()


def test_screens_are_used_something_scrolls_is_written_opens_or_goes(stills):
    shown = [used(np.random.default_rng(k), PROGRAMS["terminal"], stills, 3) for k in range(6)]
    assert {x.dtype for x in shown} == {np.dtype(np.uint8)}
    assert {len(x) for x in shown} == {3}
    assert sum((x[0] != x[2]).any() for x in shown) > 3
    assert (shown[0] == used(np.random.default_rng(0), PROGRAMS["terminal"], stills, 3)).all()


@pytest.mark.parametrize("kind", [*PLANES, *HELD_PLANES])
def test_planes_are_seen_under_uneven_light_with_noise(stills, kind):
    rng = np.random.default_rng(4)
    plane = {**PLANES, **HELD_PLANES}[kind](rng, stills, [PROGRAMS["terminal"]])
    seen = filmed(plane, rng, 3)
    assert seen.shape == (3, 360, 640, 3)
    assert seen.dtype == np.uint8
    assert (seen[0] != seen[1]).mean() > 0.2


def test_most_programs_that_nothing_is_trained_on_are_told_and_hardly_a_plane(stills):
    found = [screen(thumbs(used(np.random.default_rng(7), maker, stills, 3))) > LIMIT for maker in HELD.values()]
    templates = [PROGRAMS["terminal"], PROGRAMS["mail"]]
    makers = {**PLANES, **HELD_PLANES}.values()
    planes = [filmed(make(np.random.default_rng(0), stills, templates), np.random.default_rng(0), 3) for make in makers]
    flagged = [screen(thumbs(seen)) > LIMIT for seen in planes]
    assert np.mean(found) > 0.75
    assert np.mean(flagged) < 0.1
