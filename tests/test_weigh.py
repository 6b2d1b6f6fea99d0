"""What each threshold drops, against the plain way: everything sorted."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from wanprep.stages.filter import REGISTRY, FilterConfig
from wanprep.weigh import BORDERLINE, WORST, weigh


def clip(number: int, chooser: random.Random) -> dict[str, Any]:
    scores, reasons = {}, []
    for name in ("blur", "shake", "noise"):
        value = chooser.choice([None, 0.05, 0.1, 0.125, 0.2, 9.0, round(chooser.random(), 2)])
        entry = REGISTRY[name]
        bad = value is not None and (value > entry.threshold if entry.bad == "above" else value < entry.threshold)
        said = "off" if name == "noise" else "unknown" if value is None else "reject" if bad else "keep"
        scores[name] = (value, entry.threshold, said)
        reasons += [name] if said == "reject" else []
    row = {"clip_id": f"{chooser.randrange(1 << 60):016x}", "path": "a.mp4", "start_s": 0.0, "end_s": float(number)}
    return row | {"state": "rejected" if reasons else "keep", "reasons": reasons, "scores": json.dumps(scores)}


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 60])
def test_examples_are_those_of_the_whole_order(count: int) -> None:
    chooser = random.Random(count)
    clips = [clip(number, chooser) for number in range(count)]
    told = {it["filter"]: it for it in weigh(clips, {}, FilterConfig())["filters"]}
    for name in ("blur", "shake", "noise"):
        entry = REGISTRY[name]
        known = []
        for row in clips:
            value, limit, said = json.loads(row["scores"])[name]
            if value is not None:
                beyond = (value - limit) * (1 if entry.bad == "above" else -1)
                known.append((-beyond, row["clip_id"], said == "reject" or (said == "off" and beyond > 0)))
        out = [name for _, name, bad in sorted(known) if bad]
        kept = [name for _, name, bad in sorted(known) if not bad]
        shown = {kind: [it["clip_id"] for it in told[name][kind]] for kind in ("worst", "just_dropped", "just_kept")}
        assert shown == {
            "worst": out[:WORST], "just_dropped": out[WORST:][-BORDERLINE:], "just_kept": kept[:BORDERLINE],
        }  # fmt: skip
        assert told[name]["drops"] == len(out)
