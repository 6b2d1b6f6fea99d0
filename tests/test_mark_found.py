"""Other material to train the network of overlays with: what is made of a folder of it."""

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import gliding, make_video

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))

from mark_examples import Examples
from mark_found import HEIGHT, KINDS, PICTURES, WIDTH, Found, groups, load, pack
from screens_made import COUNT, card, desktop


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("found"), np.random.default_rng(0)
    for kind, colours in (("photos", 3), ("screens", 3), ("things", 4)):
        (root / kind / "book").mkdir(parents=True)
        picture = cv2.resize(rng.integers(0, 256, (9, 16, colours), np.uint8), (800, 450))
        if kind == "things":
            picture[..., 3] = 0
            picture[150:300, 200:600, 3] = 255
        for name in ("a", "b"):
            cv2.imwrite(str(root / kind / "book" / f"{name}.png"), picture)
    return root


@pytest.fixture(scope="module")
def pieces(folder):
    pack(folder / "found.npz", [folder])
    return load(folder / "found.npz")


def test_pictures_come_back_smaller_with_their_sources_and_the_transparency_of_things(pieces):
    assert [(kind, source) for kind, source, _ in pieces] == [
        (kind, f"{kind}/book") for kind in KINDS[1:] for _ in range(2)
    ]
    assert all(pictures.shape == (1, 360, 640, 4 if kind == "things" else 3) for kind, _, pictures in pieces)
    cover = pieces[-1][2][0, ..., 3]
    assert cover[180, 320] > 250
    assert cover[20, 20] < 5


def test_what_is_no_picture_of_its_kind_is_told(folder, tmp_path):
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "plain.png").write_bytes((folder / "photos" / "book" / "a.png").read_bytes())
    with pytest.raises(ValueError, match=r"plain\.png is no picture with transparency"):
        pack(tmp_path / "found.npz", [tmp_path])


@pytest.mark.parametrize("kind", KINDS[1:])
def test_scenes_of_each_kind_are_colour_pictures_of_one_size_in_which_something_may_move(pieces, kind):
    examples = Examples([("s", 0, np.zeros((2, HEIGHT, WIDTH), np.uint8))], [np.zeros((8, 8), np.uint8)], seed=1)
    found = Found([piece for piece in pieces if piece[0] == kind])
    scenes = [found.scene(np.random.default_rng(k), 4, examples._filmed) for k in range(12)]
    assert all(x.shape == (4, HEIGHT, WIDTH, 3) and x.dtype == np.uint8 for x, _ in scenes)
    assert any((x[0] != x[3]).any() for x, _ in scenes)
    assert all((x == x[:1]).all() for x, fixed in scenes if fixed)


def test_a_film_gives_groups_half_a_second_apart_and_slow_ones(tmp_path):
    views = gliding(3, 84, speed=2.0)
    path = make_video(tmp_path / "film.mp4", frames=84, size=(128, 72), picture=lambda k, w, h: views[k])
    found = list(groups(path, np.random.default_rng(0)))
    assert {group.shape for group in found} == {(PICTURES, 288, WIDTH, 3)}
    steps = [np.abs(np.diff(group.astype(int), axis=0)).mean() for group in found]
    assert min(steps[::2]) > 1.5 * max(steps[1::2])


def test_desktops_and_test_cards_are_pictures_of_one_size_and_the_same_for_one_seed(pieces):
    windows = [pictures[0] for kind, _, pictures in pieces if kind == "screens"]
    for make in (lambda rng: desktop(rng, windows, windows), card):
        made = [make(np.random.default_rng(k)) for k in range(6)]
        assert all(len(x) == COUNT and x.shape[3] == 3 and x.dtype == np.uint8 for x in made)
        assert any((x[0] != x[-1]).any() for x in made)
        assert (made[5] == make(np.random.default_rng(5))).all()
