"""Where one shot ends and the next begins: numbers of every frame first, every threshold afterwards.

`ShotMeter` feeds PySceneDetect's detectors from our own decode loop (one decode serves all signals) and keeps their
numbers instead of their verdicts. `find_shots` is pure: hard cuts from PySceneDetect's adaptive rule united with its
histogram rule, each then compared as pictures; gradual transitions from `gradual.py`; flashes, fast motion and
brightness changes must not cut. Legend: T float32[N, P], P luma values (0..255) of each frame's tiny picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wanprep.signals.gradual import GradualRules, Mix, find_mixes, likeness, rms

if TYPE_CHECKING:
    from wanprep.signals.store import Signals

FIELDS = ("content_val", "hist_diff", "luma_mean", "luma_p95")
TINY_WIDTH, TINY_HEIGHT = 16, 12  # 192 bytes a frame, 33 MB for two hours at 24 fps
HISTOGRAM_BINS = 128
SAME = 0.65  # likeness of pictures of one shot that the camera may have moved between


@dataclass(frozen=True, kw_only=True)
class ShotRules:
    """Thresholds of hard cuts; applied to stored numbers, so changing one decodes nothing.

    adaptive_ratio, adaptive_window, min_content: PySceneDetect's AdaptiveDetector (3.0, 2, 15).
    histogram: PySceneDetect's HistogramDetector threshold (0.20 at 128 bins), asked of isolated jumps only:
    a jump is isolated when it exceeds the steps around it `isolation` times.
    min_step: RMS luma difference (0..255) a cut shows at least. max_likeness: correlation (−1..1) of the pictures
    before and after, above which only light, noise or compression changed.
    flash_seconds: a bright event no longer than this with the same picture before and after is a flash, not a cut.
    dip_seconds: longest pause between a fade out and a fade in that still makes them one dip.
    """

    adaptive_ratio: float = 3.0
    adaptive_window: int = 2
    min_content: float = 15.0
    histogram: float = 0.20
    isolation: float = 3.0
    min_step: float = 5.0
    max_likeness: float = 0.9
    flash_seconds: float = 0.5
    dip_seconds: float = 0.5
    gradual: GradualRules = field(default_factory=GradualRules)

    def __post_init__(self) -> None:
        if self.adaptive_window < 1:
            raise ValueError(f"adaptive_window must be at least 1 frame, not {self.adaptive_window}")
        if not 0 < self.histogram < 1:
            raise ValueError(f"histogram must be between 0 and 1, not {self.histogram}")
        for name in ("adaptive_ratio", "min_content", "isolation", "min_step", "flash_seconds", "dip_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Frames first..last (inclusive) that belong to no shot.

    kind: dissolve | fade_in | fade_out | dip_to_black | dip_to_white | black.
    """

    kind: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class ShotList:
    """cuts: first frame of each shot that begins by a hard cut, ascending. transitions: in order, never overlapping."""

    n_frames: int
    cuts: tuple[int, ...]
    transitions: tuple[Transition, ...]

    def shots(self) -> list[tuple[int, int]]:
        """[start, end) of every shot: together with the transitions they cover each frame exactly once."""
        inside = np.ones(self.n_frames, bool)
        for t in self.transitions:
            inside[t.first : t.last + 1] = False
        starts = set(self.cuts) | {t.last + 1 for t in self.transitions} | {0}
        ends = {t.first for t in self.transitions} | {self.n_frames}
        edges = sorted(e for e in starts | ends if e <= self.n_frames)
        return [(a, b) for a, b in itertools.pairwise(edges) if inside[a]]


