"""Ways from one shot to another of which no model is sure: wipes and slides through much motion, whip pans, zooms.

`wipes.py` and `slides.py` know how such frames are made, and miss those in which the shots themselves move. Here every
span of 4 to 37 frames is looked at for what all of them share: two unlike pictures, each of which stays alike on its
own side, and between them more way and fewer details found again than beside. Those that a small network of such rough
numbers takes seriously are looked at closely, and a second one judges by all evidence there is.
Their weights lie beside this file (tests/benchmarks/train_crossings.py).
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame; S, E int[n]: the pure frames that spans
lie between. Pure but for the weights' files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wanprep.signals.carried import uncarried
from wanprep.signals.mixing import EPS, likeness, rms
from wanprep.signals.one_layer import answers, computed, weights
from wanprep.signals.pictures import Pictures, all_spans, counts, parts
from wanprep.signals.rules import WipeRules
from wanprep.signals.slide_lines import nearest
from wanprep.signals.wipes import BESIDE, Sweep, returns, unmoved
from wanprep.signals.wipes import evidence as wiped

ROUGH_FILE, FILE = (Path(__file__).with_name(f"crossings_{name}.safetensors") for name in ("rough", "close"))
LENGTHS = (4, 5, 7, 9, 12, 16, 21, 28, 37)  # frames from the last pure one to the first pure one
ROUGH = (
    "change", "likeness", "detour", "path_least", "path_most", "length", "alike_least", "alike_most", "still", "stir",
    "lost", "found_least", "colours_beside", "colour", "lost_beside",
)  # fmt: skip
CLOSE = (
    "parts", "residual", "crowd", "jump", "jump_most", "unmoved", "returns", "goes_on", "uncarried", "off_line",
    "edge_steep", "edge_back", "push", "soft", "unexplained", "rough",
)  # fmt: skip
NAMES = (*ROUGH, *CLOSE)
MIN_CHANGE, MAX_LIKENESS = 10.0, 0.8  # RMS luma difference of the ends of a span; their correlation
LIKELY = -2.0  # rough log-odds of spans that are looked at closely
HOPELESS = -1.0  # log-odds, if the camera explained nothing, below which the other spans of a place are not looked at
APART = 0.3  # of the shorter one: spans that share more are about the same place
TRIED = 4  # spans of a place that are looked at closely
WEIGHT = 0.5  # of log-odds below 0 of what wipes.py and slides.py found
UNEXPLAINED = {"uncarried": 0.01}  # where the camera explains nothing
LOOKED = 8  # frames of a span that are laid on the lines of slides


Candidate = tuple[int, int, np.ndarray, float]  # pure frames of a span, its rough evidence float[len(ROUGH)], its odds


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """float[N] each: sums up to each frame of steps, of details not found again and of changes of colour; how well
    details are found again at best; energy of edges; means of red, blue and luma."""

    way: np.ndarray
    lost: np.ndarray
    colours: np.ndarray
    found: np.ndarray
    edges: np.ndarray
    tones: tuple[np.ndarray, np.ndarray, np.ndarray]

    @classmethod
    def of(cls, T: Pictures, frame: Mapping[str, np.ndarray]) -> Numbers:
        """frame: FIELDS of meter.py, float[N] each."""
        way = np.zeros(len(T))
        for at in parts(np.arange(1, len(T))):
            if len(at):
                way[at] = np.abs(T[at] - T[at - 1]).mean(1, dtype=np.float64)
        match, found = (np.nan_to_num(frame[name], nan=1.0) for name in ("match", "best_match"))
        return cls(
            way=np.cumsum(way, out=way),
            lost=np.cumsum(1 - match.astype(np.float64)),
            colours=np.cumsum(np.nan_to_num(frame["content_val"]).astype(np.float64)),
            found=found,
            edges=frame["edge_energy"],
            tones=(frame["red"], frame["blue"], frame["luma_mean"]),
        )


def find_crossings(
    T: Pictures, numbers: Numbers, walls: Sequence[int], free: np.ndarray, rules: WipeRules
) -> list[Sweep]:
    """Ways between shots and doubtful ones in order, none overlapping. walls: first frames after cuts that none spans;
    free: bool[N], frames in which one may be (in place: those found are no longer)."""
    if not rules.enabled:
        return []
    kept, least = [], min(rules.scan_odds, rules.scan_doubt)
    for (s, e), odds in sorted(judged(T, numbers, walls, free, least).items(), key=lambda it: -it[1]):
        if free[s + 1 : e].all():
            free[s + 1 : e] = False
            kept.append(Sweep(first=s + 1, last=e - 1, odds=odds))
    return sorted(kept, key=lambda it: it.first)


def against_sweep(T: Pictures, numbers: Numbers, first: int, last: int) -> float:
    """Log-odds, 0 or less, by which all evidence speaks against what wipes.py or slides.py found in frames
    first..last."""
    s, e = max(0, first - 1), min(len(T) - 1, last + 1)
    S, _, rows = _roughly(T, numbers, np.array([s]), np.array([e]))
    if not len(S):
        return -np.inf
    odds = float(computed(rows, weights(ROUGH_FILE))[0])
    return WEIGHT * min(0.0, answers(FILE, NAMES, [evidence(T, numbers, (s, e, rows[0], odds))])[0])


def judged(
    T: Pictures, numbers: Numbers, walls: Sequence[int], free: np.ndarray, least: float
) -> dict[tuple[int, int], float]:
    """The likeliest span of each place that reaches `least`, and its log-odds. What the camera's motion explains takes
    longest, and is asked only of spans that would be the likeliest if it explained nothing; a place whose spans would
    not come near even so is left at once."""
    found: dict[tuple[int, int], float] = {}
    for place in candidates(T, numbers, walls, free):
        best, span = -np.inf, (0, 0)
        for s, e, row, odds in place:
            known = _known(T, numbers, s, e, row, odds)
            hope = answers(FILE, NAMES, [known | UNEXPLAINED])[0]
            if hope < HOPELESS:
                break
            if hope >= max(best, least):
                best, span = max((best, span), (answers(FILE, NAMES, [known | carried(T, s, e)])[0], (s, e)))
        if best >= least:
            found[span] = best
    return found


def candidates(T: Pictures, numbers: Numbers, walls: Sequence[int], free: np.ndarray) -> Iterator[list[Candidate]]:
    """Of each place that is worth judging its likeliest spans, those first that look most like one."""
    S, E, rows, odds = spans(T, numbers, walls, free, LIKELY)
    for near in places(S, E, odds):
        yield [(int(S[i]), int(E[i]), rows[i], float(odds[i])) for i in near]


def evidence(T: Pictures, numbers: Numbers, it: Candidate) -> dict[str, float]:
    """All that NAMES tells of a span."""
    s, e, row, odds = it
    return _known(T, numbers, s, e, row, odds) | carried(T, s, e)


def _known(T: Pictures, numbers: Numbers, s: int, e: int, row: np.ndarray, odds: float) -> dict[str, float]:
    return dict(zip(ROUGH, row.tolist())) | closely(T, numbers, s, e) | {"rough": odds}


def carried(T: Pictures, s: int, e: int) -> dict[str, float]:
    """ln of the share of what changes in a span that no motion of the camera explains."""
    return {"uncarried": float(np.log(uncarried(T[s : e + 1]) + 0.01))}


def places(S: np.ndarray, E: np.ndarray, odds: np.ndarray) -> list[list[int]]:
    """Numbers of the likeliest spans, those about the same place together: at most TRIED, of different lengths."""
    found: list[list[int]] = []
    for i in (int(k) for k in np.argsort(-odds, kind="stable") if odds[k] >= LIKELY):
        shared = [min(E[i], E[p[0]]) - max(S[i], S[p[0]]) for p in found]
        close = [p for p, both in zip(found, shared) if both > APART * min(E[i] - S[i], E[p[0]] - S[p[0]])]
        if not close:
            found.append([i])
        elif len(close[0]) < TRIED and all(E[i] - S[i] != E[k] - S[k] for k in close[0]):
            close[0].append(i)
    return found


def spans(
    T: Pictures, numbers: Numbers, walls: Sequence[int], free: np.ndarray, least: float = -np.inf
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """S, E of all spans between unlike pictures whose rough log-odds reach `least`, their evidence float[n,
    len(ROUGH)] and these odds; by lengths."""
    taken, begins = counts(~free), np.zeros(len(T) + 1, bool)
    begins[list(walls)] = True
    cuts, way = counts(begins)[1:], numbers.way
    found = [(np.zeros(0, int), np.zeros(0, int), np.zeros((0, len(ROUGH))), np.zeros(0))]
    for S, E in all_spans(len(T), {length: max(1, length // 4) for length in LENGTHS}):
        may = (taken[E] == taken[S + 1]) & (cuts[E] == cuts[S]) & (way[E] - way[S] >= 0.5 * MIN_CHANGE)
        S, E, rows = _roughly(T, numbers, S[may], E[may]) if may.any() else found[0][:3]
        if len(S):  # most are unlikely, and not kept: of a film they would be what takes most memory
            odds = computed(rows, weights(ROUGH_FILE))
            good = odds >= least
            found.append((S[good], E[good], rows[good], odds[good]))
    S, E, rows, odds = (np.concatenate(part) for part in zip(*found))
    order = np.lexsort((S, E - S))
    return S[order], E[order], rows[order], odds[order]


def _roughly(
    T: Pictures, numbers: Numbers, S: np.ndarray, E: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Those of spans whose ends are unlike, and their evidence."""
    A, B = T[S], T[E]
    change, alike = rms(B - A), likeness(A, B)
    kept = (change >= MIN_CHANGE) & (alike <= MAX_LIKENESS)
    S, E, A, B, change, alike = (x[kept] for x in (S, E, A, B, change, alike))
    if not len(S):
        return S, E, np.zeros((0, len(ROUGH)))
    length = E - S
    half = np.maximum(2, length // 2)
    low, high = np.maximum(S - half, 0), np.minimum(E + half, len(T) - 1)
    room = np.stack([S - low, high - E], 1)
    there = room >= 2

    def beside(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """float[n, 2], the smaller first; a side of which there is too little is taken to be like the other."""
        both = np.stack([before, after], 1)
        return np.sort(np.where(there, both, np.where(there[:, ::-1], both[:, ::-1], 0.0)), axis=1)

    def paces(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means inside and on both sides together."""
        outside = sums[S] - sums[low] + sums[high] - sums[E]
        return (sums[E] - sums[S]) / length, outside / np.maximum(room.sum(1), 1)

    # The least of frames S + 1..E: of every second piece between these places.
    found = np.append(numbers.found, np.inf)
    lowest = np.minimum.reduceat(found, np.stack([S + 1, E + 1], 1).ravel())[::2]
    way = numbers.way
    pace = (way[E] - way[S]) / length
    sides = beside((way[S] - way[low]) / np.maximum(room[:, 0], 1), (way[high] - way[E]) / np.maximum(room[:, 1], 1))
    paths = np.log((sides + 0.5) / (pace[:, None] + 0.5))
    near, far = T[low], T[high]
    same = beside(likeness(near, A), likeness(B, far))
    gone = beside(rms(A - near) / (change + 1), rms(far - B) / (change + 1))
    (lost, lost_beside), (colours, colours_beside) = paces(numbers.lost), paces(numbers.colours)
    tones = np.sqrt((np.stack([tone[S].astype(np.float64) - tone[E] for tone in numbers.tones], 1) ** 2).sum(1))
    rows = [
        np.log(change + 1), alike, np.log((pace * length + EPS) / (np.abs(B - A).mean(1) + 1)), paths[:, 0],
        paths[:, 1], np.log(length), same[:, 0], same[:, 1], np.minimum(gone[:, 0], 2),
        np.minimum(gone[:, 1], 3), lost - lost_beside, lowest, np.log((colours_beside + 0.5) / (colours + 0.5)),
        np.log(tones + 1), lost_beside,
    ]  # fmt: skip
    return S, E, np.stack(rows, 1).astype(np.float64)


def closely(T: Pictures, numbers: Numbers, s: int, e: int) -> dict[str, float]:
    """What takes longer of a span: as `wipes.py` and `slides.py` see it, and what a dissolve would leave."""
    X, n = T[s : e + 1], e - s
    seen, change = wiped(T, s, e, 0.1), float(rms(X[-1] - X[0])) + EPS
    none = {"parts": 0.0, "residual": 0.5, "crowd": 1.0, "jump": 1.0, "jump_most": 0.0}
    found = {name: float((seen[0] if seen else none)[name]) for name in none}
    before, after = T[max(0, s + 1 - BESIDE) : s + 1 : 2], T[e : e + BESIDE : 2]
    edges = numbers.edges[s : e + 1]
    at = np.unique(np.linspace(1, n - 1, min(LOOKED, n - 1)).round().astype(int))
    D = X[-1] - X[0]
    share = (X[at] - X[0]) @ D / (D @ D + EPS)
    return found | {
        "unmoved": unmoved(X, turns=True),
        "returns": returns(T, s, e),
        "goes_on": float(likeness(before[:, None], after[None]).max()),
        "soft": float(np.log((edges[1:-1].min() + 1) / (min(edges[0], edges[-1]) + 1))),
        "unexplained": min(2.0, float(rms(X[at] - X[0] - share[:, None] * D).mean()) / change),
        **_slid(X, at, change),
    }


def _slid(X: np.ndarray, at: np.ndarray, change: float) -> dict[str, float]:
    """Of the line of slides.py that frames `at` of the span X float32[n + 1, P] lie on best: how far off it they are,
    the largest step along it, how far they go back, and whether both pictures move."""
    (kind, _), p, off = nearest(X[at], X[:1], X[-1:])
    steps = np.diff(np.concatenate([[0.0], p, [1.0]]))
    return {
        "off_line": min(1.5, float(off.mean()) / change),
        "edge_steep": float(steps.max()),
        "edge_back": float(np.maximum(-steps, 0).sum()),
        "push": float(kind == "push"),
    }
