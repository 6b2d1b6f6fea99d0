"""The filter stage: what is measured of a clip, and whole-table decisions on made-up scores."""

import json
import math
import random
from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
import pytest

from wanprep.config import from_table, to_table
from wanprep.signals import overlay, phash, quality
from wanprep.signals.blur import focus
from wanprep.signals.store import Signals
from wanprep.stage import UsageError
from wanprep.stages.filter import (
    OPTIONAL,
    REGISTRY,
    FilterConfig,
    Rule,
    share_warnings,
)
from wanprep.stages.judge import decide, judge
from wanprep.stages.precedence import TYPED, Claim
from wanprep.stages.scored import scored
from wanprep.stages.scoring import measure_clip

GOOD = {
    "sharpness": 0.25, "smear": 0.6, "shake": 0.0, "motion": 0.3, "light_jump": 0.01, "frozen": 0.1,
    "duplicate_rate": 0.0, "luma": 110.0, "card": 0.0, "quantiser": 25.0, "noise": 1.0, "camera": "pan left",
    "camera_speed": 0.2, "screen": 0.02,
}  # fmt: skip


def row(number: int, source: str = "s", group: str = "g", **scores) -> dict:
    return {"clip_id": f"{number:05d}", "source_id": source, "group": group, "kind": "video", **GOOD, **scores}


def only(rows, config=None):
    (verdict,) = decide(rows, config or FilterConfig())
    return verdict


def scene(seed: int, mark: bool = False, n: int = 4, looks: dict[int, float] | None = None) -> bytes:
    """Overlay evidence of one random shot, with or without a word in its lower corner.

    looks: what a network would say of the places in some rows of the picture, where it says something.
    """
    rng = np.random.default_rng(seed)
    canvas = cv2.resize(rng.uniform(0, 255, (30, 60, 3)).astype(np.float32), (512, 288), interpolation=cv2.INTER_CUBIC)
    thumbs = []
    for k in range(n):
        view = np.clip(canvas[40 + 5 * k : 184 + 5 * k, 60 + 9 * k : 316 + 9 * k], 0, 255).astype(np.uint8).copy()
        if mark:
            cv2.putText(view, "studio.tv", (170, 130), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (255, 255, 255), 1, cv2.LINE_AA)
        thumbs.append(view)
    places = None
    if looks is not None:
        places = np.full((36, 64), -6.0, np.float32)
        for line, odds in looks.items():
            places[line, 20:40] = odds
    return overlay.clip_evidence(np.stack(thumbs), places)


# --- configuration --------------------------------------------------------------------------------------------------


def test_defaults_come_from_the_registry_and_survive_a_round_trip():
    config = FilterConfig()
    for name, entry in REGISTRY.items():
        assert getattr(config, name).threshold == entry.threshold
        assert entry.name == name
        assert all((entry.unit, entry.meaning, entry.source))
    assert from_table(FilterConfig, to_table(config), "filter") == config


def test_a_table_changes_what_it_names_and_nothing_else():
    config = from_table(FilterConfig, {"blur": {"threshold": 0.2}, "shake": {"enabled": False}}, "filter")
    assert config.blur == Rule(threshold=0.2)
    assert config.shake == Rule(enabled=False, threshold=REGISTRY["shake"].threshold)
    assert config.motion_blur == FilterConfig().motion_blur


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"blurr": {}}, "did you mean 'filter.blur'"),
        ({"blur": {"treshold": 1.0}}, "did you mean 'filter.blur.threshold'"),
        ({"blur": {"threshold": math.inf}}, "enabled = false"),
        ({"blur": {"worst": 1.0}}, "worst"),
        ({"max_reject_share_warning": 0.0}, "max_reject_share_warning"),
    ],
)
def test_wrong_settings_say_what_to_do(table, message):
    with pytest.raises(UsageError, match=message):
        from_table(FilterConfig, table, "filter")


# --- one clip -------------------------------------------------------------------------------------------------------


