"""The network that looks for drawn marks: what it finds on made-up shots, where, and what it must not take for one."""

import math

import cv2
import numpy as np
import pytest

from wanprep.signals import marks

H, W = 144, 256


def scene(seed: int, n: int = 5, step: float = 9.0) -> np.ndarray:
    """uint8[n, H, W, 3] thumbnails of a shot: a camera over noise and boxes, or a fixed one before a moving ball."""
    rng = np.random.default_rng(seed)
    canvas = np.full((2 * H, 2 * W, 3), rng.uniform(60, 190), np.float32)
    for cells, gain in ((3, 40), (10, 25), (40, 12)):
        noise = rng.normal(0, gain, (cells, cells * 2)).astype(np.float32)
        canvas += cv2.resize(noise, (2 * W, 2 * H), interpolation=cv2.INTER_CUBIC)[..., None]
    for _ in range(30):
        x, y, r = int(rng.integers(2 * W)), int(rng.integers(2 * H)), int(rng.integers(8, 60))
        cv2.rectangle(canvas, (x, y), (x + r, y + r), (float(rng.uniform(0, 255)),) * 3, -1)
    canvas = np.clip(canvas, 0, 255).astype(np.uint8)
    out = []
    for k in range(n):
        x = int(W // 2 + step * k)
        view = canvas[H // 2 : H // 2 + H, x : x + W].copy()
        if not step:
            cv2.circle(view, (40 + 25 * k, 70), 22, (90, 90, 90), -1)
        out.append(view)
    return np.stack(out)


def lettered(thumbs: np.ndarray, alpha: float, at=(186, 24), step=(0, 0), text="film.io") -> np.ndarray:
    out = []
    for k, thumb in enumerate(thumbs):
        cover = np.zeros((H, W), np.uint8)
        place = (at[0] + step[0] * k, at[1] + step[1] * k)
        cv2.putText(cover, text, place, cv2.FONT_HERSHEY_DUPLEX, 0.45, 255, 1, cv2.LINE_AA)
        share = alpha * cover[..., None] / 255
        out.append((thumb * (1 - share) + 255 * share).astype(np.uint8))
    return np.stack(out)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_a_mark_over_a_moving_scene_is_found_with_its_place(alpha):
    clean, marked, boxes, inside = [], [], 0, 0
    for seed in range(8):
        clean.append(marks.mark(scene(seed))[0])
        odds, box = marks.mark(lettered(scene(seed), alpha))
        marked.append(odds)
        if box:
            left, top, right, bottom = box
            boxes += 1
            inside += left < 245 / W and right > 186 / W and top < 26 / H and bottom > 12 / H  # they meet
    assert np.median(marked) > 2 > np.median(clean)
    assert np.mean(np.array(marked)[:, None] > clean) > 0.9
    assert boxes >= 5
    assert inside >= 0.7 * boxes


def test_a_mark_in_a_fixed_shot_looks_more_like_one_than_none():
    clean = [marks.mark(scene(seed, step=0))[0] for seed in range(8)]
    marked = [marks.mark(lettered(scene(seed, step=0), 0.9))[0] for seed in range(8)]
    assert np.mean(np.array(marked)[:, None] > clean) > 0.8


def test_lettering_that_moves_with_the_scene_is_none():
    """A sign in the street goes along with it; the same word that stays is a mark."""
    shot = [scene(seed, step=9) for seed in range(24)]
    signs = [marks.mark(lettered(s, 1.0, at=(150, 70), step=(-9, 0)))[0] for s in shot]
    stays = [marks.mark(lettered(s, 1.0, at=(150, 70)))[0] for s in shot]
    assert np.median(signs) < 1 < 2 < np.median(stays)


def tinted(thumbs: np.ndarray, shift: tuple[int, int, int]) -> np.ndarray:
    """The thumbnails, softened, with letters that add that much blue, green and red."""
    cover = lettered(np.zeros_like(thumbs), 1.0)[..., :1] / 255
    soft = np.stack([cv2.GaussianBlur(thumb, (0, 0), 2) for thumb in thumbs]) * 0.4 + 70.0
    return np.clip(soft + cover * np.array(shift), 0, 255).astype(np.uint8)


def test_a_coloured_mark_as_bright_as_the_scene_is_found():
    red = (0, -51, 100)  # adds nothing to luma
    shots = [scene(seed) for seed in range(8)]
    clean, marked = ([marks.mark(tinted(s, shift))[0] for s in shots] for shift in ((0, 0, 0), red))
    grays = [marks.lumas(tinted(s, red)) for s in shots]
    unseen = [marks.mark(np.repeat(np.stack(gray)[..., None], 3, axis=-1))[0] for gray in grays]
    assert np.median(marked) > 2 > max(np.median(unseen), np.median(clean)), (marked, unseen, clean)


def test_grey_pictures_are_judged_by_luma_alone():
    shot = lettered(np.repeat(scene(2)[..., :1], 3, axis=-1), 0.5)
    gray = marks.lumas(shot)
    np.testing.assert_array_equal(marks.maps(gray, marks.primaries(shot)), marks.maps(gray))


def test_too_little_to_look_at_is_unknown():
    for thumbs in (np.zeros((0, H, W, 3), np.uint8), scene(1, n=1), scene(1)[:, :20]):
        odds, box = marks.mark(thumbs)
        assert math.isnan(odds)
        assert box is None


@pytest.mark.parametrize("size", [(106, 256), (256, 144), (143, 255), (454, 256), (72, 128)])
def test_any_shape_gives_a_number(size):
    thumbs = np.stack([cv2.resize(t, size[::-1]) for t in scene(3)])
    assert math.isfinite(marks.mark(thumbs)[0])


def test_a_mirror_image_is_judged_alike():
    shot = lettered(scene(5), 0.6)
    there, here = marks.places(shot), marks.places(np.ascontiguousarray(shot[:, :, ::-1]))
    np.testing.assert_allclose(there, here[:, ::-1], atol=2e-3)
    alone = marks.network(marks.maps(marks.lumas(shot)), marks.load(marks.WEIGHTS))
    assert np.abs(there - alone).max() > 0.1  # the network by itself does not


def blank(*lines: tuple[int, float]) -> np.ndarray:
    """Places that say nothing, but for some rows."""
    places = np.full((36, 64), -6.0, np.float32)
    for row, odds in lines:
        places[row, 20:40] = odds
    return places


def test_places_that_all_scenes_share_count_and_mistakes_of_each_do_not():
    mistaken, _ = marks.common([blank((7 * k, 1.0 - 0.1 * k)) for k in range(5)], range(5))
    assert max(mistaken) < -1.9
    shown, box = marks.common([blank((7 * k, 3.0), (30, 1.0)) for k in range(5)], range(5))
    assert min(shown) == pytest.approx(1.0)
    assert box == pytest.approx((20 / 64, 30 / 36, 40 / 64, 31 / 36), abs=0.001)


def test_of_one_source_the_clips_without_the_mark_are_told_apart():
    looks, _ = marks.common([blank((30, 9.0)) if k != 2 else blank() for k in range(6)], range(6))
    assert looks[2] < -2
    assert min(looks[:2] + looks[3:]) > 2


def test_one_title_among_blank_scenes_convicts_none():
    looks, _ = marks.common([blank((30, 15.0)), blank(), blank()], range(3))
    assert max(looks) < -1.8


def test_common_places_of_clips_that_could_not_be_judged_or_differ_by_a_row():
    looks, _ = marks.common([np.zeros((36, 64)), np.zeros((0, 0)), np.ones((37, 64))], [0, 1, 2])
    assert looks[0] == pytest.approx(0.1)
    assert math.isnan(looks[1])
    assert looks[2] == pytest.approx(0.9)
    assert all(math.isnan(look) for look in marks.common([np.zeros((36, 64)), np.zeros((0, 0))], [0, 1])[0])


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_convolution_is_that_of_opencv(stride, dilation):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=(2, 11, 14)).astype(np.float32), rng.normal(size=(3, 2, 3, 3)).astype(np.float32)
    found = marks.conv(x, {"k.weight": kernel, "k.bias": np.ones(3, np.float32)}, "k", stride, dilation, relu=False)
    for o in range(3):
        wide = np.zeros((2, 2 * dilation + 1, 2 * dilation + 1), np.float32)
        wide[:, ::dilation, ::dilation] = kernel[o]
        expected = 1 + sum(
            cv2.filter2D(plane, cv2.CV_32F, k, borderType=cv2.BORDER_CONSTANT) for plane, k in zip(x, wide)
        )
        np.testing.assert_allclose(found[o], expected[::stride, ::stride], atol=1e-4)


@pytest.mark.parametrize(("look", "columns"), [(0, slice(20, 40)), (1, slice(24, 44))])
def test_what_the_network_sees_in_one_of_two_looks_counts_half(monkeypatch, look, columns):
    """The second is in a mirror: what is found there is turned back."""
    said = [blank(), blank()]
    said[look] = blank((30, 8.0))
    monkeypatch.setattr(marks, "network", lambda maps, weights: said.pop(0))
    places = marks.places(scene(1))
    assert places[30, columns] == pytest.approx(1.0)
    assert places.min() == places[0, 0] == -6.0
    assert (places > 0).sum() == 20


def test_one_clip_is_judged_by_more_places_than_feet_on_a_branch_take():
    """Twelve, as sure as can be, are less than eighteen."""
    places = np.full((36, 64), -6.0, np.float32)
    places.ravel()[:12] = 4.0
    assert marks.judged(places)[0] == pytest.approx((12 * 4 - 6 * 6) / 18)
    places.ravel()[:18] = 4.0
    assert marks.judged(places)[0] == pytest.approx(4.0)
