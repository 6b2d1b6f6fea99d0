"""Pushes, covers and reveals from all four sides are found; a pan by just one picture and what passes are none."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals import pictures
from wanprep.signals.meter import TINY_HEIGHT as HEIGHT
from wanprep.signals.meter import TINY_WIDTH as WIDTH
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import WipeRules
from wanprep.signals.slide_lines import KINDS, WAYS, across_edge, along, nearly, off_lines, onward
from wanprep.signals.slides import BIAS, WEIGHTS, against_tilt, evidence, find_slides, judge, slow_evidence
from wanprep.signals.wipes import goes_on


def picture(seed: int) -> np.ndarray:
    """float32[P]: coarse light and dark, with some detail."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.normal(0, 1, (4, 5)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.clip(120 + 45 * coarse + rng.normal(0, 8, coarse.shape), 0, 255).astype(np.float32).ravel()


def line(A: np.ndarray, B: np.ndarray, kind: str, way: int) -> np.ndarray:
    """float32[K, P]: pictures from A float32[P] to B as the edge goes over them, made one by one."""

    def turned(x: np.ndarray) -> np.ndarray:  # such that the edge comes from the right
        x = x.T if way >= 2 else x
        return x[:, ::-1] if way % 2 else x

    a, b = (turned(x.reshape(HEIGHT, WIDTH)) for x in (A, B))
    size, out = a.shape[1], []
    for k in range(size + 1):
        old = a[:, : size - k] if kind == "cover" else a[:, k:]
        new = b[:, size - k :] if kind == "reveal" else b[:, :k]
        x = np.concatenate([old, new], axis=1)
        x = x[:, ::-1] if way % 2 else x
        out.append((x.T if way >= 2 else x).ravel())
    return np.stack(out)


def film(kind: str, way: int, length: int = 14, n: int = 90, at: int = 40) -> np.ndarray:
    """float32[n, P]: one picture, `length` frames from frame `at` on in which the other slides in, and that one."""
    flips = {1: np.s_[:, ::-1], 3: np.s_[::-1]}  # so that the same sides meet
    A, B = (picture(seed).reshape(HEIGHT, WIDTH)[flips.get(way, np.s_[:])].ravel() for seed in (9, 10))
    C = line(A, B, kind, way)
    share = np.clip((np.arange(n) - at + 1) / (length + 1), 0, 1) * (len(C) - 1)
    low = np.minimum(share.astype(int), len(C) - 2)
    X = C[low] + (share - low)[:, None] * (C[low + 1] - C[low])
    return X + np.random.default_rng(3).normal(0, 1.5, X.shape).astype(np.float32)


def found(X: np.ndarray, walls=(), **rules) -> list[tuple[int, int]]:
    settings = WipeRules(**rules)
    slides = find_slides(Pictures(X.astype(np.float32)), settings, walls, np.ones(len(X), bool))
    return sorted({(s.first, s.last) for s in slides if s.odds >= settings.min_odds})


@pytest.mark.parametrize("way", range(WAYS))
@pytest.mark.parametrize("kind", KINDS)
def test_slides_of_every_kind_from_every_side(kind, way):
    spans = found(film(kind, way))
    assert spans
    for first, last in spans:
        assert abs(first - 40) <= 2
        assert abs(last - 53) <= 2


def gliding(kind: str, way: int = 0, drift: float = 0.25, length: int = 16, n: int = 90, at: int = 40) -> np.ndarray:
    """float32[n, P]: as `film`, of two shots in which the camera glides down by `drift` places a frame meanwhile."""
    import cv2

    rng, views = np.random.default_rng(12), []
    for _ in range(2):
        tall = cv2.resize(rng.normal(0, 1, (14, 5)).astype(np.float32), (WIDTH, 48), interpolation=cv2.INTER_CUBIC)
        tall = np.clip(120 + 45 * tall, 0, 255)
        moved = (np.array([[1, 0, 0], [0, 1, -drift * t]], np.float32) for t in range(n))
        views.append([cv2.warpAffine(tall, move, (WIDTH, HEIGHT)).ravel() for move in moved])
    share, X = np.clip((np.arange(n) - at + 1) / (length + 1), 0, 1), []
    for t, (A, B) in enumerate(zip(*views)):
        C, p = line(A, B, kind, way), share[t] * (WIDTH if way < 2 else HEIGHT)
        low = min(int(p), len(C) - 2)
        X.append(C[low] + (p - low) * (C[low + 1] - C[low]))
    return (np.stack(X) + rng.normal(0, 1.5, (n, WIDTH * HEIGHT))).astype(np.float32)


