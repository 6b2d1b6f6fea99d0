"""How well overlays are told, of single clips and of scenes together: part of bench_quality.

Rows are those of `measure_source`: `good` and `marks` hold what is said of a clip without and with each mark.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from degrade import MOVING, REDRAWN
from quality_known import known
from rank import auc, share

from wanprep.signals import overlay
from wanprep.signals.scenes import SCENE, distinct_scenes
from wanprep.stages.overlays import overlays
from wanprep.stages.scored import scored


def different(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One clip of each scene, by eye of the program: two pieces of one shot say nothing new."""
    scenes = np.stack([np.frombuffer(r["good"]["evidence"], np.uint8)[-SCENE[0] * SCENE[1] :] for r in rows])
    return [rows[i] for i in distinct_scenes(scenes, np.zeros(SCENE[::-1], bool))]


def confidences(rows: list[dict[str, Any]], mark: str | None, together: bool, threshold: float) -> np.ndarray:
    """What is said of the clips of one source, or of each alone; NaN = unknown."""
    about = [
        {"source_id": "s" if together else f"{i}", "group": "g" if together else f"{i}",
         **(row["marks"][mark] if mark else row["good"])} for i, row in enumerate(rows)
    ]  # fmt: skip
    return overlays(scored(about), threshold)[0]


def judge_singles(rows: list[dict[str, Any]], threshold: float) -> dict[str, Any]:
    """Each clip alone; unknown counts as even odds."""
    rows = [row for row in rows if not known(row, "overlay")]

    def about(mine: list[dict[str, Any]]) -> dict[str, Any]:
        clean = confidences(mine, None, False, threshold)
        found = {name: confidences(mine, name, False, threshold) for name in rows[0]["marks"]}
        fixed = np.concatenate([v for name, v in found.items() if not name.startswith((*MOVING, *REDRAWN))])
        return {
            "clips": len(mine), "clean_flagged": share(clean, threshold),
            "unknown_clean": float(np.isnan(clean).mean()),
            "unknown_marked": float(np.isnan(fixed).mean()), "auc": auc(even(clean), even(fixed)),
            "marks": {
                name: {"auc": auc(even(clean), even(v)), "found": share(v, threshold),
                       "unknown": float(np.isnan(v).mean())} for name, v in found.items()
            },
        }  # fmt: skip

    real = [row for row in rows if not row["source"].startswith(("generated", "painted", "traffic"))]
    return {
        "all": about(rows),
        "half B": about([r for r in rows if r["half"] == "B"]),
        "real files": about(real or rows),
    }


def even(values: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(values), 0.5, values)


def judge_overlays(rows: list[dict[str, Any]], threshold: float, rng: np.random.Generator) -> dict[str, Any]:
    """Pools of n different scenes of equal shape, drawn at random, without and with each mark."""
    shapes: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if not known(row, "overlay"):
            shapes.setdefault(overlay.map_rows(row["good"]["evidence"]), []).append(row)
    report: dict[str, Any] = {}
    for n in (3, 5, 8):
        pools = []
        for candidates in shapes.values():
            for _ in range(80):
                drawn = [candidates[i] for i in rng.permutation(len(candidates))]
                drawn = different(drawn)[:n]
                if len(drawn) == n:
                    pools.append(drawn)

        def said(mark: str | None, pools: list[list[dict[str, Any]]] = pools) -> np.ndarray:
            return np.array([even(confidences(pool, mark, True, threshold)).mean() for pool in pools])

        clean = said(None)
        report[f"{n} scenes"] = {"pools": len(pools), "clean_flagged": share(clean, threshold)}
        for name in rows[0]["marks"]:
            found = said(name)
            report[f"{n} scenes"][name] = {"auc": auc(clean, found), "found": share(found, threshold)}
    return report
