"""Captions edited by hand and not taken up yet: who says so, and at what price."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from footage import numbered
from movies import SETTINGS
from PIL import Image

from wanprep import edits
from wanprep.captioners import files
from wanprep.cli import cli
from wanprep.dataset import Dataset
from wanprep.manifest import comparable
from wanprep.preview import preview
from wanprep.run import run
from wanprep.runner import Options


@pytest.fixture(scope="module")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures, captioned by the template; nothing is cached."""
    root = tmp_path_factory.mktemp("edits")
    (root / "pictures").mkdir()
    for number in range(4):
        Image.fromarray(numbered(9 * number, 160, 120)).save(root / "pictures" / f"{number}.png")
    settings = [*SETTINGS, "filter.duplicate.enabled=false"]
    dataset = Dataset.create(root / "set", assignments=settings)
    run(dataset, ("split", "fps", "filter", "caption"), Options(workers=1), source=root / "pictures")
    assert len(texts(root / "set")) == 4
    return root / "set"


@pytest.fixture
def root(captioned: Path, tmp_path: Path) -> Path:
    return shutil.copytree(captioned, tmp_path / "set")


def texts(root: Path) -> list[Path]:
    return sorted((root / "captions").glob("*.txt"))


def waiting(root: Path) -> tuple[int, list[str]]:
    return edits.waiting(Dataset.open(root))


