"""The deciding half, on rows made up here: pure, complete, independent of the order of rows."""

import json
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep import decide as deciding
from wanprep import keys
from wanprep.decide import judged_clips
from wanprep.measured import Measured, artefacts_of, plans_of, shots_of, signals_of
from wanprep.pipeline import Pipeline, resolve
from wanprep.signals import overlay, phash
from wanprep.stages.scored import stored

SETTINGS = ["family=tiny", 'views=[{name="look",resolution=[64,32],frames=[9]}]']


@pytest.fixture
def pipeline() -> Pipeline:
    return resolve(environment={}, assignments=SETTINGS)


def decide(measured: Measured, pipeline: Pipeline) -> Any:
    """With clips and samples as rows, which can be compared."""
    made = deciding.decide(measured, pipeline)
    return replace(made, clips=made.clips.to_dicts(), samples=made.samples.to_dicts())


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
    scored = [keys.scores(signals_key, a, b, 0, 0, 64, 32) for a, b, _ in ranges]
    scores = [measured_row(key, scores=numbers, evidence=b"") for key in scored]
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
    rows: dict[str, Any] = {name: [row for table in tables for row in table.get(name, [])] for name in names}
    for name, held in (("signals", signals_of), ("shots", shots_of), ("plans", plans_of), ("scores", stored)):
        rows[name] = held(list({row["key"]: row for row in rows.get(name, ())}.values()))  # one a key, as in tables
    return Measured(**rows)


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


def test_the_same_bytes_under_the_same_name_in_two_folders_are_one_source(pipeline: Pipeline) -> None:
    one = a_source(pipeline, "a.mp4", "aa", (0, 20, ""))
    other = {
        "sources": [listed("a.mp4", root="s")],
        "files": [measured_row("s/a.mp4", source_id="aa")],
    }
    decided = decide(together(one, other), pipeline)
    assert [(row["root"], row["state"], row["reason"]) for row in decided.sources] == [
        ("r", "ok", ""),
        ("s", "rejected", "duplicate_source"),
    ]
    assert "a.mp4 in another folder" in decided.sources[1]["detail"]
    assert len(decided.clips) == 1


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


def test_clips_are_judged_alone_as_they_are_with_all_the_rest(pipeline: Pipeline) -> None:
    parts = [a_source(pipeline, f"{i}.mp4", f"id{i}", (0, 20, ""), (20, 60, "too_short")) for i in range(4)]
    measured = together(*parts)
    strict = replace(pipeline, filter=replace(pipeline.filter, blur=replace(pipeline.filter.blur, threshold=0.9)))
    for settings_ in (pipeline, strict):
        whole, alone = decide(measured, settings_).clips, judged_clips(measured, settings_)
        assert alone == whole
    assert {clip["state"] for clip in alone} == {"rejected"}


def test_nothing_depends_on_the_order_of_rows(pipeline: Pipeline) -> None:
    parts = [a_source(pipeline, f"{i}.mp4", f"id{i % 7}", (0, 20, ""), (20, 60, "")) for i in range(9)]
    straight = together(*parts)
    expected = decide(straight, pipeline)
    for seed in range(5):
        chooser = random.Random(seed)
        shuffled: dict[str, Any] = {
            name: chooser.sample(list(getattr(straight, name)), len(getattr(straight, name)))
            for name in ("sources", "files")
        }
        for name in ("signals", "shots", "plans", "scores"):
            shuffled[name] = getattr(straight, name).sample(fraction=1, shuffle=True, seed=seed)
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
    (with_file,) = decide(replace(measured, artefacts=artefacts_of([done])), pipeline).samples
    assert (with_file["media_path"], with_file["cache_state"]) == ("clips/64x32/x.mp4", "pending")
    gone = measured_row(sample["media_key"], "rejected", reason="unreadable", detail="changed")
    (rejected,) = decide(replace(measured, artefacts=artefacts_of([gone])), pipeline).samples
    assert (rejected["state"], rejected["reason"]) == ("rejected", "unreadable")


# --- what is remembered changes nothing -------------------------------------------------------------------------------

RNG = np.random.default_rng(3)
FOOTAGE = [RNG.integers(0, 2**63, 10, dtype=np.uint64).tobytes() + RNG.bytes(21 * 48) for _ in range(12)]
PICTURES = [overlay.clip_evidence(np.stack([RNG.integers(0, 255, (18, 32, 3), np.uint8)] * 2)) for _ in range(12)]


