"""Ends of dissolves and fades: the less well they can be seen, the wider the margin; nothing else is asked about."""

import numpy as np
import pytest

from wanprep.signals import ends
from wanprep.signals.ends import NAMES, SHORTEST, sides, with_widths
from wanprep.signals.pictures import Pictures
from wanprep.signals.shots import Transition

H, W = 12, 16


def scene(rng: np.random.Generator, n: int, pace: float) -> np.ndarray:
    """float64[n, H, W]: a camera that moves `pace` places a frame over a soft picture."""
    wide = rng.normal(0, 1, (H, 200))
    for _ in range(2):
        wide = (wide + np.roll(wide, 1, 1) + np.roll(wide, -1, 1) + np.roll(wide, 1, 0)) / 2
    wide = 120 + 40 * wide / wide.std()
    at = pace * np.arange(n)
    low, share = at.astype(int), (at - at.astype(int))[:, None, None]
    left, right = (np.stack([wide[:, k + d : k + d + W] for k in low]) for d in (0, 1))
    return left * (1 - share) + right * share


def stored(frames: np.ndarray) -> tuple[Pictures, np.ndarray]:
    """The pictures and the energy of their edges."""
    frames = np.clip(frames.round(), 0, 255)
    edges = np.mean(np.diff(frames, axis=1)[:, :, 1:] ** 2 + np.diff(frames, axis=2)[:, 1:] ** 2, axis=(1, 2))
    return Pictures(frames.reshape(len(frames), -1).astype(np.uint8)), edges


def mixed(
    seed: int, at: int = 50, length: int = 20, paces: tuple[float, float] = (0.06, 0.1)
) -> tuple[Pictures, np.ndarray]:
    """120 frames of two scenes and a dissolve of frames at..at + length - 1."""
    rng = np.random.default_rng(seed)
    old, new = (scene(rng, 120, pace) for pace in paces)
    share = np.clip((np.arange(120) - at + 1) / (length + 1), 0, 1)[:, None, None]
    return stored(old * (1 - share) + new * share)


def span(first: int = 50, last: int = 69, kind: str = "dissolve") -> Transition:
    return Transition(kind=kind, first=first, last=last)


def widths(T: Pictures, edges: np.ndarray, *spans: Transition, cuts: tuple[int, ...] = ()) -> list[tuple[float, float]]:
    return [t.wide for t in with_widths(T, edges, cuts, spans or (span(),))]


def test_margins_are_wider_where_the_pictures_move() -> None:
    quiet = np.array([widths(*mixed(seed, paces=(0.06, 0.06))) for seed in range(4)])
    moving = np.array([widths(*mixed(seed, paces=(1.0, 1.0))) for seed in range(4)])
    assert (quiet < moving).all()
    assert quiet.mean() + 0.25 < moving.mean()


@pytest.mark.parametrize("seed", range(4))
def test_a_mix_of_which_only_the_middle_was_found_needs_more(seed: int) -> None:
    T, edges = mixed(seed)
    ((before, after),) = widths(T, edges, span(57, 62))
    ((all_before, all_after),) = widths(T, edges, span())
    assert before > all_before
    assert after > all_after


def swept(seed: int, soft: float = 1.2, at: int = 50, length: int = 20) -> tuple[Pictures, np.ndarray]:
    """As `mixed`, from left to right: the edge is `soft` pictures wide, and in the middle it looks like a dissolve."""
    rng = np.random.default_rng(seed)
    old, new = (scene(rng, 120, pace) for pace in (0.06, 0.1))
    way = np.clip((np.arange(120) - at + 1) / (length + 1), 0, 1)[:, None, None]
    share = np.clip((way * (1 + soft) - np.linspace(0, 1, W)) / soft, 0, 1)
    return stored(old * (1 - share) + new * share)