def test_a_good_clip_is_kept_with_every_score_shown():
    verdict = only([row(1)])
    assert (verdict.state, verdict.reasons) == ("keep", ())
    assert verdict.scores["blur"] == (0.25, REGISTRY["blur"].threshold, "keep")
    assert verdict.scores["overlay"][2] == "unknown"
    assert verdict.scores["noise"][2] == "off"
    assert verdict.scores["camera"] == ("pan left", None, "info")
    assert set(REGISTRY) - {"duplicate", *OPTIONAL} <= set(verdict.scores)
    assert not set(OPTIONAL) & set(verdict.scores)  # off and without a model: not a word of them


@pytest.mark.parametrize(
    ("score", "value", "reason"),
    [("sharpness", 0.05, "blur"), ("smear", 4.0, "motion_blur"), ("shake", 0.3, "shake"), ("motion", 0.0, "static"),
     ("light_jump", 0.2, "light_jump"), ("card", 0.9, "text_card"), ("screen", 0.99, "screen"),
     ("quantiser", 44.0, "compression")],
)  # fmt: skip
def test_each_fault_rejects_with_its_own_reason(score, value, reason):
    verdict = only([row(1, **{score: value})])
    assert (verdict.state, verdict.reasons) == ("reject", (reason,))
    assert only([row(1, **{score: value})], from_table(FilterConfig, {reason: {"enabled": False}})).state == "keep"


@pytest.mark.parametrize("name", [n for n in REGISTRY if n not in ("overlay", "duplicate")])
def test_exactly_at_the_threshold_is_good(name):
    entry = REGISTRY[name]
    config = from_table(FilterConfig, {name: {"threshold": entry.threshold}})
    beyond = math.inf if entry.bad == "above" else -math.inf
    assert only([row(1, **{entry.score: entry.threshold})], config).state == "keep"
    assert only([row(1, **{entry.score: np.nextafter(entry.threshold, beyond)})], config).reasons == (name,)


@pytest.mark.parametrize("missing", [None, math.nan, "absent"])
def test_unknown_scores_never_reject_and_are_named(missing):
    clip = row(1)
    for name in ("sharpness", "shake", "motion"):
        clip[name] = missing
        if missing == "absent":
            del clip[name]
    verdict = only([clip])
    assert (verdict.state, verdict.reasons) == ("keep", ())
    unknown = {name for name, (_, _, said) in verdict.scores.items() if said == "unknown"}
    assert unknown == {"blur", "shake", "static", "overlay"}
    assert verdict.scores["shake"][0] is None
    json.dumps(verdict.scores, allow_nan=False)


def test_unknown_beside_a_fault_does_not_save_the_clip():
    assert only([row(1, sharpness=None, smear=9.0)]).reasons == ("motion_blur",)


def test_stills_are_judged_only_by_what_a_still_shows():
    verdict = only([row(1, kind="image", motion=0.0, shake=1.0, light_jump=1.0, sharpness=0.3)])
    assert verdict.state == "keep"
    assert not {"static", "shake", "light_jump"} & set(verdict.scores)
    assert only([row(1, kind="image", sharpness=0.01)]).reasons == ("blur",)


# --- the whole table ------------------------------------------------------------------------------------------------


def test_verdicts_are_ordered_by_id_and_independent_of_row_order():
    rng = random.Random(0)
    rows = [row(k, source=f"s{k % 4}", sharpness=rng.uniform(0.05, 0.3), evidence=scene(k)) for k in range(20)]
    expected = decide(rows, FilterConfig())
    assert [v.clip_id for v in expected] == sorted(r["clip_id"] for r in rows)
    rng.shuffle(rows)
    before = json.dumps([{**r, "evidence": None} for r in rows])
    assert decide(rows, FilterConfig()) == expected
    assert json.dumps([{**r, "evidence": None} for r in rows]) == before


def test_worst_share_rejects_the_bad_end_of_known_scores():
    rows = [row(k, sharpness=0.2 + 0.001 * k) for k in range(10)] + [row(99, sharpness=None)]
    config = from_table(FilterConfig, {"blur": {"worst": 0.2}})
    assert [v.clip_id for v in decide(rows, config) if v.state == "reject"] == ["00000", "00001"]
    assert all(v.state == "keep" for v in decide(rows, FilterConfig()))


