"""Long listings: aligned by what a terminal shows, folded in the last column, nothing lost."""

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

import wanprep
from wanprep.tables import console, keep_ends, print_rows, short_names, table


def drawn(capsys: pytest.CaptureFixture[str], columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    print_rows(columns, rows)
    return capsys.readouterr().out.splitlines()


def test_columns_line_up_and_numbers_stand_right(capsys: pytest.CaptureFixture[str]) -> None:
    lines = drawn(capsys, ("clip", ">n", "why"), [("映画", "7", "blur"), ("abcdef", "1234", "")])
    assert lines[0] == " clip       n  why"
    assert set(lines[1].strip()) == {"─"}
    assert lines[2:] == [" 映画       7  blur", " abcdef  1234"]
    assert cell_len(lines[2]) == cell_len(" abcdef  1234  blur")


def test_a_long_reason_is_folded_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    why = " ".join(f"word{k}" for k in range(40)) + " " + "x" * 200
    lines = drawn(capsys, ("clip", "why"), [("a", why), ("b", "short")])
    assert all(cell_len(line) <= 80 for line in lines)
    folded = [line.strip() for line in lines[2:-1]]
    assert "".join(folded).removeprefix("a").replace(" ", "") == why.replace(" ", "")
    assert lines[-1].split() == ["b", "short"]


def test_no_rows_leave_the_head(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(drawn(capsys, ("clip", ">n", "why"), [])) == 2


NAMES = ("bikes_640x272_25fps.mp4", "crystal_handheld_480p_30fps.mp4", "frog_handheld_480p_30fps.mp4")


def test_rows_of_eighty_columns_lose_the_column_that_may_go_then_the_middle_of_paths(
    capsys: pytest.CaptureFixture[str],
) -> None:
    columns = ("clip", "~source", ">seconds", ">?frames", "state", "why")
    rows = [("47eab880", name, "0.00-11.97", "0-358", "rejected", "shake 0.126 (limit 0.07)") for name in NAMES]
    lines = drawn(capsys, columns, rows)
    assert len(lines) == 2 + len(rows)  # a line a row
    assert all(cell_len(line) <= 80 for line in lines)
    assert "frames" not in lines[0]
    sources = [line[11:32].strip() for line in lines[2:]]
    assert [name[:5] for name in sources] == ["bikes", "cryst", "frog_"]
    assert all("…" in name and name.endswith("fps.mp4") for name in sources)
    short = drawn(capsys, columns, [(*row[:-1], "") for row in rows])
    assert "frames" in short[0]
    assert "0-358" in short[2]


def test_a_reason_that_does_not_fit_stands_below_its_row_across_the_whole_width(
    capsys: pytest.CaptureFixture[str],
) -> None:
    why = "the clip has 30 of the 41 frames that view 'motion' asks for"
    lines = drawn(capsys, ("view", "bucket", "why"), [("motion", "x" * 30, why), ("sharp", "y", "short")])
    assert lines[2].split() == ["motion", "x" * 30]
    assert lines[3] == f"    {why}"
    assert lines[4].split() == ["sharp", "y", "short"]


def test_names_that_begin_and_end_alike_stay_apart() -> None:
    paths = [f"holiday in the far north, part {k} of many, as it was recorded.mp4" for k in (1, 2, 3)]
    assert len({keep_ends(path, 20) for path in paths}) == 1  # both ends tell nothing
    short = short_names([*paths, "a.mp4"], 20)
    assert len(set(short.values())) == 4
    assert all(cell_len(name) <= 20 for name in short.values())
    assert short["a.mp4"] == "a.mp4"


def test_names_that_differ_in_the_middle_alone_show_it() -> None:
    paths = [f"the show/{folder}/clip_{k:03d}.mp4" for folder in ("popeye", "olive", "bunny") for k in range(9)]
    for cells in (11, 14, 20):
        short = short_names(paths, cells)
        assert len(set(short.values())) == len(paths)
        assert all(cell_len(name) <= cells for name in short.values())


def test_whatever_is_in_them_rows_are_no_wider_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns = ("#clip", "~source", "view", ">seconds", ">?frames", "state")
    rows = [
        (f"{k}2345678abcdef00", f"a/{k}" * 30, "sharp and mirrored " * 5, "0.00-1.00", "", "why " * 9) for k in range(3)
    ]
    for width in (60, 80, 120):
        monkeypatch.setenv("COLUMNS", str(width))
        lines = drawn(capsys, columns, rows)
        assert all(cell_len(line) <= width for line in lines)
        assert "frames" not in lines[0]  # nothing is in it
    assert [line.split()[0] for line in drawn(capsys, ("#clip", "why"), [("123456789", "x")])[2:]] == ["123456789"]


def test_both_ends_are_kept_by_what_a_terminal_shows() -> None:
    assert keep_ends("bikes_640x272_25fps.mp4", 11) == "bikes_….mp4"
    assert cell_len(keep_ends("映画" * 20, 11)) <= 11
    assert keep_ends("a\x1b[31mb", 20) == "a?[31mb"


TYPED = "anime, :d smile, :x: mouth, <lora:fire:1> :cat: [bold]loud[/bold] [/]"


@pytest.mark.parametrize("err", [False, True])
def test_what_people_type_is_shown_as_it_is(capsys: pytest.CaptureFixture[str], err: bool) -> None:
    drawn = table("clip", "caption", title=TYPED)
    drawn.add_row("a", TYPED)
    for thing in (TYPED, drawn):
        console(err=err).print(thing)
    captured = capsys.readouterr()
    assert " ".join((captured.err if err else captured.out).split()).count(TYPED) == 3


def test_nothing_is_shown_on_another_console() -> None:
    """One made elsewhere would read what people typed as markup again."""
    package = Path(wanprep.__file__).parent
    modules = [path for folder in (package, package.with_name("wantrain")) for path in folder.rglob("*.py")]
    made = [path.name for path in modules if re.search(r"\bConsole[()]", path.read_text(encoding="utf-8"))]
    assert made == ["tables.py"]