@pytest.mark.parametrize("seed", range(4))
def test_the_middle_of_a_soft_wipe_needs_more_than_a_whole_dissolve(seed: int) -> None:
    found = span(56, 63)
    ((before, after),) = widths(*swept(seed), found)
    ((whole_before, whole_after),) = widths(*mixed(seed, at=56, length=8), found)
    assert before > whole_before
    assert after > whole_after
    asked = [it for *_, it in sides(*swept(seed), (), [found])]
    control = [it for *_, it in sides(*mixed(seed, at=56, length=8), (), [found])]
    assert min(it["apart"] for it in asked) > max(it["apart"] for it in control)


@pytest.mark.parametrize("seed", range(4))
def test_along_the_edge_of_a_wipe_places_come_early(seed: int) -> None:
    films = swept(seed, soft=0.05), mixed(seed)
    wiped, whole = ([it["early"] for *_, it in sides(*film, (), [span()])] for film in films)
    assert all(there > here + 0.05 for there, here in zip(wiped, whole))


def test_what_the_ends_of_wipes_are_asked_about_is_left_to_them() -> None:
    T, edges = mixed(0)
    doubtful = span(kind="doubtful")
    assert list(sides(T, edges, (), [doubtful]))
    assert not list(sides(T, edges, (), [doubtful], {(50, 69)}))
    assert [t.wide for t in with_widths(T, edges, (), [doubtful], {(50, 69)})] == [(1.0, 1.0)]


def test_backwards_the_two_ends_change_places() -> None:
    T, edges = mixed(1, at=40)
    ((before, after),) = widths(T, edges, span(40, 59))
    ((other, first),) = widths(T.backwards(), edges[::-1], span(119 - 59, 119 - 40))
    assert (first, other) == pytest.approx((before, after))
    assert before != after


@pytest.mark.parametrize("kind", ["wipe", "odd", "black"])
def test_what_is_no_mix_keeps_the_usual_margin(kind: str) -> None:
    T, edges = mixed(0)
    assert widths(T, edges, span(kind=kind), span(80, 80 + SHORTEST - 2)) == [(1.0, 1.0)] * 2


def test_of_a_fade_only_the_end_with_the_picture_is_asked_about() -> None:
    T, edges = stored(
        scene(np.random.default_rng(3), 60, 0.06) * np.clip((np.arange(60) - 5) / 20, 0, 1)[:, None, None]
    )
    asked = {kind: [side for _, side, _ in sides(T, edges, (), [span(6, 24, kind)])] for kind in ends.FADES}
    assert asked == {"fade_in": [1], "fade_out": [0], "dip_to_black": [0, 1], "dip_to_white": [0, 1]}
    ((before, after),) = widths(T, edges, span(6, 24, "fade_in"))
    assert before == 1.0 != after


def test_nothing_is_seen_beyond_a_cut_or_the_neighbour() -> None:
    T, edges = mixed(2)
    X = T[:].reshape(-1, 12, 16)
    X[:45], X[80:] = 255 - X[:45], 20
    other, other_edges = stored(X)
    other_edges[45:80] = edges[45:80]
    spans = span(), span(80, 119, "black")
    seen, unchanged = (widths(*film, *spans, cuts=(45,))[0] for film in ((other, other_edges), (T, edges)))
    assert seen == pytest.approx(unchanged, abs=1e-6)
    assert widths(other, other_edges)[0] != pytest.approx(widths(T, edges)[0], abs=1e-2)


@pytest.mark.parametrize(("first", "last"), [(0, 19), (100, 119), (0, 119), (1, 3)])
@pytest.mark.parametrize("kind", ends.MIXES)
def test_a_mix_at_the_end_of_a_film_is_measured(kind: str, first: int, last: int) -> None:
    for T, edges in (mixed(5), stored(np.full((120, 12, 16), 90.0))):
        for _, _, found in sides(T, edges, (), [span(first, last, kind)]):
            assert set(found) == set(NAMES)
            assert np.isfinite(list(found.values())).all()
        ((before, after),) = widths(T, edges, span(first, last, kind))
        assert ends.LEAST <= min(before, after) <= max(before, after) <= ends.MOST
