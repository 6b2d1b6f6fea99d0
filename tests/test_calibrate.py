"""Thresholds fitted to labels; decisions on made-up scores."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from test_labels import pairs

from wanprep.calibrate import improved, mistakes, settings
from wanprep.config import from_table
from wanprep.stage import UsageError
from wanprep.stages.filter import REGISTRY, FilterConfig
from wanprep.thresholds import FEW, fit
from wanprep.weigh import weigh


def clip(number: int, state: str = "keep", reasons: tuple[str, ...] = (), **values: float | None) -> dict:
    scores: dict[str, tuple[float | None, float, str]]
    scores = {"blur": (0.3, 0.125, "keep"), "shake": (0.0, 0.07, "keep"), "noise": (1.0, 8.0, "off")}
    for name, value in values.items():
        scores[name] = (value, 0.0, "keep")
    for name in reasons:
        scores[name] = (values.get(name) or 0.0, 0.0, "reject")
    span = {"path": f"films/{number}.mp4", "start_s": 0.0, "end_s": 5.0}
    return {"clip_id": f"c{number:03d}", **span, "state": state, "reasons": list(reasons), "scores": scores}


# --- fitting --------------------------------------------------------------------------------------------------------


def test_right_labels_change_nothing():
    labelled = pairs(*(("keep", clip(k, blur=0.2 + 0.01 * k)) for k in range(5)), ("drop blur", clip(9, blur=0.05)))
    assert fit(labelled, FilterConfig()) == FilterConfig()


def test_a_threshold_moves_to_where_the_labels_divide():
    soft = [("drop blur", clip(k, blur=0.13 + 0.01 * k)) for k in range(5)]
    crisp = [("keep", clip(10 + k, blur=0.25 + 0.01 * k)) for k in range(5)]
    got = settings(FilterConfig(), fit(pairs(*soft, *crisp), FilterConfig()))
    assert got == {"blur": {"threshold": pytest.approx((0.17 + 0.25) / 2)}}


def test_of_equally_good_thresholds_the_nearest_to_the_present_one_is_taken():
    labelled = pairs(("drop blur", clip(1, blur=0.14)), ("keep", clip(2, blur=0.2)), ("keep", clip(3, blur=0.4)))
    assert fit(labelled, FilterConfig()).blur.threshold == pytest.approx(0.17)


def test_filters_that_reject_good_clips_are_loosened():
    labelled = pairs(*(("keep", clip(k, shake=0.1 + 0.01 * k)) for k in range(4)))
    config = fit(labelled, FilterConfig())
    assert config.shake.threshold > 0.13
    assert config.blur == FilterConfig().blur


def test_two_filters_that_reject_the_same_good_clip_are_loosened_together():
    labelled = pairs(("keep", clip(1, blur=0.1, shake=0.2)), ("keep", clip(2)), ("drop blur", clip(3, blur=0.05)))
    got = fit(labelled, FilterConfig())
    assert 0.05 < got.blur.threshold < 0.1
    assert got.shake.threshold > 0.2


def test_a_drop_without_a_reason_may_be_any_filters():
    labelled = pairs(("drop", clip(1, shake=0.5, blur=0.3)), ("keep", clip(2)), ("keep", clip(3)))
    assert fit(labelled, FilterConfig()) == FilterConfig()  # shake finds it already
    labelled = pairs(("drop blur", clip(1, shake=0.5, blur=0.2)), ("keep", clip(2)), ("keep", clip(3)))
    assert set(settings(FilterConfig(), fit(labelled, FilterConfig()))) == {"blur"}


def test_a_filter_that_is_off_joins_when_it_is_named():
    labelled = pairs(*(("drop noise", clip(k, noise=5.0 + k)) for k in range(3)), ("keep", clip(9, noise=1.0)))
    got = settings(FilterConfig(), fit(labelled, FilterConfig()))
    assert got == {"noise": {"enabled": True, "threshold": pytest.approx(3.0)}}
    quiet = pairs(("drop", clip(1, noise=20.0)), ("keep", clip(9)))
    assert "noise" not in settings(FilterConfig(), fit(quiet, FilterConfig()))


def test_unknown_scores_neither_keep_nor_drop():
    labelled = pairs(("keep", clip(1, blur=None)), ("drop shake", clip(2, blur=None, shake=0.3)))
    assert fit(labelled, FilterConfig()) == FilterConfig()


def test_labels_that_contradict_each_other_are_not_all_obeyed():
    rng = np.random.default_rng(0)
    values = rng.uniform(0.05, 0.4, 60)
    labelled = pairs(*(("keep" if v > 0.2 or k % 10 == 0 else "drop blur", clip(k, blur=float(v)))
                       for k, v in enumerate(values)))  # fmt: skip
    assert fit(labelled, FilterConfig()).blur.threshold == pytest.approx(0.2, abs=0.02)


def test_mistakes_are_what_the_decisions_contradict():
    labelled = pairs(
        ("keep", clip(1)), ("keep", clip(2, "rejected", ("blur",))), ("drop", clip(3, "rejected", ("shake",))),
        ("drop blur", clip(4, "rejected", ("shake",))), ("drop", clip(5)),
    )  # fmt: skip
    assert [(m["clip_id"], m["label"]) for m in mistakes(labelled)] == [
        ("c002", "keep"), ("c004", "drop blur"), ("c005", "drop"),
    ]  # fmt: skip


# --- ranges, and what gains nothing ---------------------------------------------------------------------------------

SCORES = ("blur", "shake", "static", "overlay", "compression", "text_card")


def judged(values: dict[str, float], config: FilterConfig, number: int) -> dict:
    """A clip as these settings decide it."""
    scores = {}
    for name, value in values.items():
        rule, entry = getattr(config, name), REGISTRY[name]
        bad = value > rule.threshold if entry.bad == "above" else value < rule.threshold
        scores[name] = (value, rule.threshold, "off" if not rule.enabled else "reject" if bad else "keep")
    reasons = [name for name, (_, _, said) in scores.items() if said == "reject"]
    row = clip(number, "rejected" if reasons else "keep")
    return {**row, "reasons": reasons, "scores": scores}


def world(values: list[dict[str, float]], copies: dict[int, int] | None = None):
    """How a dataset of these clips is decided. copies: clip -> the one that it repeats, while that one is kept."""

    def decide(config: FilterConfig) -> dict[str, dict]:
        rows = [judged(own, config, number) for number, own in enumerate(values)]
        for number, of in (copies or {}).items():
            if not rows[number]["reasons"] and not rows[of]["reasons"]:
                rows[number]["scores"]["duplicate"] = (0.1, 0.18, "reject")
        return {row["clip_id"]: row for row in rows}

    return decide


def calibrated(said: list[str], values: list[dict[str, float]], copies: dict[int, int] | None = None):
    """(changed settings, errors before, errors after) with labels for the first clips."""
    decide, config = world(values, copies), FilterConfig()
    rows = decide(config)
    labelled = pairs(*zip(said, rows.values(), strict=False))
    fitted = improved(labelled, config, list(rows.values()), decide)
    after = decide(fitted)
    again = [(label, after[row["clip_id"]]) for label, row in labelled]
    return settings(config, fitted), len(mistakes(labelled)), len(mistakes(again))


NUMBERS = st.one_of(st.sampled_from([0.0, 1.0, 0.5, 0.002]), st.floats(0, 1).map(lambda x: round(x, 6)))


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.fixed_dictionaries(dict.fromkeys(SCORES, NUMBERS)), min_size=1, max_size=14),
    said=st.lists(st.sampled_from(["keep", "drop", "drop overlay", "drop static", "drop noise"]), max_size=14),
    copies=st.dictionaries(st.integers(5, 13), st.integers(0, 4), max_size=3),
)  # fmt: skip
def test_every_proposal_gains_something_and_stays_in_its_range(values, said, copies):
    copies = {copy: of for copy, of in copies.items() if copy < len(values)}
    changes, before, after = calibrated(said, values, copies)
    assert after < before if changes else after == before
    for name, change in changes.items():  # building it checks the range
        from_table(FilterConfig, {name: change})
        others = {other: its for other, its in changes.items() if other != name}
        rows = world(values, copies)(from_table(FilterConfig, others))
        labelled = pairs(*zip(said, rows.values(), strict=False))
        assert len(mistakes(labelled)) > after, name


def test_a_threshold_that_frees_only_copies_is_not_proposed():
    good = {"overlay": 0.1, "shake": 0.0}
    values = [good, *({**good, "overlay": 0.8} for _ in range(3)), {**good, "overlay": 0.7}]
    said = ["keep", "keep", "keep", "keep"]
    assert calibrated(said, values, {1: 0, 2: 0, 3: 0}) == ({}, 3, 3)
    assert calibrated(said, values)[1:] == (3, 0)  # while others are freed by it


def test_the_nearest_of_equally_good_thresholds_changes_the_fewest_other_clips():
    """Clips without a label lie between those with one."""
    values = [{"blur": 0.05}, {"blur": 0.11}, {"blur": 0.3}, {"blur": 0.08}, {"blur": 0.1}]
    changes, before, after = calibrated(["drop blur", "keep", "keep"], values)
    assert (before, after) == (1, 0)
    assert changes == {"blur": {"threshold": pytest.approx(0.105)}}  # 0.08 and 0.1 stay rejected


def test_at_the_end_of_a_range_the_proposal_stays_near_the_clip():
    changes, _, after = calibrated(["keep", "keep"], [{"static": 0.000081}, {"static": 0.3}])
    assert after == 0
    assert 0.00007 < changes["static"]["threshold"] < 0.000081
    assert calibrated(["keep"] * FEW, [{"static": 0.0}] * FEW)[0] == {"static": {"enabled": False}}
    assert calibrated(["drop static", "keep"], [{"static": 1.0}, {"static": 0.3}]) == ({}, 1, 1)


def test_a_filter_that_labels_speak_against_is_switched_off_in_words():
    values = [{"overlay": 0.6 + 0.03 * k} for k in range(10)]
    assert calibrated(["keep"] * 10, values)[0] == {"overlay": {"enabled": False}}
    few = calibrated(["keep"] * (FEW - 1), values[: FEW - 1])[0]["overlay"]
    assert set(few) == {"threshold"}
    assert 0.69 < few["threshold"] < 1
    left = calibrated(["keep"] * FEW, values)[0]["overlay"]  # half of what it rejects was not looked at
    assert left == {"threshold": pytest.approx(0.735)}
    supported = calibrated(["keep"] * 9 + ["drop overlay"], values)[0]["overlay"]
    assert supported == {"threshold": pytest.approx(0.855)}


@pytest.mark.parametrize("others", [[], [{"static": 0.0}] * 2, [{"static": 0.001}]])
def test_a_few_labels_switch_no_filter_off(others):
    """Where the clips to keep lie at the very end of the range, nothing but to switch it off would free them."""
    still = [{"static": 0.0}] * (FEW - 1)
    assert calibrated(["keep"] * (FEW - 1), still + others) == ({}, FEW - 1, FEW - 1)
    assert calibrated(["keep"], still + others) == ({}, 1, 1)
    more = calibrated(["keep"] * FEW, [{"static": 0.0}, *still, *others])
    assert more == ({"static": {"enabled": False}}, FEW, 0)


def test_thresholds_lie_between_scores_that_are_close():
    a, b = 0.801791, 0.801792
    changes, _, after = calibrated(["keep", "drop overlay"], [{"overlay": a}, {"overlay": b}])
    assert after == 0
    assert a <= changes["overlay"]["threshold"] < b


@pytest.mark.parametrize(
    ("name", "threshold", "said"),
    [
        ("overlay", 50, "overlay.threshold = 50 is outside the range of its score, from 0 to 1 (overlay, confidence"),
        ("overlay", -0.1, "from 0 to 1"),
        ("static", -0.04962, "set filter.static.enabled = false"),
        ("compression", 52, "from 0 to 51"),
        ("blur", -1, "0 or more (sharpness"),
    ],
)
def test_a_threshold_outside_its_range_is_refused(name, threshold, said):
    with pytest.raises(UsageError) as told:
        from_table(FilterConfig, {name: {"threshold": threshold}}, "filter")
    assert said in str(told.value)
    entry = REGISTRY[name]
    for edge in (entry.least, entry.most):
        from_table(FilterConfig, {name: {"threshold": edge}} if abs(edge) < 1e9 else {}, "filter")


# --- weighing -------------------------------------------------------------------------------------------------------


def stored(row: dict) -> dict:
    return {**row, "scores": json.dumps(row["scores"])}


def test_weighing_counts_what_each_filter_drops_and_shows_the_border():
    config = from_table(FilterConfig, {"blur": {"threshold": 0.2}})
    rows = []
    for k in range(10):
        value = 0.1 + 0.02 * k
        bad = value < 0.2
        row = clip(k, "rejected" if bad else "keep", ("blur",) if bad else ())
        row["scores"]["blur"] = (value, 0.2, "reject" if bad else "keep")
        row["scores"]["noise"] = (20.0 if k == 0 else 1.0, 8.0, "off")
        rows.append(stored(row))
    rows.append({**stored(clip(99, "rejected", ("too_short",))), "scores": "{}"})
    found = weigh(rows, {row["clip_id"]: "keep" for row in rows}, config)
    by_name = {it["filter"]: it for it in found["filters"]}
    blur, noise = by_name["blur"], by_name["noise"]
    assert (found["clips"], found["kept"], len(found["newly_dropped"])) == (10, 5, 5)
    assert (blur["drops"], blur["share"], blur["alone"], blur["enabled"]) == (5, 0.5, 5, True)
    assert [c["clip_id"] for c in blur["worst"]] == ["c000", "c001", "c002"]
    assert [c["clip_id"] for c in blur["just_dropped"]] == ["c003", "c004"]
    assert [c["clip_id"] for c in blur["just_kept"]] == ["c005", "c006"]
    assert (noise["drops"], noise["enabled"]) == (1, False)
    assert by_name["shake"]["drops"] == 0
    json.dumps(found, allow_nan=False)
    assert [(c["clip_id"], c["value"]) for c in found["newly_dropped"]] == [
        (f"c{k:03d}", pytest.approx(0.1 + 0.02 * k)) for k in range(5)
    ]


def test_a_newly_dropped_clip_has_the_score_of_its_first_reason():
    both = stored(clip(0, "rejected", ("shake", "blur"), shake=0.4, blur=0.1))
    by_hand = stored({**clip(1, "rejected"), "reasons": ["by_hand"]})
    found = weigh([both, by_hand, stored(clip(2))], {f"c{k:03d}": "keep" for k in range(2)}, FilterConfig())
    assert [c["value"] for c in found["newly_dropped"]] == [0.4, None]


def test_nothing_scored_is_weighed_as_nothing():
    assert weigh([], {}, FilterConfig())["clips"] == 0
