"""Where one shot ends and the next begins: numbers of every frame first, every threshold afterwards.

`ShotMeter` takes the numbers of PySceneDetect's detectors in our own decode loop (one decode serves all signals)
instead of their verdicts. `find_shots` is pure: hard cuts from `jumps.py`, gradual transitions from
`gradual.py`; what light alone did is taken out again by `flashes.py`. Legend: T float32[N, P], P luma values (0..255)
of each frame's tiny picture.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from wanprep.signals.flashes import is_flash
from wanprep.signals.gradual import GradualRules, Mix, find_mixes
from wanprep.signals.jumps import Series, blends, find_jumps
from wanprep.signals.mixing import rms
from wanprep.signals.tails import complete

if TYPE_CHECKING:
    from wanprep.signals.store import Signals

FIELDS = (
    *("content_val", "hist_diff", "luma_mean", "luma_p95"),
    *("edge_energy", "match", "best_match"),
)
TINY_WIDTH, TINY_HEIGHT = 16, 12  # 192 bytes a frame, 33 MB for two hours at 24 fps
HISTOGRAM_BINS = 128
MIN_BLEND = 10.0  # RMS luma difference by which a frame of two shots must differ from a frame of either
EDGE_SIZE = 64, 36  # of the picture whose edges are measured: motion blur and noise hardly show at this size
PLAIN = 0.04  # mean square of details of a plain wall or sky
REACH = 3  # pixels of 64 that a detail may move from frame to frame and still be found


@dataclass(frozen=True, kw_only=True)
class ShotRules:
    """Thresholds of hard cuts; applied to stored numbers, so changing one decodes nothing.

    min_odds: log-odds of a cut that a step must reach (see jumps.py; higher: fewer cuts, 0: even odds).
    min_step: RMS luma difference (0..255) a cut shows at least. max_likeness: correlation (−1..1) of the pictures
    before and after, above which only light, noise or compression changed.
    isolation: a cut that exceeds the steps around it so many times is one that no transition spans.
    flash_seconds: a bright event no longer than this with the same picture before and after is a flash, not a cut.
    dip_seconds: longest pause between a fade out and a fade in that still makes them one dip.
    """

    min_odds: float = 0.0
    min_step: float = 3.0
    max_likeness: float = 0.95
    isolation: float = 3.0
    flash_seconds: float = 1.0
    dip_seconds: float = 0.5
    gradual: GradualRules = field(default_factory=GradualRules)

    def __post_init__(self) -> None:
        if not 0 < self.max_likeness <= 1:
            raise ValueError(f"max_likeness must be in (0, 1], not {self.max_likeness}")
        for name in ("isolation", "min_step", "flash_seconds", "dip_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class Transition:
    """Frames first..last (inclusive) that belong to no shot.

    kind: dissolve | fade_in | fade_out | dip_to_black | dip_to_white | black | doubtful.
    """

    kind: str
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class ShotList:
    """cuts: first frame of each shot that begins by a hard cut, ascending. transitions: in order, never overlapping.
    doubtful: spans beside them in which two pictures may mix; not sure enough to be called a transition."""

    n_frames: int
    cuts: tuple[int, ...]
    transitions: tuple[Transition, ...]
    doubtful: tuple[Transition, ...] = ()

    def shots(self) -> list[tuple[int, int]]:
        """[start, end) of every shot: with the transitions and doubtful spans they cover each frame exactly once."""
        inside, between = np.ones(self.n_frames, bool), (*self.transitions, *self.doubtful)
        for t in between:
            inside[t.first : t.last + 1] = False
        starts = set(self.cuts) | {t.last + 1 for t in between} | {0}
        ends = {t.first for t in between} | {self.n_frames}
        edges = sorted(e for e in starts | ends if e <= self.n_frames)
        return [(a, b) for a, b in itertools.pairwise(edges) if inside[a]]


class ShotMeter:
    """Numbers of each frame against the one before. One object a source; frames in presentation order.

    content_val and hist_diff are those of PySceneDetect's ContentDetector and HistogramDetector, to the bit
    (tests/signals/test_shots.py); the first is computed here, with a third of the work.
    """

    def __init__(self) -> None:
        from scenedetect.detectors import HistogramDetector

        self._histogram = HistogramDetector.calculate_histogram
        self._hsv: Any = None
        self._last: Any = None
        self._details: Any = None

    def feed(self, bgr: np.ndarray, luma: np.ndarray | None = None) -> tuple[dict[str, float], np.ndarray]:
        """bgr uint8[h, w, 3], about 256 px wide -> (numbers named FIELDS, tiny picture uint8[12, 16]). luma: its
        COLOR_BGR2GRAY, uint8[h, w], where the caller has it anyway.

        content_val 0..255, hist_diff, match and best_match (correlations, −1..1) are NaN on the first frame, which has
        no predecessor.
        """
        import cv2

        luma = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY) if luma is None else luma
        hsv = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV)
        histogram = self._histogram(bgr, bins=HISTOGRAM_BINS)
        edges = cv2.resize(luma, EDGE_SIZE, interpolation=cv2.INTER_AREA)
        detail = details(edges)
        numbers = dict.fromkeys(FIELDS, np.nan)
        if self._hsv is not None:
            change = cv2.sumElems(cv2.absdiff(hsv, self._hsv))[:3]
            numbers["content_val"] = sum(part / luma.size for part in change) / 3.0
            numbers["hist_diff"] = cv2.compareHist(self._last, histogram, cv2.HISTCMP_CORREL)
            numbers["match"], numbers["best_match"] = matches(self._details, detail)
        share = np.cumsum(cv2.calcHist([luma], [0], None, [256], [0, 256]))
        numbers["luma_mean"] = cv2.sumElems(luma)[0] / luma.size
        numbers["luma_p95"] = float(np.searchsorted(share, 0.95 * luma.size))
        numbers["edge_energy"] = edge_energy(edges)
        self._hsv, self._last, self._details = hsv, histogram, detail
        return numbers, cv2.resize(luma, (TINY_WIDTH, TINY_HEIGHT), interpolation=cv2.INTER_AREA)


def edge_energy(luma: np.ndarray) -> float:
    """Mean squared step to the pixel below and to the right, levels² (uint8[h, w] -> float)."""
    import cv2

    corner = luma[:-1, :-1]
    return (
        cv2.norm(luma[1:, :-1], corner, cv2.NORM_L2SQR) + cv2.norm(luma[:-1, 1:], corner, cv2.NORM_L2SQR)
    ) / corner.size


def details(luma: np.ndarray) -> np.ndarray:
    """What stands out from its surroundings, as a multiple of how much does so there: unmoved by light, and the same in
    a dark picture as in a bright one (uint8[h, w] -> float32[h, w])."""
    import cv2

    x = luma.astype(np.float32)
    x -= cv2.blur(x, (5, 5))
    return x / (cv2.sqrt(cv2.blur(x * x, (9, 9))) + 1.5)


def matches(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """How well the quarters of one picture's details are found in the other's: mean and best correlation, −1..1.

    Each quarter may have moved by REACH pixels. Fast motion lowers all, as a cut does; an overlay, a light or
    something passing leaves one. Quarters without detail in either picture say nothing; (1, 1) when none has any.
    """
    import cv2

    h, w = after.shape[0] // 2, after.shape[1] // 2
    found = []
    for y in (0, h):
        for x in (0, w):
            window, part = before[y : y + h, x : x + w], after[y + REACH : y + h - REACH, x + REACH : x + w - REACH]
            if max(cv2.norm(window, cv2.NORM_L2SQR) / window.size, cv2.norm(part, cv2.NORM_L2SQR) / part.size) >= PLAIN:
                found.append(float(cv2.matchTemplate(window, part, cv2.TM_CCORR_NORMED).max()))
    return (sum(found) / len(found), max(found)) if found else (1.0, 1.0)


def find_shots(signals: Signals, rules: ShotRules) -> ShotList:
    """Cuts and transitions of one source from its stored numbers; pure."""
    N = len(signals.pts)
    if N < 2:
        return ShotList(n_frames=N, cuts=(), transitions=())
    T = signals.extra["tiny"].reshape(N, -1).astype(np.float32)
    fps = 1.0 / (float(np.median(np.diff(signals.pts))) * float(signals.time_base))
    mean, p95 = signals.frame["luma_mean"], signals.frame["luma_p95"]
    thresholds = {"min_odds": rules.min_odds, "min_step": rules.min_step, "max_likeness": rules.max_likeness}
    jumps = find_jumps(Series.of(signals.frame), T, **thresholds)
    cuts = list(jumps.cuts)
    mixes = find_mixes(
        T,
        signals.frame["edge_energy"],
        fps,
        rules.gradual,
        sorted({*jumps.sure, *isolated_jumps(T, cuts, rules.isolation)}),
    )
    cuts = outside_mixes(cuts, [m for m in mixes if m.kind != "doubtful"], T)
    cuts, mixes = drop_flashes(cuts, mixes, T, round(rules.flash_seconds * fps))
    mixes = complete(T, mixes, cuts, round(2 * rules.gradual.max_seconds * fps))
    transitions = join_dips(
        [m for m in mixes if m.kind != "doubtful"], T, round(rules.dip_seconds * fps), rules.gradual.flat
    )
    cuts, blended = split_blends(T, cuts, transitions)
    transitions += blended
    transitions += black_runs(mean, p95, cuts, transitions)
    transitions.sort(key=lambda t: t.first)
    doubtful = beside([m for m in mixes if m.kind == "doubtful"], cuts, transitions, N)
    return ShotList(n_frames=N, cuts=tuple(cuts), transitions=tuple(transitions), doubtful=tuple(doubtful))


def split_blends(T: np.ndarray, cuts: list[int], transitions: list[Transition]) -> tuple[list[int], list[Transition]]:
    """Cuts of which one frame shows both shots become a transition of that frame; the others stay cuts."""
    taken = np.zeros(len(T) + 1, bool)
    for t in transitions:
        taken[t.first : t.last + 1] = True
    left, found = [], []
    for cut in cuts:
        near = [i for i in (cut - 1, cut) if 0 < i < len(T) - 1 and not taken[i - 1 : i + 2].any()]
        beyond = blends(T[near[0] - 1 : near[-1] + 2], MIN_BLEND) + near[0] - 1 if near else np.zeros(0, int)
        if mixed := [int(i) for i in beyond if i in near]:
            found.append(Transition(kind="dissolve", first=mixed[0], last=mixed[0]))
        else:
            left.append(cut)
    return left, found


def beside(doubtful: list[Mix], cuts: list[int], transitions: list[Transition], n: int) -> list[Transition]:
    """The doubtful spans as far as no transition covers them and no cut divides them."""
    free = np.ones(n, bool)
    for t in transitions:
        free[t.first : t.last + 1] = False
    at = np.zeros(n + 1, bool)
    at[cuts] = True
    return [
        Transition(kind="doubtful", first=m.first, last=m.last)
        for m in doubtful
        if free[m.first : m.last + 1].all() and not at[m.first : m.last + 2].any()
    ]


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


def drop_flashes(cuts: list[int], mixes: list[Mix], T: np.ndarray, longest: int) -> tuple[list[int], list[Mix]]:
    """Remove events during which the picture was only washed out by light, for at most `longest` frames."""
    kept = [c for c in cuts if not is_flash(T, c - 1, c, longest)]
    return kept, [m for m in mixes if not is_flash(T, m.first - 1, m.last + 1, longest)]


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
