"""What people said of clips that are no more is told by the clips' names, and listed in whole by a command."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from click.testing import CliRunner
from footage import numbered
from movies import SETTINGS
from PIL import Image

from wanprep import lost
from wanprep.cli import cli
from wanprep.dataset import Dataset
from wanprep.outcome import lines
from wanprep.run import run
from wanprep.runner import Options

HERE: Any = SimpleNamespace(root=Path("my set"))
SOURCES = [{"source_id": "s", "path": "film.mp4"}]


def event(clip: str, value: str | None, kind: str = "caption", **more: Any) -> dict[str, Any]:
    row = {"clip_id": clip * 16, "source_id": "s", "start_pts": ord(clip), "end_pts": 200, "kind": kind}
    return row | {"value": value, "origin": "human"} | more


def test_the_last_words_count_and_what_was_taken_back_is_not_lost() -> None:
    said = [event("a", "one"), event("a", "two"), event("b", "x"), event("b", None), event("a", "keep", "verdict")]
    assert [it["value"] for it in lost.latest([*said, event("c", "unreadable: x", origin="damaged")])] == [
        "two",
        "keep",
    ]
    assert lost.lines(HERE, [event("b", "x"), event("b", None)], SOURCES) == []


def test_clips_are_named_up_to_a_few_with_the_command_that_lists_them() -> None:
    said = [event(letter, f"words of {letter}, " + "x" * 50) for letter in "abcde"]
    (line,) = lost.lines(HERE, said, SOURCES)
    assert line.startswith('5 captions by hand have lost their clips: aaaaaaaa of film.mp4 ("words of a, xxx')
    assert " and 2 more; kept until" in line
    assert line.endswith("wanprep clips --lost --out 'my set'")
    one, other = lost.lines(HERE, [event("a", "short", source_id="?"), event("b", "drop", "verdict")], SOURCES)
    assert one.startswith('1 caption by hand has lost its clip: aaaaaaaa ("short"); kept')
    assert other.startswith('1 verdict by hand has lost its clip: bbbbbbbb of film.mp4 ("drop"); kept')


def test_a_picture_that_is_replaced_under_its_name_leaves_its_words_to_be_found(tmp_path: Path) -> None:
    movies, out = tmp_path / "in", tmp_path / "set"
    movies.mkdir()

    def save(number: int) -> None:
        Image.fromarray(numbered(number, 160, 120)).save(movies / "a.png")

    def ran() -> list[str]:
        stages = ("split", "fps", "filter", "bucket", "caption")
        summary = run(Dataset.create(out, assignments=SETTINGS), stages, Options(workers=1), source=movies)
        return [line for line in lines(Dataset.open(out), summary) if "lost" in line]

    def listed(*more: str) -> str:
        return CliRunner().invoke(cli, ["clips", "--lost", "--out", str(out), *more], catch_exceptions=False).stdout

    save(1)
    assert ran() == []
    (file,) = (out / "captions").glob("*.txt")
    file.write_text("A purple bird, written by hand.")
    assert ran() == []
    assert listed("--json") == "[]\n"
    save(2)
    (line,) = ran()
    assert file.stem[:8] in line
    assert "A purple bird" in line
    (row,) = json.loads(listed("--json"))
    assert (row["clip_id"], row["value"]) == (file.stem, "A purple bird, written by hand.")
    assert row["start_s"] == 0
    assert file.stem in listed()
    assert "A purple bird, written by hand." in listed()
    refused = CliRunner().invoke(cli, ["clips", "--lost", "--state", "keep", "--out", str(out)])
    assert refused.exit_code == 2
    save(1)
    assert ran() == []  # with the picture the words are back
    assert listed("--json") == "[]\n"
