"""The deciding half, on rows made up here: pure, complete, independent of the order of rows."""

import json
import random
from dataclasses import replace

import pytest

from wanprep import keys
from wanprep.decide import Measured, decide
from wanprep.pipeline import Pipeline, resolve

SETTINGS = ["family=tiny", 'views=[{name="look",resolution=[64,32],frames=[9]}]']


@pytest.fixture
def pipeline() -> Pipeline:
    return resolve(environment={}, assignments=SETTINGS)


def listed(path: str, state: str = "pending", root: str = "r") -> dict:
    row = {"root": root, "path": path, "group": "g", "bytes": 1, "mtime_ns": 1, "file_key": f"{root}/{path}"}
    return row | {"state": state}


def measured_row(key: str, outcome: str = "done", **more: object) -> dict:
    return {"key": key, "outcome": outcome, "reason": "", "detail": "", **more}


def spans(*ranges: tuple[int, int, str]) -> str:
    return json.dumps(
        [
            {
                "start_pts": a, "end_pts": b, "start_frame": a, "end_frame": b, "crop": [0, 0, 64, 32],
                "state": "rejected" if reason else "ok", "reason": reason,
            }
            for a, b, reason in ranges
        ]
    )  # fmt: skip


def a_source(pipeline: Pipeline, path: str, identity: str, *ranges: tuple[int, int, str]) -> dict[str, list]:
    """Rows of one healthy source with these spans (16 units a second), every clip scored the same good way."""
    signals_key, digest = keys.signals(identity), f"digest of {identity}"
    signal = measured_row(
        signals_key, source_id=identity, kind="video", digest=digest, truncated="", time_base="1/16", first_pts=0,
        last_pts=99, last_duration=1, width=64, height=32,
    )  # fmt: skip
    shots_key = keys.shots(digest, pipeline.split)
    plans = json.dumps([{"n_frames": b - a, "duplicated": 0, "frames": list(range(a, b))} for a, b, _ in ranges])
    numbers = json.dumps({"sharpness": 0.3, "smear": 1.0, "shake": 0.0, "motion": 0.5, "light_jump": 0.0})
    scores = [measured_row(keys.scores(signals_key, a, b), scores=numbers, evidence=b"") for a, b, _ in ranges]
    return {
        "sources": [listed(path)],
        "files": [measured_row(f"r/{path}", source_id=identity)],
        "signals": [signal],
        "shots": [measured_row(shots_key, spans=spans(*ranges))],
        "plans": [measured_row(keys.plans(shots_key, 16), plans=plans)],
        "scores": scores,
    }


def together(*tables: dict[str, list]) -> Measured:
    names = {name for table in tables for name in table}
    return Measured(**{name: [row for table in tables for row in table.get(name, [])] for name in names})


def test_states_of_sources(pipeline: Pipeline) -> None:
    measured = together(
        a_source(pipeline, "good.mp4", "aa", (0, 20, "")),
        {
            "sources": [listed(n) for n in ("copy.mp4", "new.mp4", "bad.mp4", "slow disk.mp4", "no signals.mp4")]
            + [listed("was.mp4", "gone")],
            "files": [
                measured_row("r/copy.mp4", source_id="aa"),
                measured_row("r/bad.mp4", source_id="bb"),
                measured_row("r/no signals.mp4", source_id="cc"),
                measured_row(
                    "r/slow disk.mp4", "failed", reason="OSError", detail="input/output error", source_id=None
                ),
            ],
            "signals": [measured_row(keys.signals("bb"), "rejected", reason="no_video", detail="audio only")],
        },
    )
    got = {row["path"]: (row["state"], row["reason"]) for row in decide(measured, pipeline).sources}
    assert got == {
        "bad.mp4": ("rejected", "no_video"),
        "copy.mp4": ("ok", ""),  # the first of two by name stands for both
        "good.mp4": ("rejected", "duplicate_source"),
        "new.mp4": ("pending", ""),
        "no signals.mp4": ("pending", ""),
        "slow disk.mp4": ("failed", "OSError"),
        "was.mp4": ("gone", "file_missing"),
    }


def test_every_span_is_a_clip_in_one_state(pipeline: Pipeline) -> None:
    source = a_source(pipeline, "a.mp4", "aa", (0, 20, ""), (20, 24, "too_short"), (24, 60, ""))
    source["scores"] = source["scores"][:1]
    clips = decide(together(source), pipeline).clips
    assert [(c["start_frame"], c["state"], c["reasons"]) for c in clips] == [
        (0, "keep", []),
        (20, "rejected", ["too_short"]),
        (24, "pending", []),
    ]
    assert "overlay" in clips[0]["unknown"]  # one source with one scene can neither be convicted nor acquitted


def test_nothing_depends_on_the_order_of_rows(pipeline: Pipeline) -> None:
    parts = [a_source(pipeline, f"{i}.mp4", f"id{i % 7}", (0, 20, ""), (20, 60, "")) for i in range(9)]
    straight = together(*parts)
    expected = decide(straight, pipeline)
    for seed in range(5):
        chooser = random.Random(seed)
        shuffled = {
            name: chooser.sample(list(getattr(straight, name)), len(getattr(straight, name)))
            for name in ("sources", "files", "signals", "shots", "plans", "scores")
        }
        assert decide(replace(straight, **shuffled), pipeline) == expected


def test_changed_split_settings_leave_no_stale_clip(pipeline: Pipeline) -> None:
    measured = together(a_source(pipeline, "a.mp4", "aa", (0, 20, "")))
    other = resolve(environment={}, assignments=[*SETTINGS, "split.margin=9"])
    assert decide(measured, pipeline).clips
    assert decide(measured, other).clips == []  # pending: the shots under these settings are not remembered


def test_a_rejected_clip_has_no_samples_and_a_good_one_has(pipeline: Pipeline) -> None:
    measured = together(a_source(pipeline, "a.mp4", "aa", (0, 20, ""), (20, 60, "")))
    everything = decide(measured, pipeline)
    assert {s["clip_id"] for s in everything.samples} == {c["clip_id"] for c in everything.clips}
    strict = resolve(environment={}, assignments=[*SETTINGS, "filter.blur.threshold=1.0"])
    decided = decide(measured, strict)
    assert decided.samples == []
    assert [c["reasons"] for c in decided.clips] == [["blur"], ["blur"]]


def test_media_row_gives_the_sample_its_file(pipeline: Pipeline) -> None:
    measured = together(a_source(pipeline, "a.mp4", "aa", (0, 20, "")))
    (sample,) = decide(measured, pipeline).samples
    done = measured_row(sample["media_key"], path="clips/64x32/x.mp4", digest="d")
    (with_file,) = decide(replace(measured, artefacts=[done]), pipeline).samples
    assert (with_file["media_path"], with_file["cache_state"]) == ("clips/64x32/x.mp4", "pending")
    gone = measured_row(sample["media_key"], "rejected", reason="unreadable", detail="changed")
    (rejected,) = decide(replace(measured, artefacts=[gone]), pipeline).samples
    assert (rejected["state"], rejected["reason"]) == ("rejected", "unreadable")