def test_overlay_is_pooled_by_source():
    rows = [row(k, "marked", evidence=scene(k, mark=True)) for k in range(5)]
    rows += [row(10 + k, "clean", evidence=scene(50 + k)) for k in range(5)]
    verdicts = decide(rows, FilterConfig())
    assert [v.reasons for v in verdicts] == [("overlay",)] * 5 + [()] * 5
    assert all(v.scores["overlay"][2] == "keep" for v in verdicts[5:])
    left, top, _, _ = verdicts[0].scores["overlay_box"][0]
    assert left > 0.5
    assert top > 0.6
    assert "overlay_box" not in verdicts[5].scores
    json.dumps(verdicts[0].scores, allow_nan=False)


@pytest.mark.parametrize(
    ("look", "said"), [(6.0, "reject"), (0.9, "reject"), (0.7, "unknown"), (-0.1, "unknown"), (-1.0, "keep")]
)
def test_a_single_clip_is_judged_by_its_own_look(look, said):
    verdict = only([row(1, evidence=scene(1), mark=look, mark_box=[0.7, 0.1, 0.9, 0.2])])
    value, threshold, verdict_said = verdict.scores["overlay"]
    assert (threshold, verdict_said) == (0.5, said)
    assert (value is None) == (said == "unknown")
    assert ("overlay_box" in verdict.scores) == (said == "reject")


def test_a_single_clip_without_thumbnails_is_unknown():
    assert only([row(1, evidence=b"", mark=None)]).scores["overlay"][2] == "unknown"


def test_looks_of_the_clips_of_a_source_count_together():
    """What is doubtful in each clip is plain at one place in all of them; mistakes are at other places in each."""
    rows = [row(k, "faint", evidence=scene(k, looks={30: 0.0}), mark=0.0) for k in range(4)]
    rows += [row(10 + k, "clean", evidence=scene(50 + k, looks={30 - 8 * k: 3.0}), mark=3.0) for k in range(4)]
    verdicts = decide(rows, FilterConfig())
    assert [v.scores["overlay"][2] for v in verdicts] == ["reject"] * 4 + ["keep"] * 4
    assert verdicts[0].scores["overlay_box"][0] == pytest.approx((20 / 64, 30 / 36, 40 / 64, 31 / 36), abs=0.01)


def test_a_clip_on_which_the_common_place_looks_bare_is_let_go():
    rows = [row(k, evidence=scene(k, looks={30: -5.0 if k == 2 else 1.0})) for k in range(4)]
    said = [v.scores["overlay"][2] for v in decide(rows, FilterConfig())]
    assert said == ["reject", "reject", "keep", "reject"]


def test_a_title_over_one_scene_of_many_is_found_by_its_own_look():
    rows = [
        row(k, evidence=scene(k, looks={30: 9.0} if k == 2 else {}), mark=9.0 if k == 2 else -3.0) for k in range(4)
    ]
    said = [v.scores["overlay"][2] for v in decide(rows, FilterConfig())]
    assert said == ["keep", "keep", "reject", "keep"]


def test_a_clip_without_the_mark_is_let_go():
    rows = [row(k, evidence=scene(k, mark=k > 1, looks={32: 4.0} if k > 1 else {})) for k in range(10)]
    assert [v.scores["overlay"][2] for v in decide(rows, FilterConfig())] == ["keep"] * 2 + ["reject"] * 8


def test_a_group_can_convict_but_not_acquit():
    marked = [row(k, f"m{k}", "series", evidence=scene(k, mark=True)) for k in range(5)]
    clean = [row(10 + k, f"c{k}", "holidays", evidence=scene(60 + k)) for k in range(5)]
    verdicts = decide(marked + clean, FilterConfig())
    assert [v.reasons for v in verdicts[:5]] == [("overlay",)] * 5
    assert [v.scores["overlay"][2] for v in verdicts[5:]] == ["unknown"] * 5


def test_one_marked_source_in_a_clean_group_is_not_called_clean():
    rows = [row(k, f"s{k}", evidence=scene(k, mark=k == 0)) for k in range(6)]
    assert decide(rows, FilterConfig())[0].scores["overlay"][2] == "unknown"


def repeated(rows: list[dict], **scores) -> list[dict]:
    """Rows of the same footage as copies: other ids, files later in the alphabet."""
    copies = [dict(r, clip_id="c" + r["clip_id"], path="z/" + r["path"], **scores) for r in rows]
    return rows + copies