def scored_sources(pipeline: Pipeline) -> Measured:
    """20 sources of three clips, half of them with footage that others have too."""
    parts = []
    for number in range(20):
        part = a_source(pipeline, f"{number:02}.mp4", f"id{number}", (0, 20, ""), (20, 60, ""), (60, 99, ""))
        for k, row in enumerate(part["scores"]):
            drawn = np.random.default_rng([number, k])
            footage = FOOTAGE[int(drawn.integers(12))] if k else drawn.bytes(80 + 21 * 48)
            row["signature"] = bytes([phash.VERSION]) + (10).to_bytes(2, "little") + footage
            row["evidence"] = PICTURES[int(drawn.integers(12))]
            numbers = {"sharpness": 0.3 * float(drawn.random()), "motion": float(drawn.random()), "mark": -9.0}
            row["scores"] = json.dumps({**json.loads(row["scores"]), **numbers})
        parts.append(part)
    return together(*parts)


SETTINGS_TRIED = st.fixed_dictionaries(
    {
        "blur.threshold": st.floats(0.0, 0.3).map(lambda value: round(value, 3)),
        "static.worst": st.sampled_from([0.0, 0.3]),
        "duplicate.threshold": st.sampled_from([0.05, 0.18]),
        "duplicate.enabled": st.sampled_from(["true", "true", "false"]),
        "overlay.threshold": st.sampled_from([0.3, 0.5, 0.99]),
    }
)


@settings(max_examples=25, deadline=None)
@given(st.lists(SETTINGS_TRIED, min_size=2, max_size=4))
def test_deciding_again_is_deciding_from_scratch(tried: list[dict]) -> None:
    remembered = scored_sources(resolve(environment={}, assignments=SETTINGS))
    blank = remembered
    for changes in tried:
        changed = [f"filter.{name}={value}" for name, value in changes.items()]
        pipeline = resolve(environment={}, assignments=[*SETTINGS, *changed])
        again, scratch = decide(remembered, pipeline), decide(blank, pipeline)
        for table in ("sources", "clips", "samples", "warnings"):
            assert getattr(again, table) == getattr(scratch, table)
        pools, matches = [*remembered.pools, *again.pools], [*remembered.matches, *again.matches]
        remembered = replace(remembered, pools=pools, matches=matches)
        assert {row["key"] for row in scratch.matches} <= {row["key"] for row in matches}


def test_a_second_deciding_finds_all_it_needs_remembered(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = scored_sources(pipeline)
    first = decide(measured, pipeline)
    assert first.pools
    assert first.matches
    assert any("duplicate" in clip["reasons"] for clip in first.clips)
    monkeypatch.setattr(overlay, "pool", lambda _: pytest.fail("was known"))
    monkeypatch.setattr(phash, "match", lambda *_: pytest.fail("was known"))
    again = decide(replace(measured, pools=first.pools, matches=first.matches), pipeline)
    assert (again.clips, again.pools, again.matches) == (first.clips, [], [])


def evidence_apart(measured: Measured, *, heights: bool) -> tuple[Measured, list[int]]:
    """The same, its evidence beside the scores, as tables hold it; and a list that grows when it is asked for."""
    asked: list[int] = []
    held = dict(measured.scores.select("key", "evidence").iter_rows())

    def given() -> dict[str, bytes]:
        asked.append(1)
        return held

    rows = measured.scores.to_dicts()
    for row in rows:
        more = {"map_rows": overlay.map_rows(row["evidence"])} if heights else {}
        row |= {"evidence": None, "scores": json.dumps({**json.loads(row["scores"]), **more})}
    return replace(measured, scores=stored(rows), evidence=given), asked


@pytest.mark.parametrize("heights", [True, False])
def test_where_evidence_is_kept_changes_nothing(pipeline: Pipeline, heights: bool) -> None:
    measured = scored_sources(pipeline)
    apart, asked = evidence_apart(measured, heights=heights)
    inside, beside = decide(measured, pipeline), decide(apart, pipeline)
    assert beside == inside
    assert any(not np.isnan(json.loads(row["value"])["score"]) for row in inside.pools)
    assert asked


def test_evidence_is_not_asked_for_where_every_pool_is_remembered(pipeline: Pipeline) -> None:
    measured, asked = evidence_apart(scored_sources(pipeline), heights=True)
    first = decide(measured, pipeline)
    asked.clear()
    known = replace(measured, pools=first.pools)
    assert decide(known, pipeline).clips == first.clips
    other = resolve(
        environment={}, assignments=[*SETTINGS, "filter.blur.threshold=0.2", "filter.overlay.threshold=0.9"]
    )
    assert decide(known, other).clips != first.clips
    assert not asked
    decide(replace(known, pools=first.pools[1:]), pipeline)  # one of them forgotten
    assert asked
