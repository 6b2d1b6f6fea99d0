"""What overlay evidence says together is remembered, and remembering it changes nothing."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from wanprep import keys
from wanprep.signals import overlay
from wanprep.stages.filter import FilterConfig, Rule
from wanprep.stages.judge import decide

RNG = np.random.default_rng(11)


def thumbs(marked: bool) -> np.ndarray:
    picture = cv2.resize(RNG.integers(0, 256, (5, 8, 3), np.uint8), (256, 144), interpolation=cv2.INTER_CUBIC)
    if marked:
        cv2.putText(picture, "LOGO", (170, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (255, 255, 255), 2)
    return np.stack([picture] * 4)


def rows(sources: int = 3, each: int = 5) -> list[dict]:
    found = []
    for source in range(sources):
        for clip in range(each):
            name = f"{source}-{clip}"
            evidence = overlay.clip_evidence(thumbs(marked=source == 0))
            row = {"clip_id": name, "source_id": f"s{source}", "group": "g", "evidence": evidence, "signature": b""}
            found.append(row | {"scores_key": f"scores of {name}", "sharpness": 0.3})
    return found


def test_remembering_changes_nothing_and_saves_the_work(monkeypatch):
    table, config, pools = rows(), FilterConfig(), {}
    plain = decide(table, config)
    assert decide(table, config, pools) == plain
    assert any("overlay" in verdict.reasons for verdict in plain)
    assert len(pools) >= 3
    monkeypatch.setattr(overlay, "pool", lambda _: pytest.fail("was known"))
    assert decide(table, config, pools) == plain
    lenient = dataclasses.replace(config, overlay=Rule(threshold=1.0))
    assert not any("overlay" in verdict.reasons for verdict in decide(table, lenient, pools))


def test_other_clips_are_another_pool():
    table, pools = rows(), {}
    decide(table, FilterConfig(), pools)
    before = len(pools)
    decide(table[1:], FilterConfig(), pools)
    assert len(pools) == before + 1  # of the first source; a group is asked only for clips that are still open


def test_the_rule_is_part_of_the_key(monkeypatch):
    first = keys.pool(["a", "b"])
    assert first != keys.pool(["b", "a"])
    monkeypatch.setattr(keys, "_overlay_rule", lambda: "another")
    assert keys.pool(["a", "b"]) != first


@pytest.mark.parametrize("evidence", [[], [b""], None])
def test_pools_survive_being_stored(evidence):
    if evidence is None:
        evidence = [overlay.clip_evidence(thumbs(marked=True)) for _ in range(4)]
    pooled = overlay.pool([e for e in evidence if e])
    back = overlay.from_json(overlay.to_json(pooled))
    assert back.box == pooled.box
    assert back.scenes == pooled.scenes
    assert back.values == pytest.approx(pooled.values, rel=0, abs=0, nan_ok=True)
    assert back.score == pooled.score or math.isnan(pooled.score)