@pytest.mark.parametrize(("kind", "drift"), [("push", 0.03), ("cover", 0.1), ("reveal", 0.15)])
def test_slides_between_shots_in_which_the_camera_glides(kind, drift, monkeypatch):
    spans = found(gliding(kind, drift=drift))
    assert spans
    for first, last in spans:
        assert abs(first - 40) <= 2
        assert abs(last - 55) <= 2
    monkeypatch.setattr("wanprep.signals.slides.MOST_OFF", 0.05)  # a negative control
    assert found(gliding(kind, drift=drift)) == []


def test_an_edge_that_only_goes_on_is_not_led_astray_by_one_frame():
    A, B = picture(9), picture(10)
    frames = line(A, B, "push", 0)[1:-1].astype(np.float32)
    frames[6] = 0.55 * line(A, B, "push", 0)[14] + 0.45 * frames[6]
    off = off_lines(frames, A[None], B[None], 0, ["push"])
    even = np.arange(1, WIDTH) / WIDTH
    alone, _ = along(off)
    assert np.abs(alone[:, 0] - even).max() > 0.3
    p, far = onward(*nearly(off[:, 0]))
    assert (np.diff(p) >= -1 / WIDTH).all()
    assert np.abs(p - even).max() < 0.1
    assert far.argmax() == 6


@pytest.mark.parametrize("way", range(WAYS))
def test_a_line_goes_from_one_picture_to_the_other_and_holds_what_is_between(way):
    A, B, X = (np.stack([picture(seed), picture(seed + 1)]) for seed in (9, 20, 30))
    off = off_lines(X, A, B, way)
    for k, kind in enumerate(KINDS):
        C = np.stack([line(a, b, kind, way) for a, b in zip(A, B)])
        assert np.array_equal(C[:, 0], A)
        assert np.array_equal(C[:, -1], B)
        assert np.array_equal(off[:, k], X[:, None] - C)  # to the bit
        assert np.array_equal(off_lines(X, A, B, way, [kind]), off[:, [k]])
        assert np.array_equal(off_lines(X, A[:1], B[:1], way, [kind])[1, 0], X[1] - C[0])  # one line for all
        p, left = along(off_lines((C[:, 5] + C[:, 6]) / 2, A, B, way))
        assert p[:, k] == pytest.approx(5.5 / (C.shape[1] - 1), abs=1e-3)
        assert left[:, k] == pytest.approx(0, abs=0.01)


def test_a_push_from_the_right_comes_from_the_right():
    A, B = (picture(seed) for seed in (9, 10))
    shown = -off_lines(np.zeros((1, A.size), np.float32), A[None], B[None], 0)[0, 0, 4].reshape(HEIGHT, WIDTH)
    assert np.array_equal(shown[:, :-4], A.reshape(HEIGHT, WIDTH)[:, 4:])
    assert np.array_equal(shown[:, -4:], B.reshape(HEIGHT, WIDTH)[:, :4])


def panorama(travel: float, n: int = 90, at: int = 40, length: int = 14) -> np.ndarray:
    """float32[n, P]: a camera that stands, pans by `travel` pictures in `length` frames, and stands."""
    import cv2

    rng = np.random.default_rng(5)
    wide = cv2.resize(rng.normal(0, 1, (4, 14)).astype(np.float32), (WIDTH * 3, HEIGHT), interpolation=cv2.INTER_CUBIC)
    wide = np.clip(120 + 45 * wide, 0, 255)
    share = np.clip((np.arange(n) - at + 1) / (length + 1), 0, 1) * travel * WIDTH
    views = [cv2.warpAffine(wide, np.array([[1, 0, -x - 0.5], [0, 1, 0]], np.float32), (WIDTH, HEIGHT)) for x in share]
    return np.stack(views).reshape(n, -1) + rng.normal(0, 1.5, (n, WIDTH * HEIGHT))