def signed(number: int, **more) -> dict:
    rng = np.random.default_rng(number)
    small = rng.integers(0, 255, (21, 48), dtype=np.uint8).tobytes()
    signature = bytes([phash.VERSION, 10, 0]) + rng.bytes(80) + small
    return row(number, path=f"{number:05d}.mp4", start_s=0.0, end_s=5.0, signature=signature, **more)


def test_a_repeat_is_rejected_and_says_of_what():
    verdicts = {v.clip_id: v for v in decide(repeated([signed(k) for k in range(5)]), FilterConfig())}
    assert all(verdicts[f"{k:05d}"].scores["duplicate"] == (None, 0.18, "keep") for k in range(5))
    assert all(verdicts[f"c{k:05d}"].reasons == ("duplicate",) for k in range(5))
    assert verdicts["c00003"].scores["duplicate_of"] == ("00003 (00003.mp4 0.00-5.00 s)", None, "info")
    json.dumps([v.scores for v in verdicts.values()], allow_nan=False)


def test_a_bad_clip_does_not_stand_for_its_repeats():
    rows = repeated([signed(1, sharpness=0.01)], sharpness=0.3)
    assert [v.reasons for v in decide(rows, FilterConfig())] == [("blur",), ()]


def stays(rows: list[dict], claims: dict[str, Claim]) -> dict[str, str]:
    """clip_id of each that goes -> why."""
    found = judge(
        scored(rows), FilterConfig(), claims=lambda ids: {name: claims.get(name, Claim()) for name in ids}
    ).verdicts()
    return {v.clip_id: v.scores["duplicate_why"][0] for v in found if v.reasons == ("duplicate",)}


def test_what_speaks_for_a_copy_decides_and_is_told():
    rows = repeated([signed(1)])
    assert stays(rows, {}) == {"c00001": "all else is equal, and its path comes first"}
    assert stays(rows, {"c00001": Claim(width=64, height=64)}) == {"00001": "its picture is larger: 64x64, not 0x0"}
    words = {"c00001": Claim(width=64, height=64), "00001": Claim(words=TYPED)}
    assert stays(rows, words)["c00001"].startswith("its caption was written by hand, though")
    assert stays(repeated([signed(1)], coded=12.0, by_hand="drop"), words) == {}
    kept = repeated([signed(1)], by_hand="keep")
    assert stays(kept, words) == {"00001": "it was kept by hand"}


def test_claims_are_asked_for_copies_alone():
    asked: list[str] = []
    rows = repeated([signed(k) for k in range(3)])[:4]  # the first of them twice, the others once

    def claims(ids: Sequence[str]) -> dict[str, Claim]:
        asked.extend(ids)
        return {name: Claim() for name in ids}

    judge(scored(rows), FilterConfig(), claims=claims)
    assert sorted(asked) == ["00000", "c00000"]


def test_a_copy_that_another_filter_rejects_stands_for_none_whatever_speaks_for_it():
    rows = repeated([signed(1, sharpness=0.01)], sharpness=0.3)
    assert stays(rows, {"00001": Claim(words=TYPED, width=1920, height=1080)}) == {}


def test_repeats_are_kept_where_the_filter_is_off_and_among_other_kinds():
    rows = repeated([signed(1)])
    off = decide(rows, from_table(FilterConfig, {"duplicate": {"enabled": False}}))
    assert [v.scores["duplicate"][2] for v in off] == ["off", "off"]
    assert all(v.state == "keep" for v in decide(repeated([signed(1)], kind="image"), FilterConfig()))


def test_a_video_of_one_picture_is_compared_with_stills_only():
    one, many = {"start_frame": 7, "end_frame": 8}, {"start_frame": 0, "end_frame": 48}

    def gone(mine: dict, **changed) -> bool:
        return any("duplicate" in v.reasons for v in decide(repeated([signed(1, **mine)], **changed), FilterConfig()))

    assert gone(many, **many)
    assert gone(one, **one)
    assert gone(one, kind="image", start_frame=0, end_frame=1)
    assert not gone(many, **one)
    assert not gone(many, kind="image", start_frame=0, end_frame=1)


