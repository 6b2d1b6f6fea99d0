"""Labels from a CSV, and thresholds fitted to them; decisions on made-up scores."""

import json

import numpy as np
import pytest

from wanprep.calibrate import Label, find_clips, fit, mistakes, read_labels, settings
from wanprep.config import from_table
from wanprep.stage import UsageError
from wanprep.stages.filter import FilterConfig
from wanprep.weigh import weigh


def clip(number: int, state: str = "keep", reasons: tuple[str, ...] = (), **values: float | None) -> dict:
    scores = {"blur": (0.3, 0.125, "keep"), "shake": (0.0, 0.07, "keep"), "noise": (1.0, 8.0, "off")}
    for name, value in values.items():
        scores[name] = (value, 0.0, "keep")
    span = {"path": f"films/{number}.mp4", "start_s": 0.0, "end_s": 5.0}
    return {"clip_id": f"c{number:03d}", **span, "state": state, "reasons": list(reasons), "scores": scores}


def pairs(*labelled: tuple[str, dict]) -> list:
    made = []
    for line, (said, row) in enumerate(labelled, 2):
        label, _, reason = said.partition(" ")
        made.append((Label(line=line, keep=label == "keep", clip_id=row["clip_id"], reason=reason), row))
    return made


# --- reading --------------------------------------------------------------------------------------------------------


def test_both_ways_of_naming_a_clip():
    text = "\ufeffclip_id,label,reason\nab12, Keep,\ncd34,drop,blur\n"
    found = [(label.line, label.keep, label.clip_id, label.reason) for label in read_labels(text, "x.csv")]
    assert found == [(2, True, "ab12", ""), (3, False, "cd34", "blur")]
    (label,) = read_labels("path,time,label\na/b.mp4,12.5,drop\n", "x.csv")
    assert (label.path, label.time, label.keep) == ("a/b.mp4", 12.5, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,label\na,keep\n", "must name label and clip_id"),
        ("", "it has nothing"),
        ("clip_id,label\na,maybe\n", "line 2: label is 'maybe'"),
        ("path,time,label\na.mp4,soon,keep\n", "time is 'soon'"),
        ("clip_id,label\n,keep\n", "names no clip"),
    ],
)
def test_a_wrong_line_is_named(text, message):
    with pytest.raises(UsageError, match=message):
        read_labels(text, "x.csv")


def test_clips_are_found_by_id_or_by_time_and_the_rest_is_listed():
    rows = [clip(1), clip(2), {**clip(3), "path": "films/2.mp4", "start_s": 5.0, "end_s": 9.0}]
    labels = [
        Label(line=2, keep=True, clip_id="c001"),
        Label(line=3, keep=True, path="2.mp4", time=6.0),
        Label(line=4, keep=True, clip_id="c00"),
        Label(line=5, keep=True, path="2.mp4", time=99.0),
    ]
    found, lost = find_clips(labels, rows)
    assert [row["clip_id"] for _, row in found] == ["c001", "c003"]
    assert [label.line for label in lost] == [4, 5]


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


def test_nothing_scored_is_weighed_as_nothing():
    assert weigh([], {}, FilterConfig())["clips"] == 0
