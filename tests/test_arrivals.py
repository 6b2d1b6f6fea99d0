"""What is noted of sources as they are listed: since when they are here, and the text beside them."""

from pathlib import Path
from typing import Any

import pytest

from wanprep.arrivals import note

Row = dict[str, Any]


def row(path: str, state: str = "pending", **more: Any) -> Row:
    return {"root": "r", "path": path, "state": state, **more}


def noted(folder: Path, *rows: Row, known: tuple[Row, ...] = ()) -> list[tuple[int, str | None]]:
    note(rows, {(it["root"], it["path"]): it for it in known}, {"r": str(folder)})
    return [(it["since"], it["beside"]) for it in rows]


def test_each_listing_that_finds_anything_new_is_a_later_one(tmp_path: Path) -> None:
    first = [row("a.mp4"), row("b.mp4")]
    assert [since for since, _ in noted(tmp_path, *first)] == [0, 0]
    second = [row("b.mp4"), row("0.mp4")]
    assert [since for since, _ in noted(tmp_path, *second, known=(*first,))] == [0, 1]
    third = [row("c.mp4"), row("0.mp4"), row("a.mp4", "gone")]
    assert [since for since, _ in noted(tmp_path, *third, known=(*second, first[0]))] == [2, 1, 0]


def test_a_table_of_an_earlier_version_is_the_first_listing(tmp_path: Path) -> None:
    old = row("a.mp4", since=None)
    assert noted(tmp_path, row("a.mp4"), row("b.mp4"), known=(old,)) == [(0, None), (1, None)]


def test_only_a_text_with_words_counts(tmp_path: Path) -> None:
    texts = {"a.txt": b"a cat", "b.mp4.txt": b"a dog", "empty.txt": b" \n", "other.txt": b"\xff\xfe\xff"}
    for name, data in {**texts, "long.txt": b"x" * 70_000}.items():
        (tmp_path / name).write_bytes(data)
    names = ("a", "b", "empty", "other", "long", "none")
    found = noted(tmp_path, *(row(f"{name}.mp4") for name in names))
    assert [text for _, text in found] == ["a.txt", "b.mp4.txt", None, None, None, None]


def test_a_folders_text_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "_default.txt").write_text("a film", encoding="utf-8")
    assert noted(tmp_path, row("in/a.mp4"), row("b.mp4")) == [(0, "_default.txt"), (0, None)]


@pytest.mark.parametrize("state", ["gone", "pending"])
def test_what_is_not_there_has_no_text_beside_it(tmp_path: Path, state: str) -> None:
    (tmp_path / "a.txt").write_text("a cat", encoding="utf-8")
    there = {**row("a.mp4", state), "root": "r" if state == "gone" else "a folder that nobody knows"}
    assert noted(tmp_path, there) == [(0, None)]
