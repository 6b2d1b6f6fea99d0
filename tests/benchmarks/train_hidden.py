"""The weights of `wanprep.signals.hidden`, fitted to codings of half A of bench_quality's footage.

    python tests/benchmarks/train_hidden.py [--media ../shared/media/dev] [--jobs 2]

A ridge regression from what `hidden.profiles` says of a clip, in the mean of both directions, to how coarsely it was
quantised at its coarsest (H.264's scale). Prints the constants; LIMIT is the value beyond which at most 2 % of the
finely coded clips lie, and 5 % of those that went through something else that does not show, when each source is judged
by weights from the others; drawn footage is only shown, for in the fit it costs coarse codings and helps less than
what `hidden` takes off for lopsided traces. 25 minutes of CPU.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

from wanprep.signals import hidden
from wanprep.signals.quality import throughout

sys.path.insert(0, str(Path(__file__).parent))
from coders import MEDIUM, SVT_AV1, VP9, X264, X265, again, enlarged
from drawn import drawn_clips
from good import SECONDS, clips_of, sources

Coding = tuple[tuple[tuple[str, ...], int], ...]  # encoders and how coarsely, one after the other
LOOKS = 5  # of a clip
RIDGE = 0.01  # of the mean variance
KNOWN_BAD = ("popeye_t03",)  # its file is coarse itself
DRAWN = (0, 2)  # seeds
MJPEG, MPEG4, MPEG2 = (("-c:v", name, "-q:v") for name in ("mjpeg", "mpeg4", "mpeg2video"))
# And how coarsely at worst. What has no traces yet (what nothing was coded is as the file had it), other fine codings,
# then what else shows nothing, and what shows more or more than it should.
CLEAN: list[tuple[Coding, float]] = [((), 20), (((X264, 12),), 20)]
FINE: list[tuple[Coding, float]] = [
    *CLEAN, (((X264, 18),), 20), (((MEDIUM, 17),), 20), (((MEDIUM, 23),), 24), (((X264, 23),), 24), (((X265, 20),), 22),
]  # fmt: skip
CALM: list[tuple[Coding, float]] = [
    (((MEDIUM, 28), (X264, 18)), 29), (((X265, 24), (X264, 18)), 25), (((X264, 23), (X264, 18)), 25),
    (((MJPEG, 3), (X264, 18)), 22), (((MJPEG, 6), (X264, 18)), 24), (((MPEG4, 4), (X264, 18)), 24),
    (((MPEG2, 4), (MEDIUM, 20)), 24), (((X265, 28),), 26), (((X264, 28),), 30),
]  # fmt: skip
COARSE: list[tuple[Coding, float]] = [
    (((MEDIUM, 31),), 33), (((MEDIUM, 33), (X264, 18)), 34), (((X264, 38), (X264, 18)), 40),
    (((MEDIUM, 38), (MEDIUM, 20)), 40), (((MEDIUM, 36), (MEDIUM, 16)), 38), (((MEDIUM, 40), (X265, 20)), 42),
    (((MEDIUM, 42), (X264, 18)), 44), (((X264, 42), (X264, 23)), 44), (((X264, 44), (X264, 18)), 46),
    (((MEDIUM, 46), (MEDIUM, 23)), 48), (((X265, 40), (X264, 18)), 38), (((VP9, 58), (X264, 18)), 38),
    (((VP9, 63), (X264, 18)), 42), (((SVT_AV1, 60), (X264, 18)), 38), (((X264, 38),), 40), (((MEDIUM, 44),), 46),
]  # fmt: skip
CODINGS = [*FINE, *CALM, *COARSE]
OF_DRAWN = [*(coding for coding, _ in FINE), ((X264, 38), (X264, 18)), ((MEDIUM, 42), (X264, 18))]
ENLARGED = (2, 1.5, 4 / 3, 3)  # times, and then coded
OF_LARGE: Coding = ((X264, 18),)
ENLARGED_AS = 22.0
OF_ENLARGED, OF_CLEAN = 4.0, 4.0  # weights


class Row(NamedTuple):
    """shares: float[looks, 2, 18], lopsided: float[looks, 2] of `hidden.profile`. leaves: see media.quantiser. weight:
    0 for what is only shown."""

    source: str
    coding: int  # in CODINGS
    quantiser: float
    weight: float
    shares: np.ndarray
    lopsided: np.ndarray
    leaves: float


def looked(frames: np.ndarray, coding: Coding) -> tuple[np.ndarray, np.ndarray, float]:
    """shares, lopsided and leaves of a `Row`."""
    leaves = 0.0
    if coding:
        frames, coded = again(frames, *((*options, str(value)) for options, value in coding))
        leaves = coded[0].leaves
    at = np.linspace(0, len(frames) - 2, LOOKS).astype(int)
    looks = [[hidden.profiles(lines)[0] for lines in (frames[k], frames[k].T.copy())] for k in at]
    shares = np.array([[grid.shares.ravel() for grid in look] for look in looks])
    return shares, np.array([[grid.lopsided for grid in look] for look in looks]), leaves


def measure(job: tuple[str, tuple[Any, ...]]) -> list[Row]:
    """All codings of a source."""
    name, (kind, *about) = job
    drawn = kind == "drawn"
    rows = []
    for frames, _ in drawn_clips(*about) if drawn else clips_of(kind, *about):
        for number, (coding, quantiser) in enumerate(CODINGS):
            if not drawn or coding in OF_DRAWN:
                weight = 0.0 if drawn else OF_CLEAN if number < len(CLEAN) else 1.0
                rows.append(Row(name, number, quantiser, weight, *looked(frames, coding)))
        for times in () if drawn else ENLARGED:
            found = looked(enlarged(frames, times), OF_LARGE)
            rows.append(Row(name, len(CODINGS), ENLARGED_AS, OF_ENLARGED, *found))
    print(f"  {name}: {len(rows)} codings of clips of {SECONDS} s", file=sys.stderr, flush=True)
    return rows


def fitted(rows: list[Row]) -> np.ndarray:
    """float[1 + 18]: the usual value, and what each number adds to it."""
    rows = [row for row in rows if row.weight and np.isfinite(row.shares).all(axis=(1, 2)).any()]
    x = np.stack([np.nanmedian(row.shares.mean(axis=1), axis=0) for row in rows])
    y = np.array([row.quantiser for row in rows])
    # A source with many clips counts for more, but not for as much more as it has clips.
    names = np.array([row.source for row in rows])
    weight = np.array([row.weight for row in rows]) / np.sqrt([np.sum(names == name) for name in names])
    spread = x.std(axis=0) + 1e-6
    x1 = np.column_stack([np.ones(len(x)), x / spread])
    gram = (x1 * weight[:, None]).T @ x1
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    ridge[0, 0] = 0
    found = np.linalg.solve(gram + ridge, (x1 * weight[:, None]).T @ y)
    found[1:] /= spread
    return found


def said(weights: np.ndarray, row: Row) -> float:
    """As `hidden.look` and a clip's scores put all of it together, before its scale; NaN where nothing is said."""
    known = [
        hidden.together(*(shares @ weights[1:]), *lopsided) if lopsided.max() <= hidden.LOPSIDED else math.nan
        for shares, lopsided in zip(row.shares, row.lopsided)
    ]
    return float(weights[0]) + throughout(np.array(known)) - row.leaves / hidden.STEEP


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    half_a = [job for job in sources(options.media, generated=2, painted=2)[::2] if not job[0].startswith(KNOWN_BAD)]
    jobs = [*half_a, *((f"drawn_{seed}", ("drawn", seed)) for seed in DRAWN)]
    with Pool(options.jobs) as pool:
        rows = [row for found in pool.map(measure, jobs, chunksize=1) for row in found]
    unseen = np.empty(len(rows))
    for name in {row.source for row in rows}:
        weights = fitted([row for row in rows if row.source != name])
        mine = [k for k, row in enumerate(rows) if row.source == name]
        unseen[mine] = [said(weights, rows[k]) for k in mine]
    unseen = np.nan_to_num(unseen, nan=-math.inf)
    show(fitted(rows), rows, unseen)


