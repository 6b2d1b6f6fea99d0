"""How well the filters tell faults from good footage: ROC-AUC, thresholds chosen on one half and tried on the other.

    python tests/benchmarks/bench_quality.py [--media ../shared/media/dev] [--jobs 2] [--json out.json]

Footage: shots of the real files (cut by cuts.json) and generated scenes, at most 2.5 s each and 360 px high; the same
analysis, scores and decisions as the program's. Sources are dealt alternately into half A, on which a threshold is
chosen (most faults found while at most 2 % of the good clips are rejected), and half B, on which it is reported.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
import time
from fractions import Fraction
from multiprocessing import Pool
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the program: threads of small products wait for each other
import numpy as np

from wanprep.media.quantiser import UNKNOWN
from wanprep.signals import marks, moving, phash, titles
from wanprep.signals.analysis import SAMPLE_RATE, analyse
from wanprep.stages.filter import REGISTRY, FilterConfig
from wanprep.stages.judge import decide
from wanprep.stages.scoring import measure_clip

sys.path.insert(0, str(Path(__file__).parent))  # its neighbours, also under `python -m`
from camera import judge_camera, judge_subject
from coders import copies
from degrade import MOVING, REDRAWN, marked
from faults import Fault, faults
from good import SECONDS, clips_of, sources
from likeness import SEEN, similarity
from quality_known import known
from quality_pools import judge_overlays, judge_singles
from quality_shown import show
from rank import auc, share
from titles import CARDS, PLAIN, plain_scene, title_card

SHARES = 3  # of a source, worked on apart
MARKS = ("small_text", "bottom_line", "corner_logo", "centre")
ALPHAS = (0.3, 0.5, 1.0)
SAID = (
    *("evidence", "mark", "mark_box", "moving_mark", "moving_box", "brief_mark", "brief_box"),
    *("title_mark", "title_box", "drawn", "second_mark", "card"),
)  # of a clip that overlays are judged by


class Still:
    """One luma frame as `analyse` asks for it."""

    def __init__(self, gray: np.ndarray, pts: int, duration: int, coded: tuple[float, bool, float] = UNKNOWN) -> None:
        self._gray, self.pts, self.duration, self._coded = gray, pts, duration, coded

    def coded(self, part: tuple[int, int, int, int] | None = None) -> tuple[float, bool, float]:
        return self._coded  # of the whole picture, also between bars

    def gray(self, width: int, height: int) -> np.ndarray:
        import cv2

        if self._gray.shape == (height, width):
            return self._gray
        return cv2.resize(self._gray, (width, height), interpolation=cv2.INTER_AREA)

    def bgr(self, width: int, height: int) -> np.ndarray:
        return np.repeat(self.gray(width, height)[..., None], 3, axis=-1)


def scores_of(frames: Any, seconds: np.ndarray) -> dict[str, Any]:
    """frames: luma, or (luma, what the stream says of each)."""
    frames, coded = frames if isinstance(frames, tuple) else (frames, [UNKNOWN] * len(frames))
    pts = np.round(seconds[: len(frames)] * 90000).astype(int)
    pictures = [Still(f, int(p), 0, how) for f, p, how in zip(frames, pts, coded)]
    signals = analyse(pictures, time_base=Fraction(1, 90000), width=frames.shape[2], height=frames.shape[1])
    return measure_clip(signals, 0, len(frames))


def looked_at(seconds: np.ndarray) -> np.ndarray:
    """Indices of the frames that thumbnails are of: the first in each half second."""
    slots = np.floor(np.round(seconds * 90000) * SAMPLE_RATE / 90000)
    return np.flatnonzero(np.diff(slots, prepend=-1) > 0)


def unseen_weights(source: str, name: str) -> marks.Weights:
    """Of the network that was not trained on `source` (train_marks.py), so that no figure is of what was learnt."""
    from safetensors import safe_open

    for half in (0, 1):
        path = Path(__file__).with_name(f"{name}-without-{half}.safetensors")
        with safe_open(path, "np") as file:
            if source not in json.loads(file.metadata()["sources"]):
                return marks.load(path)
    raise RuntimeError(f"both halves were trained on {source}")


def measure_source(job: tuple[str, tuple[Any, ...], int]) -> list[dict[str, Any]]:
    """One row a clip of a share of a source: scores as it is, with each fault, and overlay evidence with each mark."""
    name, what, share = job
    for module, which in ((marks, "marks"), (moving, "moving"), (titles, "titles")):
        weights = unseen_weights(name, which)
        module._shipped = lambda weights=weights: weights  # type: ignore[attr-defined]
    rows = []
    for number, (frames, seconds) in enumerate(clips_of(*what)):
        if number // 3 % SHARES != share or number % 3 == 1:  # a third is left out, another gets marks only: for time
            continue
        row: dict[str, Any] = {
            "source": name,
            "clip": f"{name}/{number}",
            "rows": frames.shape[1] * 1000 // frames.shape[2],
            "still": frames[len(frames) // 2],
        }
        row["good"] = scores_of(frames, seconds)
        done: dict[str, dict[str, Any]] = {}
        whole = number % 3 == 0
        for k, fault in enumerate(faults() if whole else ()):
            if fault.name not in done:
                broken = fault.apply(frames, seconds, np.random.default_rng([number, k]))
                done[fault.name] = scores_of(broken, seconds)
                if fault.filter == "compression" and not fault.innocent:
                    done[fault.name]["like"] = similarity(frames, broken[0])
        row["faults"] = done
        thin = slice(None, None, max(1, round(len(frames) / SECONDS / 4)))  # thumbnails are all that overlays need
        seen = looked_at(seconds)
        row["marks"] = {}
        for kind in (*MARKS, *MOVING, *REDRAWN):
            which = thin if kind in MARKS else seen  # what moves must be as far apart as where all frames are there
            for alpha in ALPHAS if kind in MARKS else ALPHAS[1:]:
                found = scores_of(marked(frames[which], kind, alpha, turn=number * 0.37 % 1), seconds[which])
                row["marks"][f"{kind} {alpha}"] = {key: found[key] for key in SAID}
        row["copies"] = {
            kind: scores_of(copy, seconds[-len(copy) :])["signature"]
            for kind, copy in (copies(frames) if whole else {}).items()
        }
        rows.append(row)
    if rows:
        print(f"  {name}: {len(rows)} clips", file=sys.stderr, flush=True)
    return rows


# --- judging ------------------------------------------------------------------------------------------------------


def values(rows: list[dict[str, Any]], name: str, fault: str | None = None) -> np.ndarray:
    """Badness of filter `name`: higher is worse. Good footage leaves out clips that have the fault already."""
    entry = REGISTRY[name]
    sign = 1.0 if entry.bad == "above" else -1.0
    usable = [row for row in rows if not known(row, name) and (fault is None or row["faults"])]
    scores = [row["faults"][fault] if fault else row["good"] for row in usable]
    return np.array([math.nan if s[entry.score] is None else sign * s[entry.score] for s in scores], float)


def choose(good: np.ndarray, bad: np.ndarray, allowed: float = 0.02) -> float:
    """Threshold (reject above) that finds most while at most `allowed` of the good are rejected; middle of its gap."""
    good, bad = good[np.isfinite(good)], bad[np.isfinite(bad)]
    lowest = float(np.sort(good)[max(0, math.ceil((1 - allowed) * len(good)) - 1)])
    above = bad[bad > lowest]
    return (lowest + float(above.min())) / 2 if len(above) else lowest


def judge_faults(rows: list[dict[str, Any]], config: FilterConfig) -> dict[str, Any]:
    halves = [[r for r in rows if r["half"] == half] for half in "AB"]
    report: dict[str, Any] = {}
    for name in dict.fromkeys(fault.filter for fault in faults()):
        sign = 1.0 if REGISTRY[name].bad == "above" else -1.0
        mine: list[Fault] = [f for f in faults() if f.filter == name]
        bad_a = np.concatenate([values(halves[0], name, f.name) for f in mine if not f.innocent])
        chosen = choose(values(halves[0], name), bad_a)
        default = sign * getattr(config, name).threshold
        good_b = values(halves[1], name)
        report[name] = {
            "default": sign * default,
            "chosen_on_A": sign * chosen,
            "good_B_rejected": {"chosen": share(good_b, chosen), "default": share(good_b, default)},
            "faults": {
                f.name: {
                    "innocent": f.innocent,
                    "auc": auc(values(rows, name), values(rows, name, f.name)),
                    "found_B": share(values(halves[1], name, f.name), chosen),
                    "found_default": share(values(rows, name, f.name), default),
                    **seen(rows, f, default),
                }
                for f in mine
            },
        }
    return report


def seen(rows: list[dict[str, Any]], fault: Fault, default: float) -> dict[str, float]:
    """Of a coding how like the source it is (median), and how many are found of those in which that can be seen."""
    usable = [row for row in rows if not known(row, fault.filter) and row["faults"]]
    like = np.array([row["faults"][fault.name].get("like", math.nan) for row in usable])
    if not np.isfinite(like).any():
        return {}
    found = values(rows, fault.filter, fault.name)[like < SEEN]
    return {"like": float(np.median(like)), "seen": len(found), "found_seen": share(found, default)}


def judge_repeats(rows: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """Recall of each kind of copy, and pairs of different clips taken for the same."""
    originals = [phash.parse(row["good"]["signature"]) for row in rows]
    report: dict[str, Any] = {}
    for kind in rows[0]["copies"]:
        found = []
        for index, row in enumerate(rows):
            if not row["copies"]:
                continue
            copied = row["copies"][kind]
            everything = [*originals, phash.parse(copied)] if copied else originals
            near = {tuple(pair) for pair in phash.candidates([one.hashes for one in everything]).tolist()}
            match = phash.match(originals[index], everything[-1]) if (index, len(rows)) in near else None
            found.append(bool(match and match.same(threshold)))
        report[kind] = float(np.mean(found))
    wrong = []
    for (i, one), (j, two) in itertools.combinations(enumerate(originals), 2):
        match = phash.match(one, two, threshold)
        if match and match.same(threshold):
            wrong.append(f"{rows[i]['clip']} = {rows[j]['clip']}")
    return {"recall": report, "pairs": len(rows) * (len(rows) - 1) // 2, "wrong": wrong}


def card_scores(job: tuple[str, int]) -> tuple[str, float]:
    """(kind, score) of one made-up title card or plain scene."""
    kind, number = job
    make = title_card if kind in CARDS else plain_scene
    frames = make(kind, np.random.default_rng([1000 + number, len(kind)]))
    return kind, scores_of(frames, np.arange(len(frames)) / 24)["card"]


def judge_cards(scores: list[tuple[str, float]], threshold: float) -> dict[str, Any]:
    """The rules were made on others than these."""
    kinds: dict[str, list[float]] = {}
    for kind, score in scores:
        kinds.setdefault(kind, []).append(score)
    bad = np.concatenate([kinds[kind] for kind in CARDS])
    good = np.concatenate([kinds[kind] for kind in PLAIN])
    return {
        "auc": auc(good, bad), "found": share(bad, threshold), "plain_rejected": share(good, threshold),
        "kinds": {kind: share(np.array(values), threshold) for kind, values in kinds.items()},
    }  # fmt: skip


def false_rejects(rows: list[dict[str, Any]], config: FilterConfig) -> dict[str, Any]:
    table = [{"clip_id": r["clip"], "source_id": r["source"], "group": r["source"], **r["good"]} for r in rows]
    by_clip = {r["clip"]: r for r in rows}
    wrong = {
        v.clip_id: [name for name in v.reasons if not known(by_clip[v.clip_id], name)] for v in decide(table, config)
    }
    reasons = {clip: names for clip, names in wrong.items() if names}
    return {"clips": len(rows), "rejected_wrongly": len(reasons), "share": len(reasons) / len(rows), "which": reasons}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    parser.add_argument("--painted", type=int, default=2, help="painted sources of seven scenes")
    parser.add_argument("--only", default="", help="sources whose name starts so, to look at a few")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    jobs = [
        job for job in sources(options.media, generated=2, painted=options.painted) if job[0].startswith(options.only)
    ]
    started = time.perf_counter()
    with Pool(options.jobs) as pool:
        shares = [(*job, share) for job in jobs for share in range(SHARES)]
        rows = [row for found in pool.map(measure_source, shares, chunksize=1) for row in found]
        made = pool.map(card_scores, [(kind, number) for kind in (*CARDS, *PLAIN) for number in range(5)])
    half = {name: "AB"[k % 2] for k, (name, _) in enumerate(jobs)}
    rows = [{**row, "half": half[row["source"]]} for row in rows]
    config = FilterConfig()
    report = {
        "seconds": time.perf_counter() - started,
        "false_rejects": false_rejects(rows, config),
        "filters": judge_faults(rows, config),
        "text_card": judge_cards(made, config.text_card.threshold),
        "duplicate": judge_repeats(rows, config.duplicate.threshold),
        "camera": judge_camera([row["still"] for row in rows[::2]]),
        "subject": judge_subject([row["still"] for row in rows[::2]]),
        "overlay_single": judge_singles(rows, config.overlay.threshold),
        "overlay": judge_overlays(rows, config.overlay.threshold, np.random.default_rng(0)),
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))
    show(report)


if __name__ == "__main__":
    main()
