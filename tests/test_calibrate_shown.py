"""What `wanprep calibrate` makes of a file of labels, and prints; the dataset's decisions are stand-ins."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from wanprep import decide
from wanprep.calibrate import calibrate
from wanprep.pipeline import Pipeline
from wanprep.show_calibrate import advice, show_calibration, summary
from wanprep.stage import UsageError

SHAKES = (0.01, 0.02, 0.09, 0.1, 0.3)


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Five scored clips, of which the last is kept by hand; one that is not scored yet; one that was never a clip."""

    def judged(measured: Any, pipeline: Pipeline) -> list[dict[str, Any]]:
        limit, rows = pipeline.filter.shake.threshold, []
        for number, value in enumerate(SHAKES):
            bad = value > limit
            scores = {"shake": (value, limit, "reject" if bad else "keep")}
            state = "keep" if number == 4 or not bad else "rejected"
            rows.append({"state": state, "reasons": ["shake"] if state != "keep" else [], "scores": json.dumps(scores)})
        rows += [{"state": "pending", "reasons": [], "scores": "{}"}]
        rows += [{"state": "rejected", "reasons": ["too_short"], "scores": "{}"}]
        span = {"start_s": 0.0, "end_s": 5.0}
        return [{"clip_id": f"c{k:03d}", "path": f"{k}.mp4", **span, **row} for k, row in enumerate(rows)]

    monkeypatch.setattr(decide, "judged_clips", judged)
    return SimpleNamespace(measured=dict, pipeline=Pipeline(), root=Path("dataset"))


def labels(folder: Path, *lines: str) -> Path:
    (folder / "labels.csv").write_text("clip_id,label,reason\n" + "\n".join(lines) + "\n")
    return folder / "labels.csv"


def test_labels_that_all_contradict_each_other_say_nothing(dataset, tmp_path):
    with pytest.raises(UsageError, match="both keep and drop of each clip, the first in lines 2 and 3"):
        calibrate(dataset, labels(tmp_path, "c000,keep,", "c000,drop,"))
    assert calibrate(dataset, labels(tmp_path, "c000,keep,", "c000,drop,", "c002,keep,"))["used"] == 1


def test_what_is_found_is_shown_whole(dataset, tmp_path, capsys):
    lines = ["c000,keep,", "c002,keep,", "c004,drop,shake", "c002,keep,", "c005,keep,", "c006,drop,", "c001,drop,mood",
             "c003,keep,", "c003,drop,", "nope,keep,", "c000,perhaps,", ",keep,"]  # fmt: skip
    found = calibrate(dataset, labels(tmp_path, *lines))
    assert (found["labels"], found["used"], found["repeated"]) == (12, 3, [5])
    assert found["unusable"] == [
        {"line": 6, "cause": "clip c005 is not scored yet; run wanprep filter"},
        {"line": 7, "cause": "clip c006 was never scored: it is too_short"},
        {"line": 8, "cause": "no filter is called 'mood'"},
        {"line": 11, "cause": "no clip has an id that starts with 'nope'"},
        {"line": 12, "cause": "label is 'perhaps'; it must be keep or drop"},
        {"line": 13, "cause": "names no clip; give clip_id, or path and time"},
    ]
    assert [(clip["clip_id"], clip["keep"], clip["drop"]) for clip in found["torn"]] == [("c003", [9], [10])]
    assert [wrong["line"] for wrong in found["before"]] == [3]  # the clip kept by hand is dropped by its filter
    assert found["after"] == []
    assert found["settings"] == {"shake": {"threshold": 0.095}}  # clip 3, which nobody labelled, stays rejected
    assert found["few"] == {"shake": 1}
    assert [clip["clip_id"] for clip in found["newly_kept"]] == ["c002"]
    assert dataset.pipeline == Pipeline()
    show_calibration(dataset, tmp_path / "labels.csv", False)
    out = capsys.readouterr().out
    for line in [*summary(found), *advice(found), "[filter.shake]", "threshold = 0.095"]:
        assert line in out
    dataset.root = Path("my set")
    show_calibration(dataset, tmp_path / "labels.csv", False)
    assert "wanprep filter --preview --out 'my set' --set" in capsys.readouterr().out
    show_calibration(dataset, tmp_path / "labels.csv", True)
    assert json.loads(capsys.readouterr().out)["settings"] == found["settings"]