def show(weights: np.ndarray, rows: list[Row], unseen: np.ndarray) -> None:
    drawn = np.array([row.source.startswith("drawn") for row in rows])
    coding = np.array([row.coding for row in rows])
    fine, calm = ~drawn & (coding < len(FINE)), ~drawn & (coding >= len(FINE)) & (coding < len(FINE + CALM))
    calm |= coding == len(CODINGS)
    limit = max(np.quantile(unseen[fine], 0.98), np.quantile(unseen[calm], 0.95))
    peaks, equal = (tuple(np.round(part, 1).tolist()) for part in np.split(weights[1:], 2))
    print(f"PEAKS = {peaks}\nEQUAL = {equal}\nUSUAL, LIMIT = {weights[0]:.1f}, {limit:.1f}")
    print("beyond LIMIT, each source by weights from the others:")
    names = [
        ", then ".join(" ".join([*o[1:4:2], str(value)]) for o, value in coding) or "as it is" for coding, _ in CODINGS
    ]
    for k, name in enumerate([*names, "enlarged"]):
        for which, mine in (("", ~drawn & (coding == k)), ("drawn, ", drawn & (coding == k))):
            if mine.any():
                print(
                    f"  {which + name:50} {np.mean(unseen[mine] > limit):4.0%}   median {np.median(unseen[mine]):.1f}"
                )


if __name__ == "__main__":
    main()
