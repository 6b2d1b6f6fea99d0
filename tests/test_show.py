"""Listings for people: what a filter finds, what a mistyped one says, and that a row is a line of 80 columns."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from rich.cells import cell_len

from wanprep import show, show_source
from wanprep.stage import UsageError

ANY: dict[str, Any] = {"state": None, "reason": None, "source": None}
SOURCES = ("bikes_640x272_25fps.mp4", "frog_handheld_480p_30fps.mp4", "friday_bw_film_480p_30fps.mp4")


def clip(number: int, state: str = "keep", *reasons: str, **more: Any) -> dict[str, Any]:
    scores = {"shake": (0.0894, 0.07, "reject" if reasons else "keep")}
    row: dict[str, Any] = {"clip_id": f"b{number}{'0' * 14}", "path": SOURCES[number % 3], "state": state}
    row |= {"reasons": list(reasons), "unknown": [], "scores": json.dumps(scores), "truncated": "", "duplicated": 0}
    row |= {"start_s": 9.68, "end_s": 39.85, "start_frame": 242, "end_frame": 1195, "n_frames": 400}
    row |= {"crop": [0, 0, 640, 272], "caption": None, "caption_origin": None}
    return row | {"caption_flags": [], "provisional": False} | more


def sample(number: int, state: str, cache_state: str = "", reason: str = "", **more: Any) -> dict[str, Any]:
    size = {"width": 480, "height": 272} if state == "ok" else {"width": None, "height": None}
    row = {"clip_id": f"b{number}{'0' * 14}", "view": "motion", "frames": 41, "start": 58, "state": state, **size}
    return row | {"cache_state": cache_state, "reason": reason, "detail": "", "flip": False} | more


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(show, "planned_frames", lambda measured, pipeline: {})
    monkeypatch.setattr(show, "caption_lines", lambda dataset, row: [])
    tables = {
        "clips": pl.DataFrame([clip(0), clip(1, "rejected", "shake"), clip(2, "rejected", "shake", "blur")]),
        "samples": pl.DataFrame(
            [sample(0, "ok", "cached"), sample(0, "ok", "pending"), sample(1, "rejected", "", "too_short_for_41")],
            infer_schema_length=None,
        ),
    }
    pipeline = SimpleNamespace(model=SimpleNamespace(fps=16))
    manifest = SimpleNamespace(read=tables.__getitem__)
    return SimpleNamespace(manifest=manifest, pipeline=pipeline, measured=lambda: None)


def listed(capsys: pytest.CaptureFixture[str], how: Any, dataset: Any, **filters: Any) -> list[str]:
    how(dataset, False, **{**ANY, **filters})
    lines = capsys.readouterr().out.splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    return lines[2:]


def test_clips_are_a_line_each_and_their_sources_differ(dataset: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys, show.show_clips, dataset)
    assert len(lines) == 4  # only the clip with two reasons takes a second line
    assert [line.split()[1][:4] for line in lines[:3]] == ["bike", "frog", "frid"]
    assert lines[1].endswith("rejected  shake 0.0894 (limit 0.07)")
    assert lines[3] == "    shake 0.0894 (limit 0.07), blur"


@pytest.mark.parametrize("columns", ["80", "60", "160"])
def test_files_of_one_name_stay_apart_and_ids_can_be_used(
    dataset: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    folders = ("Show_B_v2/popeye", "Show_B_v2/olive", "showA bunny/bunny", "live/street/bikes")
    paths = [f"{folder}/clip_{number:03d}.mp4" for folder in folders for number in range(3)]
    shown = [clip(0, path=path, clip_id=f"{k:02d}{'cafe' * 3}00", **FIT) for k, path in enumerate(paths)]
    every = [sample(0, "ok", "cached", clip_id=row["clip_id"]) for row in shown]
    tables = {"clips": pl.DataFrame(shown), "samples": pl.DataFrame(every)}
    dataset.manifest.read = tables.__getitem__
    monkeypatch.setenv("COLUMNS", columns)
    for how in (show.show_clips, show.show_samples):
        how(dataset, False, **ANY)
        head, _, *lines = capsys.readouterr().out.splitlines()
        assert all(cell_len(line) <= int(columns) for line in lines)
        rows = [line for line in lines if not line.startswith("    ")]
        at, until = head.index("source"), head.index("view" if "view" in head else "seconds") - 2 * ("view" not in head)
        names = [line[at:until].strip() for line in rows]
        assert len(set(names)) == len(paths)
        assert all(name.endswith((".mp4", "…")) for name in names)
        ids = [line.split()[0] for line in rows]
        assert all(row["clip_id"].startswith(it) and len(it) >= 8 for row, it in zip(shown, ids))
        if columns == "160":
            assert names == paths
            assert ids == [row["clip_id"] for row in shown]


FIT = {"unknown": ["overlay"], "start_s": 0.0, "end_s": 2.0}


def test_a_good_sample_is_found_by_the_state_it_is_listed_with(
    dataset: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def count(state: str) -> int:
        return len(listed(capsys, show.show_samples, dataset, state=state))

    assert [count(state) for state in ("cached", "pending", "ok", "rejected")] == [1, 1, 2, 2]  # a line more, for why
    row, why = listed(capsys, show.show_samples, dataset, reason="too_short_for_41")
    assert row.endswith("41 frames  13.30-15.87")
    assert why == "    rejected: too_short_for_41"


@pytest.mark.parametrize(
    ("how", "asked", "said"),
    [
        (show.show_clips, {"state": "keept"}, r"did you mean 'keep'.*keep \(1\), rejected \(2\)"),
        (show.show_clips, {"reason": "blurr"}, r"did you mean 'blur'.*blur \(1\), shake \(2\)"),
        (show.show_samples, {"state": "pendin"}, "did you mean 'pending'"),
    ],
)
def test_a_mistyped_filter_is_refused(dataset: Any, how: Any, asked: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        how(dataset, False, **{**ANY, **asked})


def test_a_filter_that_finds_nothing_says_what_there_is(dataset: Any, capsys: pytest.CaptureFixture[str]) -> None:
    show.show_samples(dataset, False, **{**ANY, "state": "keep"})
    told = capsys.readouterr().err
    assert "--state keep: no samples of it" in told
    assert "cached (1), ok (2), pending (1), rejected (1)" in told
    show.show_samples(dataset, False, **{**ANY, "state": "cached"})
    assert capsys.readouterr().err == ""


def test_an_id_that_begins_several_clips_lists_them(dataset: Any) -> None:
    with pytest.raises(UsageError) as told:
        show.show_explain(dataset, "b", False)
    lines = str(told.value).splitlines()
    assert lines[0] == "3 clips have an id that starts with 'b':"
    assert lines[1].split() == ["b0000000", SOURCES[0], "9.68-39.85", "s"]
    assert len(lines) == 4


def test_a_good_score_is_not_explained_by_the_fault(dataset: Any, capsys: pytest.CaptureFixture[str]) -> None:
    fault = "the camera keeps turning back"

    def said(clip_id: str) -> str:
        show.show_explain(dataset, clip_id, False)
        return " ".join(capsys.readouterr().out.split())

    assert f"above the threshold: {fault}" in said("b0")
    assert fault in said("B1")  # in capitals, as spreadsheets may have them
    assert "the threshold:" not in said("b1")


def test_explained_samples_have_seconds_and_the_state_of_the_listing(
    dataset: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    show.show_explain(dataset, "b0", False)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[-2:]] == [
        ["motion", "480x272x41", "13.30-15.87", state] for state in ("cached", "pending")
    ]
    show.show_explain(dataset, "b2", False)
    assert "view" not in capsys.readouterr().out  # no samples, no empty table


def test_flags_of_a_caption_are_shown_and_found(dataset: Any, capsys: pytest.CaptureFixture[str]) -> None:
    flagged = clip(0, caption="a car a car", caption_origin="vlm", caption_flags=["loop"], provisional=True)
    rows = pl.DataFrame([flagged, clip(1), clip(2, "rejected", "shake")], infer_schema_length=None)
    dataset.manifest.read = {"clips": rows}.__getitem__
    (line,) = listed(capsys, show.show_clips, dataset, reason="loop")
    assert " ".join(line.split()).endswith("keep caption: loop, provisional")
    assert len(listed(capsys, show.show_clips, dataset, reason="provisional")) == 1
    assert len(listed(capsys, show.show_clips, dataset, reason="shake")) == 1
    assert show_source.flags_of(clip(1)) == []


def test_a_mirrored_copy_is_told_from_its_sample(dataset: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pl.DataFrame([sample(0, "ok", "cached"), sample(0, "ok", "cached", flip=True)])
    tables = {"clips": dataset.manifest.read("clips"), "samples": rows}
    dataset.manifest.read = tables.__getitem__
    lines = listed(capsys, show.show_samples, dataset)
    assert [" motion mirrored " in line for line in lines] == [False, True]
    show.show_explain(dataset, "b0", False)
    assert "motion mirrored" in capsys.readouterr().out