def test_clips_of_other_shapes_are_pooled_apart():
    tall = overlay.clip_evidence(np.random.default_rng(0).integers(0, 255, (3, 192, 256, 3), dtype=np.uint8))
    rows = [row(k, evidence=scene(k, mark=True)) for k in range(4)] + [row(9, evidence=tall)]
    verdicts = decide(rows, FilterConfig())
    assert verdicts[-1].scores["overlay"][2] == "unknown"
    assert all(v.reasons == ("overlay",) for v in verdicts[:4])


def test_no_rows_give_no_verdicts():
    assert decide([], FilterConfig()) == []


def test_a_filter_that_removes_much_is_announced():
    rows = [row(k, shake=0.5 if k < 5 else 0.0) for k in range(10)]
    verdicts = decide(rows, FilterConfig())
    reasons = [verdict.reasons for verdict in verdicts]
    (line,) = share_warnings(reasons, FilterConfig())
    assert "shake rejects 50% of 10 clips" in line
    assert share_warnings(reasons, from_table(FilterConfig, {"max_reject_share_warning": 0.5})) == []
    assert share_warnings([], FilterConfig()) == []


def test_ten_thousand_clips_are_decided():
    evidence = [scene(k, n=2) for k in range(30)]
    rows = [signed(k, source=f"s{k // 100}", group=f"g{k // 1000}", evidence=evidence[k % 30]) for k in range(10_000)]
    verdicts = decide(rows, FilterConfig())
    assert len(verdicts) == 10_000


# --- measuring ------------------------------------------------------------------------------------------------------


def signals(frames: np.ndarray, fps: int = 24) -> Signals:
    meter = quality.QualityMeter(256, 144)
    rows = [meter.feed(k / fps, f) | (focus(f) if k % 6 == 0 else {}) for k, f in enumerate(frames)]
    sampled = np.arange(0, len(frames), 12, dtype=np.int32)
    lit = dict.fromkeys(("luma_mean", "red", "blue"), frames.mean((1, 2)).astype(np.float32))
    return Signals(
        time_base=Fraction(1, fps), width=256, height=144, pts=np.arange(len(frames)), last_duration=1,
        frame={name: np.array([r[name] for r in rows], np.float32) for name in quality.FIELDS} | lit,
        sampled=sampled, thumbs=np.repeat(frames[sampled][..., None], 3, axis=-1),
        row_p97=np.zeros((len(sampled), 144), np.uint8), col_p97=np.zeros((len(sampled), 256), np.uint8),
        extra={"tiny": np.stack([cv2.resize(f, (16, 12), interpolation=cv2.INTER_AREA) for f in frames])},
    )  # fmt: skip


def moving(n: int = 48) -> np.ndarray:
    big = np.random.default_rng(3).uniform(0, 255, (30, 60)).astype(np.float32)
    canvas = np.clip(cv2.resize(big, (512, 288), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)
    return np.stack([canvas[40:184, 20 + 2 * k : 276 + 2 * k] for k in range(n)])


def test_measured_scores_are_what_decide_reads():
    found = measure_clip(signals(moving()), 0, 48)
    evidence, *_ = (found.pop(name) for name in ("evidence", "signature", "content"))
    json.dumps(found, allow_nan=False)
    here = {entry.score for entry in REGISTRY.values() if not entry.optional}  # the others come from a model
    assert here - set(found) == {"overlay", "repeat"}
    assert found["camera"] == "pan right"
    assert overlay.map_rows(evidence) == 72
    verdict = only([{"clip_id": "a", "source_id": "s", "group": "g", "evidence": evidence, **found}])
    assert verdict.scores["shake"][:1] == (0.0,)


def test_only_the_clip_itself_is_measured():
    frames = moving()
    frames[24:] = frames[24]
    both = signals(frames)
    assert measure_clip(both, 0, 24)["motion"] > 0.1
    assert measure_clip(both, 24, 48)["motion"] == 0.0
    assert measure_clip(both, 24, 48) == measure_clip(both, 24, 48)


def test_a_clip_too_short_to_know_has_none_instead_of_numbers():
    found = measure_clip(signals(moving(3)), 1, 2)
    assert found["shake"] is None
    assert found["camera"] is None
    assert found["evidence"] == b""
    assert only([{"clip_id": "a", "source_id": "s", "group": "g", **found}]).state == "keep"
