"""Margins of wipes are as wide as their ends need: wider where only the middle of one was found."""

from __future__ import annotations

import numpy as np
import pytest

from wanprep.signals import ends
from wanprep.signals.pictures import Pictures
from wanprep.signals.shots import Transition
from wanprep.signals.wipe_ends import NAMES, sides, with_widths

H, W, N, FIRST, LAST = 12, 16, 120, 50, 69


def scene(rng: np.random.Generator, pace: float) -> np.ndarray:
    """float32[N, H, W]: a camera that moves `pace` places a frame over a soft picture."""
    wide = rng.normal(0, 1, (H, 200))
    for _ in range(2):
        wide = (wide + np.roll(wide, 1, 1) + np.roll(wide, -1, 1) + np.roll(wide, 1, 0)) / 2
    wide = 120 + 40 * wide / wide.std()
    at = pace * np.arange(N)
    low, share = at.astype(int), (at % 1)[:, None, None]
    return np.stack([wide[:, k : k + W] for k in low]) * (1 - share) + share * np.stack(
        [wide[:, k + 1 : k + 1 + W] for k in low]
    )


def film(seed: int, pace: float = 0.05) -> tuple[Pictures, np.ndarray]:
    """Two moving scenes and a wipe from the left in frames FIRST..LAST; the energy of edges."""
    rng = np.random.default_rng(seed)
    old, new = scene(rng, pace), scene(rng, pace)
    share = np.clip((np.arange(N) - FIRST + 1) / (LAST - FIRST + 2), 0, 1)[:, None, None] * W
    come = np.clip(share - np.arange(W), 0, 1)
    X = (old * (1 - come) + new * come).round().clip(0, 255)
    edges = np.mean(np.diff(X, axis=1)[:, :, 1:] ** 2 + np.diff(X, axis=2)[:, 1:] ** 2, axis=(1, 2))
    return Pictures(X.reshape(N, -1).astype(np.uint8)), edges


def span(first: int = FIRST, last: int = LAST, kind: str = "wipe") -> Transition:
    return Transition(kind=kind, first=first, last=last)


def widths(film: tuple[Pictures, np.ndarray], *spans: Transition, swept=()) -> list[tuple[float, float]]:
    return [t.wide for t in with_widths(*film, [], spans, swept)]


@pytest.mark.parametrize("seed", range(4))
def test_a_wipe_of_which_only_the_middle_was_found_needs_more(seed: int) -> None:
    ((before, after),) = widths(film(seed), span())
    ((wider_before, wider_after),) = widths(film(seed), span(FIRST + 6, LAST - 6))
    assert wider_before > before + 0.1
    assert wider_after > after + 0.1


def test_backwards_the_two_ends_change_places() -> None:
    T, edges = film(5)
    ((before, after),) = widths((T, edges), span(FIRST + 5, LAST))
    mirrored = span(N - 1 - LAST, N - 1 - FIRST - 5)
    assert widths((T.backwards(), edges[::-1]), mirrored)[0] == pytest.approx((after, before), abs=1e-6)


def test_what_is_no_wipe_keeps_its_margins_but_doubtful_spans_that_may_be_one() -> None:
    spans = [span(20, 30, "dissolve"), span(FIRST, LAST, "doubtful")]
    assert widths(film(0), *spans) == [(1.0, 1.0)] * 2
    (usual, asked) = widths(film(0), *spans, swept={(FIRST, LAST)})
    assert usual == (1.0, 1.0)
    assert asked != (1.0, 1.0)


def test_answers_are_within_bounds_and_every_number_is_known() -> None:
    spans = [span(0, 3), span(40, 44), span(N - 4, N - 1)]
    for wide in widths(film(1, 0.4), *spans):
        assert all(ends.LEAST <= times <= ends.MOST for times in wide)
    for _, _, found in sides(*film(1), [], spans, ()):
        assert set(found) == set(NAMES)
        assert np.isfinite(list(found.values())).all()
