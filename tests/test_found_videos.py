"""The pure parts of the benchmark of found videos: what of a file's labels a result agrees with."""

import hashlib
from typing import Any

import pytest
from benchmarks.found import TABLE, File, judge_cuts, judge_pieces, matched, misread, rates, table


def labelled(**changed: Any) -> File:
    about = {"set": "B", "name": "film.mp4", "registry": "r", "package": "p", "version": "1", "path": "film.mp4"}
    labels: dict[str, Any] = {"frames": 200, "cuts": [50, [100, 109]], "unclear": [], "pieces": []}
    return File(**(about | {"sha256": "0" * 64} | labels | changed))


def clip(start: int, end: int, reason: str = "", *reasons: str) -> dict[str, Any]:
    state = "rejected" if reason else "ok"
    return {"start_frame": start, "end_frame": end, "state": state, "reason": reason, "reasons": list(reasons)}


def said(hard: Any = (), gradual: Any = (), black: Any = (), clips: Any = (), frames: int = 200) -> dict[str, Any]:
    spans = [[{"kind": "k", "first": first, "last": last} for first, last in some] for some in (gradual, black)]
    about = {"state": "ok", "reason": "", "detail": "", "frames": frames, "truncated": ""}
    return about | {"hard": list(hard), "gradual": spans[0], "black": spans[1], "clips": list(clips)}


@pytest.mark.parametrize(
    ("entry", "found", "missed", "false"),
    [
        (said([50], [(100, 109)]), 2, 0, 0),
        (said([51], [(108, 120)]), 2, 0, 0),  # a frame beside it; an overlap
        (said([52], [(112, 120)]), 0, 2, 2),
        (said([50, 104]), 2, 0, 0),  # a cut inside a transition divides there
        (said([], [(100, 109)], [(45, 49)]), 2, 0, 0),  # the edge of black
        (said([50, 150], [(100, 109), (160, 170)]), 2, 0, 2),
        (said(), 0, 2, 0),
    ],
)
def test_cuts_found_missed_and_false(entry: dict[str, Any], found: int, missed: int, false: int) -> None:
    tally, log = judge_cuts(labelled(), entry)
    assert (tally["found"], tally["missed"], tally["false"]) == (found, missed, false)
    assert len(log) == missed + false


def test_where_nobody_can_tell_nothing_counts() -> None:
    file = labelled(unclear=[[40, 60], [140, 160]])
    tally, _ = judge_cuts(file, said([150], [(100, 109)]))
    assert (tally["found"], tally["missed"], tally["false"]) == (1, 0, 0)


def test_a_dip_is_one_change_and_a_cut_beside_it_another() -> None:
    file = labelled(cuts=[[20, 29], [30, 40], 41])
    assert file.changes() == [(20, 40), (40, 41)]


def test_leaks_and_doubt() -> None:
    entry = said([], [(100, 109)], clips=[clip(0, 48), clip(48, 52, "maybe_mixed"), clip(52, 105), clip(110, 200)])
    tally, log = judge_cuts(labelled(), entry)
    assert (tally["missed"], tally["doubtful"], tally["clips"], tally["leaks"]) == (1, 1, 3, 1)
    assert log == ["missed 50 (doubtful)", "clip 52-104 holds [(100, 109)]"]
    assert judge_cuts(labelled(), said([50], clips=[clip(0, 50), clip(50, 100)]))[0]["leaks"] == 0


def test_pieces_are_lost_by_what_refuses_most_of_them() -> None:
    pieces = [[0, 100, "keep"], [100, 150, "keep"], [150, 200, "drop", "shake"]]
    clips = [clip(0, 40, "", "shake"), clip(40, 45, "", "blur"), clip(45, 100, "", "duplicate"), clip(150, 200)]
    kept, gone, bad = judge_pieces(labelled(pieces=pieces), said(clips=clips))
    assert (kept["kept"], kept["reasons"]) == (0.55, [])
    assert (gone["kept"], gone["reasons"]) == (0.0, ["transition"])
    assert (bad["kept"], bad["fault"]) == (1.0, "shake")
    lost = judge_pieces(labelled(pieces=pieces[:1]), said(clips=[clip(0, 90, "", "shake"), clip(90, 99, "", "blur")]))
    assert lost[0]["reasons"] == ["shake"]  # less than a tenth is no reason


def test_frames_that_were_not_read_are_told() -> None:
    assert misread(labelled(), said(frames=199)) == ""
    assert misread(labelled(), said(frames=75)) == "75 of 200 frames read; said: nothing"
    assert misread(labelled(frames=None), said(frames=75)) == ""
    failed = {"state": "failed", "reason": "unreadable", "detail": "no picture"}
    assert misread(labelled(), failed) == "failed: unreadable (no picture)"


def test_files_are_known_by_their_bytes(tmp_path: Any) -> None:
    (tmp_path / "in").mkdir()
    for name, data in {"in/a.mp4": b"1", "b.mp4": b"2", "c.txt": b"1"}.items():
        (tmp_path / name).write_bytes(data)
    file = labelled(sha256=hashlib.sha256(b"1").hexdigest())
    assert matched([file], tmp_path, frozenset({".mp4"})) == {file.sha256: tmp_path / "in/a.mp4"}


def test_rates() -> None:
    assert rates({"found": 6, "missed": 2, "false": 4}) == {"precision": 0.6, "recall": 0.75, "f1": 2 / 3}
    assert rates({}) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}


def test_the_table_is_sound() -> None:
    files = table()
    assert len({file.sha256 for file in files}) == len(files)
    assert f'"sha256": "{files[0].sha256}"' in TABLE.read_text()
    for file in files:
        assert file.set in "AB", file.name
        assert len(file.sha256) == 64, file.name
        ends = [end for _, end, *_ in file.pieces] + [last for _, last in file.changes()]
        assert file.frames is None or max([0, *ends]) <= file.frames, file.name
        for start, end, verdict, *fault in file.pieces:
            assert start < end, file.name
            assert verdict in ("drop", "keep", "unsure"), file.name
            assert (verdict == "drop") == bool(fault), file.name
            inside = [at for at in file.cuts if isinstance(at, int) and start < at < end]
            inside += [at for at in file.cuts if isinstance(at, list) and at[0] < end and at[1] >= start]
            assert not inside or verdict != "keep", f"{file.name}: a good piece {start}-{end} holds {inside}"