def test_edits_are_told_until_a_run_takes_them_up(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = texts(root)
    assert waiting(root) == (0, [])
    first.write_text(first.read_text() + "\r\n\n")  # no edit: as many an editor ends a file
    assert waiting(root) == (0, [])
    first.write_text("a cat\n")
    second.with_suffix(".2.txt").write_text("a dog\n")  # a caption more
    count, (note,) = waiting(root)
    assert count == 2
    assert note.startswith("2 captions were edited and not taken up yet")
    assert note.endswith(f"wanprep caption --out {root}")  # nothing is cached

    assert cli.main(["status", "--out", str(root)], standalone_mode=False) is None
    assert "2 captions were edited" in " ".join(capsys.readouterr().out.split())
    run(Dataset.open(root), ("caption",), Options(workers=1))
    assert waiting(root) == (0, [])
    second.with_suffix(".2.txt").unlink()  # taken back
    assert waiting(root)[0] == 1


def test_a_file_moved_in_with_an_old_date_is_an_edit(root: Path) -> None:
    other = root / "typed.tmp"
    other.write_text("typed long ago\n")
    os.utime(other, (1, 1))
    other.rename(texts(root)[0])
    assert waiting(root)[0] == 1


def test_a_file_that_is_no_text_is_named(root: Path) -> None:
    texts(root)[0].write_bytes("Käse".encode("latin-1"))
    count, (_, note) = waiting(root)
    assert count == 1
    assert note.startswith(
        f"captions/{texts(root)[0].name} cannot be read, so its clip is not trained on: caption_not_utf8"
    )


def test_files_that_nobody_touched_are_not_opened(captioned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read = files.read_if_there

    def counting(path: Path) -> str | None:
        opened.append(path.name)
        return read(path)

    monkeypatch.setattr(files, "read_if_there", counting)
    monkeypatch.setattr(edits, "MARGIN_S", 0.0)
    assert waiting(captioned) == (0, [])
    assert opened == []
    path = texts(captioned)[2]
    path.write_bytes(path.read_bytes())
    assert waiting(captioned) == (0, [])
    assert opened == [path.name]


def test_a_trainer_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from wanprep.cached import CachedDataset, CachedSample
    from wanprep.families import family
    from wantrain.ready import check_caches

    (root / "file").write_bytes(b"bytes")
    named: dict[str, Any] = dict.fromkeys(("sample_id", "clip_id", "source_id", "group", "view", "caption"), "a")
    named |= {"latent_path": "file", "latent_digest": "", "text_path": "file", "text_digest": ""}
    sample = CachedSample(**named, width=16, height=16, frames=1, repeats=1, weight=1.0)
    dataset = CachedDataset(root, family("tiny"), [sample], ("file", ""), notes=["3 captions were edited"])
    monkeypatch.setattr("wantrain.ready.CHECK_SECONDS", 0.0)
    assert check_caches(dataset).splitlines()[1:] == ["3 captions were edited"]


def test_explain_shows_every_caption_that_is_trained_on(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = texts(root)[0]

    def explained() -> list[str]:
        assert cli.main(["explain", first.stem, "--out", str(root)], standalone_mode=False) is None
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    (one,) = (line for line in explained() if line.startswith("caption"))
    assert one == "caption (template; provisional): a picture"  # the only one: no weight is told
    first.write_text("a cat")
    first.with_suffix(".3.txt").write_text("weight: 0.5\na dog")  # without a .2.txt
    first.with_suffix(".5.txt").write_text("weight: 0\na bird")
    typed = [f"captions/{first.stem}{number}.txt" for number in ("", ".3", ".5")]
    told = " ".join(explained())
    assert all(name in told for name in ("typed since, not taken up yet:", *typed))
    assert one in told
    run(Dataset.open(root), ("caption",), Options(workers=1))
    assert [line for line in explained() if line.startswith(("caption", "typed"))] == [
        "caption (human, weight 1): a cat",
        "caption 3 (human, weight 0.5): a dog",
    ]


def captioned_again(root: Path) -> list[str]:
    """What a run says of captions."""
    return run(Dataset.open(root), ("caption",), Options(workers=1)).notes


def test_deleting_an_edited_file_brings_the_caption_before_back(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third, fourth = texts(root)
    before = first.read_text()
    for path in (first, second):
        path.write_text("typed with care\n")
    captioned_again(root)
    first.unlink()
    third.unlink()  # nobody edited it: it is only written again
    count, (_, note) = waiting(root)
    assert count == 1
    assert note == (
        f"deleted, so what was typed is taken back: captions/{first.name}; "
        f"it is still shown by wanprep explain {first.stem} --out {root}"
    )
    assert captioned_again(root) == [note]
    assert (first.read_text(), second.read_text(), third.read_text()) == (before, "typed with care\n", before)
    assert waiting(root) == (0, [])
    assert captioned_again(root) == []

    def explained() -> str:
        assert cli.main(["explain", first.stem, "--out", str(root)], standalone_mode=False) is None
        return capsys.readouterr().out

    assert "caption that was typed and taken back: typed with care" in explained()
    first.write_text("typed again")
    captioned_again(root)
    assert "taken back" not in explained()
    assert fourth.read_text() == before


def test_a_folder_that_was_lost_is_written_again_with_the_edits(root: Path) -> None:
    first, *others = texts(root)
    first.write_text("typed with care\n")
    captioned_again(root)
    for path in (first, *others[:2]):  # three of four
        path.unlink()
    (note,) = waiting(root)[1]
    assert note == (
        "captions/ lacks more than half of its files: taken for lost and to be written again, the words of 1 edit, "
        f"too: captions/{first.name}"
    )
    assert captioned_again(root) == [note]
    assert first.read_text() == "typed with care\n"
    shutil.rmtree(root / "captions")
    assert captioned_again(root) == [note]
    assert first.read_text() == "typed with care\n"
    assert len(texts(root)) == 4
    first.unlink()  # one that was written again can be taken back like one that was typed
    assert captioned_again(root)[0].startswith("deleted, ")
    assert first.read_text() == others[0].read_text()


def test_a_dry_run_sees_edits_and_stores_none(root: Path) -> None:
    first, second, third, _ = texts(root)
    third.write_text("to be taken back")
    captioned_again(root)
    third.unlink()
    first.write_text("a cat")
    second.write_bytes("K\xe4se".encode("latin-1"))
    before = comparable(Dataset.open(root).manifest.read("events"))
    dataset = Dataset.open(root)
    scan = edits.found(dataset)
    seen = {row["clip_id"]: row for row in preview(dataset, None, scan.events).manifest.read("clips").to_dicts()}
    told = [(seen[path.stem]["caption"], seen[path.stem]["caption_origin"]) for path in (first, second, third)]
    assert told == [("a cat", "human"), (None, "human"), ("a picture", "template")]
    as_stored = {row["clip_id"]: row["caption"] for row in preview(dataset).manifest.read("clips").to_dicts()}
    assert [as_stored[path.stem] for path in (first, second, third)] == ["a picture", "a picture", "to be taken back"]
    assert comparable(Dataset.open(root).manifest.read("events")).equals(before)
    assert waiting(root)[0] == 3


@pytest.mark.parametrize("command", ["caption", "cache"])
def test_dry_runs_say_what_was_edited(root: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    texts(root)[0].write_text("a cat")
    asked = [command, "--dry-run", "--out", str(root)]
    assert cli.main(asked, standalone_mode=False) is None
    assert "1 caption edited by hand was found and would be taken over" in " ".join(capsys.readouterr().out.split())
    assert cli.main([*asked, "--json"], standalone_mode=False) is None
    assert json.loads(capsys.readouterr().out)["edited"] == 1
    captioned_again(root)
    assert cli.main(asked, standalone_mode=False) is None
    assert "edited" not in capsys.readouterr().out


def test_a_clip_of_a_damaged_text_is_not_trained_on_until_it_is_mended(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = texts(root)[0]
    first.write_bytes("K\xe4se".encode("latin-1"))
    (note,) = captioned_again(root)
    assert note.startswith(f"captions/{first.name} cannot be read")

    def clip() -> dict[str, Any]:
        (row,) = Dataset.open(root).manifest.read("clips").filter(clip_id=first.stem).to_dicts()
        return row

    assert (clip()["state"], clip()["caption"], clip()["reasons"]) == ("keep", None, ["caption_not_utf8"])
    samples = Dataset.open(root).manifest.read("samples").filter(clip_id=first.stem)
    assert set(samples["state"]) == {"rejected"}
    assert cli.main(["explain", first.stem, "--out", str(root)], standalone_mode=False) is None
    told = " ".join(capsys.readouterr().out.split())
    assert f"caption: none, captions/{first.name} cannot be read (caption_not_utf8: byte 1 is not UTF-8" in told
    assert first.read_bytes() == "K\xe4se".encode("latin-1")
    first.write_bytes("K\xe4se".encode("utf-16"))
    assert captioned_again(root) == []
    assert (clip()["caption"], clip()["reasons"]) == ("K\xe4se", [])
    first.with_suffix(".2.txt").write_bytes(b"\xff")  # of another caption, too
    captioned_again(root)
    assert clip()["reasons"] == ["caption_not_utf8"]
    first.with_suffix(".2.txt").unlink()
    captioned_again(root)
    assert clip()["caption"] == "K\xe4se"


def test_what_is_no_file_stops_nobody(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, *_ = texts(root)
    for path in (first, second):
        path.unlink()
    first.mkdir()
    os.mkfifo(second)  # who opens it waits for ever
    told = [f"captions/{first.name} is not used: not_a_file: a folder"]
    told.append(f"captions/{second.name} is not used: not_a_file: a pipe, socket or device")
    assert sorted(waiting(root)[1]) == sorted(told)
    assert sorted(captioned_again(root)) == sorted(told)
    assert cli.main(["status", "--out", str(root)], standalone_mode=False) is None
    assert "is not used: not_a_file: a folder" in " ".join(capsys.readouterr().out.split())
    assert first.is_dir()