class ShotMeter:
    """Numbers of each frame against the one before. One object a source; frames in presentation order."""

    def __init__(self) -> None:
        from scenedetect.common import FrameTimecode
        from scenedetect.detectors import ContentDetector, HistogramDetector

        class Content(ContentDetector):
            """Exposes the score that PySceneDetect keeps for its own subclasses (no statistics: those add edges)."""

            def score(self, when: FrameTimecode, bgr: np.ndarray) -> float:
                self.process_frame(when, bgr)
                return float(self._frame_score or 0.0)

        self._content = Content(min_scene_len=0)
        self._histogram = HistogramDetector.calculate_histogram
        self._clock = FrameTimecode
        self._count = 0
        self._last: Any = None

    def feed(self, bgr: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        """bgr uint8[h, w, 3], about 256 px wide -> (numbers named FIELDS, tiny picture uint8[12, 16]).

        content_val 0..255 and hist_diff (a correlation, −1..1) are NaN on the first frame, which has no predecessor.
        """
        import cv2

        content = self._content.score(self._clock(self._count, 25.0), bgr)
        histogram = self._histogram(bgr, bins=HISTOGRAM_BINS)
        luma = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        share = np.cumsum(np.bincount(luma.ravel(), minlength=256))
        numbers = {"content_val": np.nan, "hist_diff": np.nan}
        if self._count:
            difference = cv2.compareHist(self._last, histogram, cv2.HISTCMP_CORREL)
            numbers = {"content_val": content, "hist_diff": difference}
        numbers["luma_mean"] = float(luma.mean())
        numbers["luma_p95"] = float(np.searchsorted(share, 0.95 * luma.size))
        self._last, self._count = histogram, self._count + 1
        return numbers, cv2.resize(luma, (TINY_WIDTH, TINY_HEIGHT), interpolation=cv2.INTER_AREA)


def find_shots(signals: Signals, rules: ShotRules) -> ShotList:
    """Cuts and transitions of one source from its stored numbers; pure."""
    N = len(signals.pts)
    if N < 2:
        return ShotList(n_frames=N, cuts=(), transitions=())
    T = signals.extra["tiny"].reshape(N, -1).astype(np.float32)
    fps = 1.0 / (float(np.median(np.diff(signals.pts))) * float(signals.time_base))
    mean, p95 = signals.frame["luma_mean"], signals.frame["luma_p95"]
    cuts = hard_cuts(signals.frame["content_val"], signals.frame["hist_diff"], T, rules)
    mixes = find_mixes(T, fps, rules.gradual, isolated_jumps(T, cuts, rules.isolation))
    cuts = outside_mixes(cuts, mixes, T)
    cuts, mixes = drop_flashes(cuts, mixes, T, mean, round(rules.flash_seconds * fps))
    transitions = join_dips(mixes, T, round(rules.dip_seconds * fps), rules.gradual.flat)
    transitions += black_runs(mean, p95, cuts, transitions)
    transitions.sort(key=lambda t: t.first)
    return ShotList(n_frames=N, cuts=tuple(cuts), transitions=tuple(transitions))


def adaptive_ratio(content: np.ndarray, window: int) -> np.ndarray:
    """content_val of each frame over the mean of its `window` neighbours on each side, 0..255.

    AdaptiveDetector's rule, vectorised; at the ends, where that detector is silent, the neighbours that exist count.
    """
    values = np.nan_to_num(content.astype(np.float64))
    total = np.convolve(values, np.ones(2 * window + 1))[window : window + len(values)] - values
    count = np.convolve(np.ones(len(values)), np.ones(2 * window + 1))[window : window + len(values)] - 1
    average = total / np.maximum(count, 1)
    # A still surrounding makes any jump infinitely large; PySceneDetect caps the ratio at 255 there, and so do we.
    return np.where(average < 1e-5, 255.0, np.minimum(values / np.maximum(average, 1e-5), 255.0))


def adaptive_cuts(content: np.ndarray, rules: ShotRules) -> np.ndarray:
    """Frame indices that AdaptiveDetector's rule calls cuts (min_scene_len 0)."""
    enough = np.nan_to_num(content) >= rules.min_content
    return np.flatnonzero((adaptive_ratio(content, rules.adaptive_window) >= rules.adaptive_ratio) & enough)


def hard_cuts(content: np.ndarray, histogram: np.ndarray, T: np.ndarray, rules: ShotRules) -> list[int]:
    """First frames of new shots: both rules' candidates, each verified by comparing the two pictures."""
    jumps = np.flatnonzero(np.nan_to_num(histogram, nan=1.0) <= 1 - rules.histogram)
    candidates = {*adaptive_cuts(content, rules), *isolated_jumps(T, jumps, rules.isolation)}
    found = np.array(sorted(candidates - {0}), np.int64)
    if not len(found):
        return []
    step = rms(T[found] - T[found - 1])
    changed = (step >= rules.min_step) & (likeness(T[found - 1], T[found]) < rules.max_likeness)
    return [int(i) for i in found[changed]]


def isolated_jumps(T: np.ndarray, frames: Sequence[int] | np.ndarray, times: float) -> list[int]:
    """Those of `frames` whose step from the frame before exceeds the steps on both sides `times` times."""
    at = np.array([i for i in frames if i > 0], np.int64)
    if not len(at):
        return []
    step = rms(T[at] - T[at - 1])
    before = rms(T[at - 1] - T[np.maximum(at - 2, 0)])
    after = rms(T[np.minimum(at + 1, len(T) - 1)] - T[at])
    return [int(i) for i in at[step >= times * np.maximum(before, after)]]


def outside_mixes(cuts: list[int], mixes: list[Mix], T: np.ndarray) -> list[int]:
    """Cuts that are not part of a transition: inside one, or a small step at its very edge."""
    kept = []
    for cut in cuts:
        step = float(rms(T[cut] - T[cut - 1]))
        near = [m for m in mixes if m.first - 1 <= cut <= m.last + 2]
        if not any(m.first <= cut <= m.last + 1 or step < 0.25 * m.change for m in near):
            kept.append(cut)
    return kept


def drop_flashes(
    cuts: list[int], mixes: list[Mix], T: np.ndarray, mean: np.ndarray, longest: int
) -> tuple[list[int], list[Mix]]:
    """Remove events during which the picture was only washed out by light, for at most `longest` frames."""
    light = mean, T.std(-1)
    kept = [c for c in cuts if not is_flash(T, light, c - 1, c, longest)]
    return kept, [m for m in mixes if not is_flash(T, light, m.first - 1, m.last + 1, longest)]


def is_flash(T: np.ndarray, light: tuple[np.ndarray, np.ndarray], before: int, after: int, longest: int) -> bool:
    """Whether an event is a flash. before: its last frame of the old state; after: its first of the new one;
    light: mean and deviation of every frame's luma.

    It is one when its brightest frame lies between two dimmer ones (by 20 of 255) of more contrast, at most `longest`
    frames apart, that show the same picture, and is washed out or shows that picture too.
    """
    mean, spread = light
    peak = before + int(np.argmax(mean[before : after + 1]))
    x = np.arange(max(0, peak - longest), peak)
    y = np.arange(peak + 1, min(len(T), peak + longest + 1))
    x, y = (g.ravel() for g in np.meshgrid(x, y))
    near = (y - x <= longest + 1) & (mean[peak] >= np.maximum(mean[x], mean[y]) + 20)
    near &= spread[peak] <= 0.9 * np.minimum(spread[x], spread[y])  # light washes out; a fade in brings contrast
    x, y = x[near], y[near]
    if not len(x):
        return False
    same = likeness(T[x], T[y]) >= SAME
    washed = (likeness(T[peak], T[x]) >= 0.5) | (spread[peak] <= 0.5 * spread[x])
    # A moving camera does not come back to the same picture, but no step on the way changes the picture either.
    steady = likeness(T[x.min() : y.max()], T[x.min() + 1 : y.max() + 1]).min() >= SAME
    return bool(np.any(same & washed)) or bool(steady)


def join_dips(mixes: list[Mix], T: np.ndarray, longest: int, flat: float) -> list[Transition]:
    """A fade out, at most `longest` flat frames and a fade in become one dip; the rest stay as they are.

    A short flat rest beside any other fade belongs to that fade: there is nothing in it to train on.
    """
    joined: list[Transition] = []
    bare = T.std(-1) <= flat
    for mix, following in zip(mixes, [*mixes[1:], None]):
        last = joined[-1] if joined else None
        first, end = mix.first, mix.last
        if mix.kind == "fade_in":
            first -= run_length(bare[last.last + 1 if last else 0 : first][::-1], longest)
        if last and last.kind == "fade_out" and mix.kind == "fade_in" and first == last.last + 1:
            dark = T[last.last : mix.first + 1].mean(-1).min() < 128
            kind = "dip_to_black" if dark else "dip_to_white"
            joined[-1] = Transition(kind=kind, first=last.first, last=mix.last)
            continue
        if mix.kind == "fade_out":
            end += run_length(bare[end + 1 : following.first if following else len(T)], longest)
        joined.append(Transition(kind=mix.kind, first=first, last=end))
    return joined


def run_length(flags: np.ndarray, longest: int) -> int:
    """How many leading flags are set; 0 when they are more than `longest`."""
    run = len(flags) if flags.all() else int(np.argmin(flags))
    return run if run <= longest else 0


def black_runs(mean: np.ndarray, p95: np.ndarray, cuts: list[int], transitions: list[Transition]) -> list[Transition]:
    """Runs of black frames (mean luma <= 8, 95th percentile <= 16 of 255) that begin or end with an event."""
    black = (mean <= 8) & (p95 <= 16)
    for t in transitions:
        black[t.first : t.last + 1] = False
    edges = np.flatnonzero(np.diff(np.concatenate([[False], black, [False]]).astype(np.int8)))
    events = {0, len(mean), *cuts} | {t.first for t in transitions} | {t.last + 1 for t in transitions}
    runs = zip(edges[::2], edges[1::2])
    return [Transition(kind="black", first=int(a), last=int(b) - 1) for a, b in runs if {int(a), int(b)} & events]