def test_nothing_to_gain_and_nothing_to_use(dataset, tmp_path, capsys):
    show_calibration(dataset, labels(tmp_path, "c000,drop,", "c001,keep,"), False)
    out = capsys.readouterr().out
    assert "1 label contradicted with the present settings." in out
    assert "keep the present ones" in out
    assert "[filter" not in out
    with pytest.raises(UsageError, match=r"none of the 2 labels .*line 2: label is 'so'.*line 3: clip c005 is not sc"):
        calibrate(dataset, labels(tmp_path, "c000,so,", "c005,keep,"))
    with pytest.raises(UsageError, match=r"none of the 1 labels .* \(line 2: clip c005 is not scored yet"):
        calibrate(dataset, labels(tmp_path, "c005,keep,"))


@pytest.mark.parametrize(("contradicted", "weak"), [(3, False), (4, True)])
def test_a_fit_that_mends_little_says_so(dataset, tmp_path, capsys, contradicted, weak):
    """One is mended by its threshold, the others are beyond any."""
    lines = ["c002,keep,", "c004,drop,", *(f"c000,drop,{name}" for name in ("blur", "static", "noise"))]
    found = calibrate(dataset, labels(tmp_path, *lines[: contradicted + 1]))
    assert (len(found["before"]), len(found["after"])) == (contradicted, contradicted - 1)
    assert found["weak"] is weak
    show_calibration(dataset, tmp_path / "labels.csv", False)
    said = f"hardly explain the labels: 1 of {contradicted} contradicted"
    assert (said in capsys.readouterr().out) is weak


def test_what_is_said_of_a_calibration():
    where = {"path": "a.mp4", "start_s": 0.0, "end_s": 2.0}
    found = {
        "labels": 20, "used": 9, "repeated": [3], "unusable": [{"line": k, "cause": "why"} for k in range(4, 12)],
        "torn": [{"clip_id": "c0ffee00aa", **where, "keep": [12], "drop": [13]}], "before": [{}] * 3, "after": [{}],
        "settings": {"overlay": {"enabled": False}}, "off": ["overlay"], "few": {"overlay": 2},
        "weak": False, "none_left": False,
        "newly_kept": [{"clip_id": "beef000000", **where, "reasons": ["overlay"]}], "newly_dropped": [],
    }  # fmt: skip
    assert summary(found) == [
        "9 of 20 labels used.",
        "1 line repeats what another says, and count once: 3",
        "1 clip left out: one line keeps it, another drops it",
        "  c0ffee00 a.mp4 0.00-2.00 s: keep in line 12, drop in line 13",
        "8 lines that cannot be used:",
        *(f"  line {k}: why" for k in range(4, 9)),
        "  and 3 more",
        "3 labels contradicted with the present settings, 1 with those proposed.",
    ]
    assert advice(found) == [
        "overlay: these labels say that it should be off (enabled = false): what it rejects is to be kept",
        "overlay: rests on 2 labels; look at more clips before you trust it",
        "1 clip newly kept, labelled or not:",
        "  beef0000 a.mp4 0.00-2.00 s (overlay)",
        "Look first: wanprep filter --preview --set filter.overlay.enabled=false",
    ]
    said = "These settings hardly explain the labels: 2 of 3 contradicted ones are mended. Keep the"
    assert [said in line for line in advice(found | {"weak": True})] == [False, True, *[False] * 4]
    assert advice(found | {"settings": {}}) == ["No other thresholds contradict fewer labels: keep the present ones."]
    assert advice(found | {"settings": {}, "before": []}) == ["The thresholds are the best for these labels already."]


def test_settings_that_leave_no_clip_are_not_proposed_without_a_word(dataset, tmp_path):
    def said(*lines: str) -> bool:
        found = calibrate(dataset, labels(tmp_path, *lines))
        assert found["settings"]
        return any("No clip at all would be kept" in line for line in advice(found))

    assert said("c000,drop,shake", "c001,drop,shake")
    assert not said("c000,keep,", "c001,drop,shake")
