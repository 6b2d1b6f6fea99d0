"""Captions edited by hand and not taken up yet: who says so, and at what price."""

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
    count, (note,) = waiting(root)
    assert count == 0
    assert note.startswith(f"captions/{texts(root)[0].name} is not used: caption_not_utf8")


def test_files_that_nobody_touched_are_not_opened(captioned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    read = files._read

    def counting(path: Path) -> str | None:
        opened.append(path.name)
        return read(path)

    monkeypatch.setattr(files, "_read", counting)
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
