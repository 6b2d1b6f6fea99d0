"""Contact sheets: what is on them, in which order, and that their pictures are those of the clips."""

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from footage import make_video

from wanprep import lettering, sheets
from wanprep.cli import cli
from wanprep.stage import UsageError


def clip(number: int, state: str = "keep", reasons=(), sharpness: float = 0.2, **more) -> dict:
    verdict = "reject" if "blur" in reasons else "keep"
    scores = {"blur": (sharpness, 0.125, verdict), "luma": (90.0, None, "info"), "overlay": (None, 0.5, "unknown")}
    row = {"clip_id": f"{number:016d}", "source_id": "s", "path": "a.mp4", "state": state, "reasons": list(reasons)}
    span = {"start_pts": 0, "end_pts": 24, "crop": [0, 0, 192, 108], "scores": scores}
    return row | span | more


def test_the_doubtful_clips_come_first():
    rows = [clip(1, sharpness=0.4), clip(2, sharpness=0.13), clip(3, sharpness=0.2)]
    rows += [clip(4, "rejected", ["blur"], 0.05), clip(5, "rejected", ["blur", "shake"], 0.12)]
    groups = sheets.grouped(rows)
    assert list(groups) == ["kept", "blur", "shake"]
    assert [row["clip_id"][-1] for _, row in groups["kept"]] == ["2", "3", "1"]
    assert [row["clip_id"][-1] for _, row in groups["blur"]] == ["5", "4"]
    assert groups["blur"][0][0] == "00000000 blur 0.12 (0.125)"
    assert groups["shake"][0][0] == "00000000 shake"  # no such score: the reason alone


def test_undecided_clips_are_on_no_sheet():
    assert sheets.grouped([clip(1, "pending")]) == {}


def test_a_sheet_is_a_grid():
    tile = np.full((sheets.TILE[1], sheets.TILE[0], 3), 200, np.uint8)
    page = sheets.sheet([(("one", "two"), [tile] * 3)] * 4)
    assert page.shape[0] == 2 * sheets.sheet([(("one", "two"), [tile] * 3)]).shape[0]
    assert page.shape[1] >= sheets.COLUMNS * 3 * sheets.TILE[0]
    assert (page[: sheets.TILE[1], : 3 * sheets.TILE[0]] == 200).all()