@pytest.mark.parametrize("travel", [0.7, 1.0, 1.3])
def test_a_camera_that_pans_is_none(travel):
    assert found(panorama(travel)) == []


def test_a_camera_that_tilts_from_a_sky_is_none(monkeypatch):
    import cv2

    rng = np.random.default_rng(5)
    scene = 110 + 45 * rng.normal(0, 1, (4, 5)).astype(np.float32)
    scene = cv2.resize(scene, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    tall = np.concatenate([np.full((HEIGHT, WIDTH), 200, np.float32), scene])
    tall = np.clip(cv2.GaussianBlur(tall, (0, 0), 0.7), 0, 255)
    down = np.clip((np.arange(90) - 39) / 15, 0, 1) * HEIGHT
    views = [cv2.warpAffine(tall, np.array([[1, 0, 0], [0, 1, -y]], np.float32), (WIDTH, HEIGHT)) for y in down]
    X = np.stack(views).reshape(90, -1)
    assert found(X, min_odds=-1.0) == []
    monkeypatch.setattr("wanprep.signals.slides.AGAINST", 0.0)  # a negative control
    assert found(X) != []


def test_of_a_plain_picture_only_what_the_camera_explains_speaks_against_a_slide():
    plain, full = np.full(192, 90, np.float32), picture(9)
    assert against_tilt(plain, full, np.log(0.02)) < -5
    assert against_tilt(full, plain, np.log(0.02)) < -5
    assert against_tilt(plain, full, np.log(0.2)) == 0
    assert against_tilt(full, picture(10), np.log(0.02)) == 0


def test_across_the_edge_two_pictures_differ_more_than_elsewhere():
    p = np.linspace(0, 1, 16)
    pushed = film("push", 0)[39:55]
    assert across_edge(pushed, p, 0) > 0.5
    assert across_edge(panorama(1.0)[39:55].astype(np.float32), p, 0) < 0.25


def test_the_odds_are_the_evidence_times_its_weights():
    T = Pictures(film("push", 0).astype(np.float32))
    found, first, last = evidence(T, 39, 54, "push", 0)
    rest = slow_evidence(T, 39, 54)
    assert found.keys() | rest.keys() == WEIGHTS.keys()
    odds = BIAS + sum(WEIGHTS[name] * found[name] for name in found)
    assert judge(T, 39, 54, "push", 0) == (pytest.approx(odds), first, last)
    best = max(s.odds for s in find_slides(T, WipeRules(), (), np.ones(len(T), bool)))
    assert best >= odds + WEIGHTS["uncarried"] * rest["uncarried"] - 1e-9  # ends are moved to where it is likeliest
    assert judge(T, 60, 75, "push", 0) == (-np.inf, 60, 75)
    assert evidence(T, 60, 75, "push", 0) is None


def test_what_comes_and_goes_again_is_none():
    X = film("cover", 0, length=8)
    X[52:60] = film("reveal", 0, length=8)[40:48][::-1]
    X[52:] = X[:1].repeat(len(X) - 52, axis=0)
    X[48:52] = X[48:49]
    T, plain = Pictures(X.astype(np.float32)), Pictures(film("cover", 0, length=8).astype(np.float32))
    best, alone = (max(s.odds for s in find_slides(it, WipeRules(), (), np.ones(len(X), bool))) for it in (T, plain))
    assert best < alone - 5
    assert goes_on(T, 40, 47)  # so it is none for shots.py
    assert not goes_on(plain, 40, 47)


def test_a_slide_spans_no_wall_and_no_taken_frame_and_can_be_switched_off():
    X = film("cover", 1)
    assert found(X, walls=[47]) == []
    assert found(X, enabled=False) == []
    assert find_slides(Pictures(X), WipeRules(), (), np.zeros(len(X), bool)) == []
    assert found(X[:5]) == []


def test_what_is_found_does_not_depend_on_where_a_part_ends(monkeypatch):
    X = film("reveal", 2)
    whole = found(X)
    monkeypatch.setattr(pictures, "PASS", 9)
    monkeypatch.setattr(pictures, "TOGETHER", 9)
    assert found(X) == whole
