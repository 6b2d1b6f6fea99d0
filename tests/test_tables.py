"""Long listings: aligned by what a terminal shows, folded in the last column, nothing lost."""

import pytest
from rich.cells import cell_len

from wanprep.tables import print_rows


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