def test_a_duplicate_stands_beside_the_clip_that_it_repeats(tmp_path):
    first = clip(1, path="film.mp4", end_pts=12288)
    scores = {
        "duplicate": (0.1, 0.18, "reject"),
        "duplicate_of": [first["clip_id"] + " (film.mp4 0.00-1.00 s)", None, ""],
    }
    again = clip(2, "rejected", ["duplicate"], scores=scores, start_pts=12288, end_pts=24576)
    lost = clip(3, "rejected", ["duplicate"], scores={**scores, "duplicate_of": ("gone", None, "")})
    ((_, members),) = [group for group in sheets.grouped([first, again, lost]).items() if group[0] == "duplicate"]
    pairs = sheets.with_originals(members, [first, again, lost])
    assert [row["clip_id"][-1] for _, row in pairs] == ["1", "2", "3", "3"]
    assert [text for text, _ in pairs[:2]] == ["00000000 is shown again by", "00000000 duplicate 0.1 (0.18)"]
    source = make_video(tmp_path / "a.mp4", frames=48, rate=24, picture=grey)
    (made,) = sheets.write_sheets(Tables(tmp_path, [first, again], source), clips=5, reason="duplicate")
    page = cv2.imread(made["path"])
    left, right = (page[50, side + 80].mean() for side in (0, page.shape[1] // 2))
    assert left < right - 20  # the first second of the source, then the second one
    assert made["clips"] == 1


def test_a_clip_is_labelled_with_its_file_and_time(tmp_path, monkeypatch):
    drawn: list[str] = []
    fitting = lettering.fitting
    monkeypatch.setattr(lettering, "fitting", lambda *args: (found := fitting(*args), drawn.append(found[1]))[0])
    long = "holiday/" + "x" * 90 + "/the end of it.mp4"
    rows = [
        clip(1, start_s=1.5, end_s=2.25),
        clip(2, path=long),
        clip(3, path="映画.mp4"),
        clip(4, path="wide" + "W" * 90),
    ]
    sheets.write_sheets(Tables(tmp_path, rows, tmp_path / "gone.mp4"), clips=4)
    assert drawn[0].startswith("00000000 blur")
    assert drawn[1] == "a.mp4 1.50-2.25 s"
    assert drawn[3].startswith("holiday/x")
    assert drawn[3].endswith("the end of it.mp4")
    room = 3 * sheets.TILE[0]
    assert all(fitting(text, room)[0].getlength(text) <= room for text in drawn)
    assert "?" not in drawn[5]
    assert drawn[7].startswith("wideW")


@pytest.mark.parametrize("there", [True, False])
def test_letters_of_any_script_are_drawn_or_spelt_out(monkeypatch, there):
    if not there:  # a machine without fonts
        monkeypatch.setattr(lettering, "FONTS", ())
    lettering.fonts.cache_clear()
    try:
        written = [lettering.fitting(name, 400)[1] for name in ("café.mp4", "日本.mp4", "日木.mp4", "a\nb", "Ünïcödé")]
        font = lettering.fonts()[0]
        assert all(lettering.has(font, letter) or there for text in written for letter in text)
        assert written[0] in ("café.mp4", "cafe.mp4")
        assert written[0] == ("café.mp4" if lettering.has(font, "é") else "cafe.mp4")
        assert written[1] != written[2]
        assert written[3] == "a?b"
        page = lettering.draw(np.zeros((20, 200, 3), np.uint8), [(3, 14, "日é")], 190)
        assert page.max() > 150
        assert (page[:, 120:] == 0).all()
    finally:
        lettering.fonts.cache_clear()


def grey(number: int, width: int, height: int) -> np.ndarray:
    return np.full((height, width, 3), 10 + 4 * number, np.uint8)


class Tables:
    """As much of a dataset as sheets look at."""

    def __init__(self, root: Path, rows: list[dict], source: Path) -> None:
        self.root = root
        tables = {
            "clips": pl.DataFrame([{**r, "scores": json.dumps(r["scores"])} for r in rows]),
            "sources": pl.DataFrame([{"source_id": "s", "path": "a.mp4", "state": "ok"}]),
        }
        self.manifest = SimpleNamespace(read=tables.__getitem__)
        self.source_path = lambda row: source


def test_pictures_are_those_of_the_clip(tmp_path):
    source = make_video(tmp_path / "a.mp4", frames=48, rate=24, picture=grey)
    rows = [clip(1, start_pts=0, end_pts=12288), clip(2, "rejected", ["blur"], start_pts=12288, end_pts=24576)]
    made = sheets.write_sheets(Tables(tmp_path, rows, source), clips=5)
    assert [(Path(it["path"]).name, it["clips"], it["of"]) for it in made] == [
        ("kept.jpg", 1, 1), ("rejected-blur.jpg", 1, 1),
    ]  # fmt: skip
    pages = [cv2.imread(it["path"]) for it in made]
    middles = [[page[50, 80 + 160 * k].mean() for k in range(3)] for page in pages]
    assert middles[0][0] < middles[0][1] < middles[0][2] < middles[1][0] < middles[1][2]


def test_no_more_clips_than_asked_for_and_only_one_sheet(tmp_path):
    source = make_video(tmp_path / "a.mp4", frames=24, picture=grey)
    tables = Tables(tmp_path, [clip(k) for k in range(5)] + [clip(9, "rejected", ["blur"])], source)
    (made,) = sheets.write_sheets(tables, clips=2, reason="kept")
    assert (made["clips"], made["of"]) == (2, 5)
    assert not (tmp_path / "reports" / "rejected-blur.jpg").exists()
    with pytest.raises(UsageError, match="kept, blur"):
        sheets.write_sheets(tables, clips=2, reason="shake")


def test_sheets_of_an_earlier_call_go_and_files_of_others_stay(tmp_path):
    source = make_video(tmp_path / "a.mp4", frames=24, picture=grey)
    sheets.write_sheets(Tables(tmp_path, [clip(1), clip(2, "rejected", ["overlay"])], source), clips=2)
    folder = tmp_path / "reports"
    for name in ("rejected-mine.jpg", "overlay.jpg", "rejected-too_short.jpg", "notes.txt"):
        (folder / name).write_bytes(b"x")
    said: list[str] = []
    now = Tables(tmp_path, [clip(1), clip(2), clip(3, "rejected", ["blur"])], source)
    sheets.write_sheets(now, clips=2, reason="kept", say=said.append)
    assert sorted(path.name for path in folder.iterdir()) == [
        "kept.jpg",
        "notes.txt",
        "overlay.jpg",
        "rejected-mine.jpg",
    ]
    assert [line.split(",")[0].rsplit("/", 1)[1] for line in said] == ["rejected-overlay.jpg", "rejected-too_short.jpg"]


def test_a_source_that_is_gone_leaves_grey_tiles_and_a_word(tmp_path):
    said: list[str] = []
    (made,) = sheets.write_sheets(Tables(tmp_path, [clip(1)], tmp_path / "gone.mp4"), clips=2, say=said.append)
    assert abs(float(cv2.imread(made["path"])[50, 80].mean()) - 90) < 4
    assert "a.mp4" in said[0]


def test_the_command_says_where_there_is_no_dataset(tmp_path):
    result = CliRunner().invoke(cli, ["sheet", "--out", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert "wanprep run" in str(result.exception)
