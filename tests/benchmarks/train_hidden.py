"""The weights of `wanprep.signals.hidden`, fitted to codings of half A of bench_quality's footage.

    python tests/benchmarks/train_hidden.py [--media ../shared/media/dev] [--jobs 2]

A ridge regression from what `hidden.profile` says of a clip, in the mean of both directions, to how coarsely it was
quantised at its coarsest (H.264's scale). Prints the constants, and at which value 2 % of the finely coded clips lie
when each source is judged by weights from the others. 25 minutes of CPU.
"""

from __future__ import annotations

import argparse
import os
import sys
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

from wanprep.signals import hidden

sys.path.insert(0, str(Path(__file__).parent))
from coders import MEDIUM, SVT_AV1, VP9, X264, X265, again, enlarged
from good import SECONDS, clips_of, sources

LOOKS = 5  # of a clip
RIDGE = 0.01  # of the mean variance
KNOWN_BAD = ("popeye_t03",)  # its file is coarse itself
MJPEG, MPEG4, MPEG2 = (("-c:v", name, "-q:v") for name in ("mjpeg", "mpeg4", "mpeg2video"))
# How each was coded, one after the other, and how coarsely at worst; finely coded ones begin the list.
FINE = [((X264, 18),), ((MEDIUM, 17),), ((MEDIUM, 23),), ((X264, 23),), ((X265, 20),)]
CODINGS: list[tuple[tuple[tuple[tuple[str, ...], int], ...], float]] = [
    *zip(FINE, (20, 20, 24, 24, 22)),
    (((MEDIUM, 28), (X264, 18)), 29), (((X265, 24), (X264, 18)), 25), (((MEDIUM, 33), (X264, 18)), 34),
    (((X264, 38), (X264, 18)), 40), (((MEDIUM, 38), (MEDIUM, 20)), 40), (((MEDIUM, 36), (MEDIUM, 16)), 38),
    (((MEDIUM, 40), (X265, 20)), 42), (((MEDIUM, 42), (X264, 18)), 44), (((X264, 42), (X264, 23)), 44),
    (((X264, 44), (X264, 18)), 46), (((MEDIUM, 46), (MEDIUM, 23)), 48), (((X265, 40), (X264, 18)), 38),
    (((VP9, 58), (X264, 18)), 38), (((SVT_AV1, 60), (X264, 18)), 38), (((X264, 38),), 40), (((MEDIUM, 44),), 46),
    (((MJPEG, 3), (X264, 18)), 22), (((MJPEG, 6), (X264, 18)), 24), (((MPEG4, 4), (X264, 18)), 24),
    (((MPEG2, 4), (MEDIUM, 20)), 24), (((X265, 28),), 26), (((SVT_AV1, 45),), 26), (((VP9, 40),), 28),
    (((X264, 28),), 30), (((MEDIUM, 31),), 33),
]  # fmt: skip
ENLARGED = (2, 1.5, 4 / 3, 3)  # then coded as the first
OF_ENLARGED, WEIGHT = 22.0, 4.0


def profiles(frames: np.ndarray, codings: tuple[Any, ...]) -> np.ndarray:
    """float[2, 18]: what the looks at a clip say across and down; NaN with too little to see."""
    frames, _ = again(frames, *((*options, str(value)) for options, value in codings))
    at = np.linspace(0, len(frames) - 2, LOOKS).astype(int)
    looks = [[hidden.profile(lines).ravel() for lines in (frames[k], frames[k].T.copy())] for k in at]
    return np.median(looks, axis=0)


def measure(job: tuple[str, tuple[Any, ...]]) -> list[tuple[str, np.ndarray, float, float, int]]:
    """(source, profiles, quantiser, weight, which of CODINGS) of all codings of a source."""
    rows = []
    for frames, _ in clips_of(*job[1]):
        for k, (codings, quantiser) in enumerate(CODINGS):
            rows.append((job[0], profiles(frames, codings), quantiser, 1.0, k))
        for times in ENLARGED:
            rows.append((job[0], profiles(enlarged(frames, times), FINE[0]), OF_ENLARGED, WEIGHT, len(CODINGS)))
    print(f"  {job[0]}: {len(rows)} codings of clips of {SECONDS} s", file=sys.stderr, flush=True)
    return rows


def fitted(said_N2K: np.ndarray, quantiser_N: np.ndarray, weight_N: np.ndarray) -> np.ndarray:
    """float[1 + K]: the usual value, and what each number adds to it."""
    x = said_N2K.mean(axis=1)
    spread = x.std(axis=0) + 1e-6
    x1 = np.column_stack([np.ones(len(x)), x / spread])
    gram = (x1 * weight_N[:, None]).T @ x1
    ridge = RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    ridge[0, 0] = 0
    found = np.linalg.solve(gram + ridge, (x1 * weight_N[:, None]).T @ quantiser_N)
    found[1:] /= spread
    return found


def said(weights: np.ndarray, said_N2K: np.ndarray) -> np.ndarray:
    """As `hidden.quantiser` puts both directions together, before its scale."""
    each = said_N2K @ weights[1:]
    return weights[0] + 0.25 * np.minimum(hidden.ALONE, each.max(axis=1)) + 0.75 * each.min(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    half_a = sources(options.media, generated=2, painted=2)[::2]
    with Pool(options.jobs) as pool:
        jobs = [job for job in half_a if not job[0].startswith(KNOWN_BAD)]
        rows = [row for found in pool.map(measure, jobs, chunksize=1) for row in found]
    rows = [row for row in rows if np.isfinite(row[1]).all()]
    source, x, y = np.array([r[0] for r in rows]), np.stack([r[1] for r in rows]), np.array([r[2] for r in rows])
    coding = np.array([r[4] for r in rows])
    # A source with many clips counts for more, but not for as much more as it has clips.
    weight = np.array([r[3] for r in rows]) / np.sqrt([np.sum(source == name) for name in source])
    unseen = np.empty(len(rows))
    for name in np.unique(source):
        mine = source == name
        unseen[mine] = said(fitted(x[~mine], y[~mine], weight[~mine]), x[mine])
    weights = fitted(x, y, weight)
    peaks, equal = (tuple(np.round(part, 1).tolist()) for part in np.split(weights[1:], 2))
    print(f"PEAKS = {peaks}\nEQUAL = {equal}")
    print(f"USUAL = {weights[0]:.1f}, LIMIT = {np.quantile(unseen[coding < len(FINE)], 0.98):.1f}")
    for k, (codings, _) in enumerate(CODINGS):
        name = ", then ".join(" ".join([*options[1:4:2], str(value)]) for options, value in codings)
        print(f"  {name:50} {np.median(unseen[coding == k]):.1f}")


if __name__ == "__main__":
    main()
