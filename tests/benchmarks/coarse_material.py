"""Clips that were coded coarsely and then finely, and clips that nothing happened to that shows: what train_coarse.py
learns from.

Footage: clips of half A of bench_quality's sources, drawn ones (`drawn`), and made-up scenes of all kinds of
bench_good that use stills of half A; the footage as it usually comes, too: made smaller, calmer or grainy and coded
well. Each is coded in many ways; of each coding a few looks are measured as the program does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from bench_good import painted
from coders import MEDIUM, MPEG4, SVT_AV1, TWICE, VP9, X264, X265, again, enlarged
from degrade import noisy
from drawn import drawn_clips
from good import clips_of, sources
from good_drawn import DRAWN
from good_scenes import ORDINARY
from likeness import similarity

from wanprep.media.probe import probe
from wanprep.media.quantiser import UNKNOWN
from wanprep.media.read import open_video
from wanprep.signals import coarse, hidden
from wanprep.signals.analysis import SAMPLE_RATE
from wanprep.signals.compression import blockiness

Chain = tuple[tuple[str, ...], ...]  # encoders, one after the other
MJPEG, MPEG2 = (("-c:v", name, "-q:v") for name in ("mjpeg", "mpeg2video"))
X265_MEDIUM = tuple("medium" if part == "veryfast" else part for part in X265)
FAST, ULTRAFAST = (("-c:v", "libx264", "-preset", preset) for preset in ("fast", "ultrafast"))
CHIP = (*FAST, "-x264-params", "bframes=0:ref=1:aq-mode=0", "-qp")  # as a telephone's
KNOWN_BAD = ("popeye_t03",)  # its file is coarse itself
DRAWN_SEEDS = (0, 2)
KINDS = {**ORDINARY, **DRAWN}
TAKES, SEED, RATE, FRAMES = 5, 314, 24, 48  # of made-up scenes
SIZES = ((640, 360), (640, 360), (854, 480), (640, 360), (480, 270), (960, 540))  # in turn
COSTLY = ("water", "render", "cartoon")
EACH = 11  # codings of a made-up scene that show nothing, and as many coarse ones
STILLS_OF = ("bikes_", "friday_", "gopro_", "bbb_480p_24", "cars_", "fire_")  # of half A
LARGE = (1.5, 2.0)  # times that clips are enlarged and then coded
GOOD = ("smaller", "smaller still", "calmed", "grainy")  # `usual`


class Coded(NamedTuple):
    """A coding of a clip. bad: coarse once. like: see `likeness`. rows: float32[looks, len(coarse.NAMES)] of
    `coarse.numbers`, NaN throughout where nothing is said."""

    name: str
    bad: bool
    like: float
    rows: np.ndarray


def _with(options: tuple[str, ...], value: Any) -> tuple[str, ...]:
    return *options, str(value)


def codings() -> dict[str, tuple[Chain, bool]]:
    """Of footage: chain and whether it is coarse, by name."""
    once = {"x264": (X264, 12, 18, 23, 28), "medium": (MEDIUM, 17, 23), "x265": (X265, 20, 28)}
    made: dict[str, tuple[Chain, bool]] = {"as it is": ((), False)}
    for name, (options, *values) in once.items():
        made |= {f"{name} {value}": ((_with(options, value),), False) for value in values}
    before = {"medium": (MEDIUM, 28), "x265": (X265, 24, 28), "x264": (X264, 23, 28), "svt-av1": (SVT_AV1, 35, 45),
              "vp9": (VP9, 35, 45), "mjpeg": (MJPEG, 3, 6), "mpeg4": (MPEG4, 4), "mpeg2": (MPEG2, 4)}  # fmt: skip
    for name, (options, *values) in before.items():
        for value in values:
            last = _with(MEDIUM, 20) if (name, value) in (("x264", 28), ("mpeg2", 4)) else _with(X264, 18)
            made[f"{name} {value}, then {last[-1]}"] = ((_with(options, value), last), False)
    made |= {name: (chain, True) for name, chain in TWICE.items()}
    for first, second in ((_with(X264, 38), _with(X264, 18)), (_with(MEDIUM, 40), _with(MEDIUM, 20)),
                          (_with(X265, 42), _with(X265, 20))):  # fmt: skip
        made[f"{first[1]} {first[3]} crf {first[-1]}, then {second[-1]}"] = ((first, second), True)
    return made | {"x264 38": ((_with(X264, 38),), True)} | modern()


def modern() -> dict[str, tuple[Chain, bool]]:
    """More chains that begin with coders of large blocks."""
    bad = [(SVT_AV1, 60, MEDIUM, 21), (X265, 40, MEDIUM, 22), (X265, 43, X264, 16), (SVT_AV1, 62, X265, 20),
           (X265_MEDIUM, 41, X264, 20), (SVT_AV1, 58, X264, 16), (VP9, 60, MEDIUM, 20)]  # fmt: skip
    fine = [(SVT_AV1, 40, MEDIUM, 21), (X265, 30, X264, 16), (SVT_AV1, 35, X265, 20), (X265_MEDIUM, 26, X264, 20),
            (VP9, 40, MEDIUM, 21)]  # fmt: skip
    made = {}
    for which in (bad, fine):
        for first, before, second, after in which:
            name = f"{first[1]} {first[3]} {before} then {second[1]} {second[3]} {after}"
            made[name] = (_with(first, before), _with(second, after)), which is bad
    return made


OF_DRAWN = ("as it is", "x264 12", "x264 18", "medium 23", "x265 20", "x265 crf 45, then x264 18",
            "libx264 veryfast crf 38, then 18")  # fmt: skip


def drawn_coding(rng: np.random.Generator, bad: bool) -> Chain:
    """One of many codings, for a made-up scene."""

    def upto(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    kind = rng.integers(0, 9 if bad else 15)
    last = _last(rng, upto)
    if not bad and kind < 7:
        return (last,)
    fine = [(X264, 18, 27), (MEDIUM, 18, 28), (X265, 20, 28), (SVT_AV1, 25, 42), (VP9, 25, 42), (MPEG4, 2, 4),
            (MPEG2, 2, 4), (MJPEG, 2, 6)]  # fmt: skip
    worse = [(X264, 37, 45), (MEDIUM, 36, 46), (MEDIUM, 36, 46), (X265, 38, 46), (X265, 38, 46), (SVT_AV1, 57, 63),
             (VP9, 56, 63), (MPEG4, 11, 22), (SVT_AV1, 59, 63)]  # fmt: skip
    options, low, high = worse[kind] if bad else fine[kind - 7]
    return _with(options, upto(low, high)), last


def _last(rng: np.random.Generator, upto: Callable[[int, int], int]) -> tuple[str, ...]:
    which = rng.random()
    if which < 0.35:
        return _with(X264, upto(16, 23))
    if which < 0.65:
        return _with(MEDIUM, upto(16, 23))
    if which < 0.72:
        return _with(CHIP, upto(18, 22))
    if which < 0.79:
        return *FAST, "-tune", str(rng.choice(["grain", "animation", "film"])), "-crf", str(upto(18, 22))
    if which < 0.85:
        return *ULTRAFAST, "-crf", str(upto(16, 21))
    return _with(X265, upto(18, 23))


def measured(name: str, bad: bool, frames: np.ndarray, at: np.ndarray, chain: Chain) -> Coded:
    """A coding of a clip, at its looks."""
    made, said = again(frames, *chain) if chain else (frames, [UNKNOWN._replace(leaves=0.0)] * len(frames))
    rows = [row(np.ascontiguousarray(made[k]), *said[k]) for k in at if k < len(made)]
    return Coded(name, bad, similarity(frames, made), np.array(rows, np.float32))


def row(luma: np.ndarray, said: float, smoothed: bool, leaves: float) -> np.ndarray:
    """`coarse.numbers` of a picture, where `compression.traces` asks for them; else NaN."""
    look = hidden.look(luma)
    if not math.isfinite(look.quantiser):
        return np.full(len(coarse.NAMES), math.nan)
    return coarse.numbers(look, luma, blockiness(luma), said, leaves)


def looks(seconds: np.ndarray) -> np.ndarray:
    """The frames that are looked at in full."""
    slots = np.floor(np.round(seconds * 90000) * SAMPLE_RATE / 90000)
    return np.flatnonzero(np.diff(slots, prepend=-1) > 0)


def half_a(media: Path) -> list[tuple[str, tuple[Any, ...]]]:
    return [job for job in sources(media, generated=2, painted=2)[::2] if not job[0].startswith(KNOWN_BAD)]


def of_footage(frames: np.ndarray, seconds: np.ndarray, drawn: bool) -> Iterator[Coded]:
    frames, at = frames[:, : frames.shape[1] & ~1, : frames.shape[2] & ~1], looks(seconds)
    for name, (chain, bad) in codings().items():
        if not drawn or name in OF_DRAWN:
            yield measured(name, bad, frames, at, chain)
    for times in () if drawn else LARGE:
        yield measured(f"enlarged {times:g}", False, enlarged(frames, times), at, (_with(X264, 18),))
    for name, (made, coding) in {} if drawn else usual(frames).items():
        yield measured(name, False, made, at, (coding,))


def usual(frames: np.ndarray) -> dict[str, tuple[np.ndarray, tuple[str, ...]]]:
    """What films go through before they are coded well: (frames, coding) by name."""
    calmed = np.stack([cv2.bilateralFilter(frame, 5, 20, 2) for frame in frames])
    grainy = noisy(frames, np.random.default_rng(SEED), 3.0)
    three_quarters, small = smaller(frames, 0.75), smaller(frames, 0.6)
    made = (three_quarters, X264, 20), (small, MEDIUM, 23), (calmed, MEDIUM, 22), (grainy, X265, 22)
    return {name: (those, _with(coder, value)) for name, (those, coder, value) in zip(GOOD, made)}


def smaller(frames: np.ndarray, times: float) -> np.ndarray:
    height, width = (int(side * times) & ~1 for side in frames.shape[1:])
    return np.stack([cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA) for frame in frames])


def of_scene(kind: str, take: int, stills: Sequence[np.ndarray]) -> Iterator[Coded]:
    rng = np.random.default_rng([SEED, list(KINDS).index(kind), take])
    width, height = SIZES[0] if kind in COSTLY else SIZES[(take * len(KINDS) + list(KINDS).index(kind)) % len(SIZES)]
    view = KINDS[kind](rng, [still for still in stills if len(still) >= 0.98 * height] or stills)
    frames = np.stack([cv2.cvtColor(view(k / RATE, width, height), cv2.COLOR_RGB2GRAY) for k in range(FRAMES)])
    at = looks(np.arange(FRAMES) / RATE)
    for bad in (False, True):
        for _ in range(EACH):
            yield measured(kind, bad, frames, at, drawn_coding(rng, bad))
    yield measured(kind, False, frames, at, ())


@cache
def stills(media: Path) -> list[np.ndarray]:
    """Pictures of half A's films, and painted ones, RGB."""
    found: list[np.ndarray] = []
    for start in STILLS_OF:
        for path in sorted(media.glob(f"{start}*.mp4")):
            facts = probe(path)
            with open_video(path, facts) as video:
                frames = [f.bgr(facts.width, facts.height) for k, f in enumerate(video.frames()) if k % 40 == 20]
            seen = [frame[..., ::-1].copy() for frame in frames if frame.std() > 25]
            found += seen[:: max(1, len(seen) // 4)][:4]
    return found + [still for seed in (2, 4) for still in painted(seed)[1][:5]]


def jobs(media: Path) -> list[tuple[str, str, tuple[Any, ...]]]:
    """What is measured in one go: (name, source, what)."""
    filmed = [
        (f"{name}_{number}", name, ("film", *about, number))
        for name, about in half_a(media)
        for number, _ in enumerate(clips_of(*about))
    ]
    drawn = [(f"drawn_{seed}_{n}", f"drawn_{seed}", ("drawn", seed, n)) for seed in DRAWN_SEEDS for n in range(12)]
    made = [(f"{kind}_{take}", kind, ("scene", kind, take)) for take in range(TAKES) for kind in KINDS]
    return [*filmed, *drawn, *made]


def work(media: Path, what: tuple[Any, ...]) -> list[Coded]:
    """All codings of a clip."""
    kind, *about, number = what
    if kind == "scene":
        return list(of_scene(about[0], number, stills(media)))
    clips = drawn_clips(*about) if kind == "drawn" else clips_of(*about)
    frames, seconds = next(clip for k, clip in enumerate(clips) if k == number)
    return list(of_footage(frames, seconds, kind == "drawn"))
